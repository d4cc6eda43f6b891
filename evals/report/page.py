"""The report as one HTML file that loads nothing and runs nothing.

Its policy (Content-Security-Policy) allows one style sheet, by its hash, and no script, picture, font or request. All
texts are escaped, and characters that a browser would obey or hide are shown.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from console.visible import visible
from evals.report.content import Content
from evals.report.drawing.panels import Panel
from evals.report.facts.shown import ShownPair, Side
from evals.report.tables.table import Table

FOLDER = Path(__file__).parent
NUMBER = re.compile(r"[+\-−]?[\d,]+(\.\d+)?( \[.*\])?")
LONG = 40
MOST_CHARS = 20_000
"""An answer that is longer is cut, and the page says so: its file has it whole."""
CLASSES = {"✓": "followed", "✗": "broken"}


def page_of(content: Content) -> str:
    """Return the whole page."""
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = Template((FOLDER / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=shown(content.title), style=style, style_hash=digest, body="\n".join(_body(content))
    )


def shown(text: str) -> str:
    """Return a text as HTML that shows it and nothing else."""
    return escape(visible(text))


def _body(content: Content) -> Iterable[str]:
    yield f"<header><h1>{shown(content.title)}</h1>"
    yield from (f'<p class="facts">{shown(line)}</p>' for line in content.facts)
    yield from (f'<p class="headline">{shown(line)}</p>' for line in content.headlines)
    sections = list(_sections(content))
    links = (f'<a href="#{_anchor(title)}">{shown(title)}</a>' for title, _ in sections)
    yield f"<nav>{' '.join(links)}</nav></header>\n<main>"
    for title, inner in sections:
        yield f'<section><h2 id="{_anchor(title)}">{shown(title)}</h2>\n{inner}</section>'
    yield "</main>"


def _sections(content: Content) -> Iterable[tuple[str, str]]:
    first, *others = content.tables
    yield first.title, _table(first)
    if content.curves:
        yield "Curves", _panels(content.curves)
    for table in others:
        yield table.title, _table(table)
    if content.distributions:
        yield "Scores", _panels(content.distributions)
    for title, pairs in content.pairs.items():
        yield title, "\n".join(map(_pair, pairs))
    if content.settings.rows or content.settings.note:
        inner = _table(content.settings)
        long = len(content.settings.rows) > LONG
        yield content.settings.title, f"<details><summary>show all</summary>{inner}</details>" if long else inner
    for title, lines in content.lists.items():
        items = "".join(f"<li>{shown(line)}</li>" for line in lines)
        yield title, f'<ul class="missing">{items}</ul>'


def _table(table: Table) -> str:
    if not table.rows:
        return f'<p class="note">{shown(table.note)}</p>'
    names = list(table.rows[0])
    right = {name for name in names if all(NUMBER.fullmatch(row[name] or "0") for row in table.rows)}
    head = "".join(f'<th scope="col"{_class(name in right and "n")}>{shown(name)}</th>' for name in names)
    rows = "".join(_row(row_cells, names, right) for row_cells in table.rows)
    note = f'<p class="note">{shown(table.note)}</p>' if table.note else ""
    focus = f'<div class="scroll" tabindex="0" role="region" aria-label="{shown(table.title)}">'
    return f"{focus}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}"


def _row(row: object, names: Sequence[str], right: set[str]) -> str:
    cells = []
    for place, name in enumerate(names):
        value = row[name]  # type: ignore[index]
        inner = '<span class="none">–</span>' if value is None else shown(value)
        if place == 0:
            cells.append(f'<th scope="row">{inner}</th>')
        else:
            cells.append(f"<td{_class(name in right and 'n', len(value or '') > LONG and 'long')}>{inner}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _class(*names: str | bool) -> str:
    given = " ".join(name for name in names if isinstance(name, str))
    return f' class="{given}"' if given else ""


def _panels(panels: Iterable[Panel]) -> str:
    figures = (
        f"<figure><h3>{shown(panel.title)}</h3>{panel.svg}<figcaption>{shown(panel.note)}</figcaption></figure>"
        for panel in panels
    )
    return f'<div class="panels">{"".join(figures)}</div>'


def _pair(pair: ShownPair) -> str:
    head = f'<header><span class="why">{shown(pair.why)}</span><span class="facts">{shown(pair.source)}</span></header>'
    words = "".join(_text(line, "text words") for line in pair.words)
    sides = f'<div class="sides">{_side(pair.left)}{_side(pair.right)}</div>'
    return f'<article class="pair">{head}{_text(pair.prompt)}{sides}{words}</article>'


def _side(side: Side) -> str:
    score = "" if side.score is None else f' <span class="facts">score {side.score:.2f}</span>'
    found = "".join(f"<li{_class(CLASSES.get(line[:1], False))}>{shown(line)}</li>" for line in side.found)
    listed = f'<ul class="found">{found}</ul>' if found else ""
    words = "".join(_text(f"judge: {line}", "text words") for line in side.words)
    return f"<section><h3>{shown(side.title)}{score}</h3>{_text(side.text)}{listed}{words}</section>"


def _text(text: str, classes: str = "text") -> str:
    cut = len(text) - MOST_CHARS
    whole = shown(text if cut <= 0 else text[:MOST_CHARS])
    more = f'<p class="note">{cut:,} more characters are in the file</p>' if cut > 0 else ""
    return f'<div class="{classes}" dir="auto" tabindex="0">{whole}</div>{more}'


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
