"""Completions of the filter line: a field's name, or after it the values that there are."""

from collections.abc import Iterator

from tui.filters.fields import FIELDS, Field
from tui.filters.language import TOKEN
from tui.reading.table import Table

MOST = 40
LONGEST_WORD = 40


def completions(line: str, table: Table) -> list[str]:
    """Return the whole lines that `line` could become, the likeliest first. The last word is completed."""
    if line and line[-1].isspace():
        return []
    tokens = TOKEN.findall(line)
    last = tokens[-1] if tokens else ""
    start = line[: len(line) - len(last)]
    minus = "-" if last.startswith("-") else ""
    return [f"{start}{minus}{word}" for word in _words(last.removeprefix("-"), table)][:MOST]


def is_begun(line: str) -> bool:
    """Return whether the last word of a line is the beginning of a field's name, which is no text to look for yet."""
    tokens = TOKEN.findall(line)
    if not tokens or line[-1].isspace():
        return False
    word = tokens[-1].removeprefix("-")
    return word == "" or any(field.name.startswith(word) for field in FIELDS)


def _words(last: str, table: Table) -> Iterator[str]:
    for sign in ("!=", ":", "="):
        name, mark, begun = last.partition(sign)
        field = next((field for field in FIELDS if mark and name in (field.name, *field.aliases)), None)
        if field is not None:
            done, comma, begun = begun.rpartition(",")
            for value in _values(field, table):
                if value.casefold().startswith(begun.casefold()) and value != begun:
                    yield f"{name}{mark}{done}{comma}{value}"
            return
    if last:
        for field in FIELDS:
            if field.name.startswith(last) and field.name != last:
                yield field.name + (">" if field.kind == "number" else ":")
        yield from (f"{field.name}{'>' if field.kind == 'number' else ':'}" for field in FIELDS if field.name == last)


def _values(field: Field, table: Table) -> list[str]:
    if field.kind == "choice":
        return list(field.choices)
    if field.kind == "number":
        return ["none"]
    if field.name == "file":
        return [file.path.name for file in table.files]
    codes = {int(code) for column in field.columns for code in set(table.rows[column].tolist())}
    words = sorted({part for code in codes for part in _parts(field, table.words.words[code])})
    human = ["human"] if field.name == "judge" else []
    return [*human, *words, "none", "any"]


def _parts(field: Field, word: str) -> list[str]:
    """Return a word as it can be typed: without spaces, each constraint alone."""
    parts = word.split() if field.name in ("broken", "followed") else [word.split()[0] if word.split() else ""]
    return [part[:LONGEST_WORD] for part in parts if part and '"' not in part and "," not in part]
