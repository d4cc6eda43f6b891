"""The report as Markdown: its tables, and what is missing."""

from collections.abc import Iterable

from console.table import Cell, markdown_table
from console.visible import one_line, visible
from evals.report.content import Content
from evals.report.tables.table import Table


def markdown_of(content: Content) -> str:
    """Return the report's tables as Markdown."""
    return "\n\n".join(_parts(content)) + "\n"


def table_text(table: Table) -> str:
    """Return a table and its note as Markdown."""
    rows: list[dict[str, Cell]] = [
        {name: None if value is None else _cell(value) for name, value in row.items()} for row in table.rows
    ]
    parts = [markdown_table(rows)] if rows else []
    return "\n\n".join([*parts, *([visible(table.note)] if table.note else [])])


def _parts(content: Content) -> Iterable[str]:
    yield f"# {_cell(content.title)}"
    yield from map(_cell, content.facts)
    yield from map(_cell, content.headlines)
    for table in (*content.tables, content.settings):
        if table.rows or table.note:
            yield f"## {table.title}"
            yield table_text(table)
    for title, lines in content.lists.items():
        yield f"## {title}"
        yield "\n".join(f"- {_cell(line)}" for line in lines)


def _cell(text: str) -> str:
    """Return a text that stays in its cell and is no markup."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")
