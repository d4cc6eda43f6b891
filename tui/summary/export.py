"""Writes what is filtered to a file: the rows as they are (JSONL), TRL's pairs, Markdown, or CSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from console.errors import InputError
from console.visible import visible
from records.rows import messages_of, text_of
from records.store import write_atomic, write_rows
from tui.filters.fields import View
from tui.reading.kinds import WINNERS
from tui.reading.table import Body
from tui.summary.columns import BY_NAME
from tui.voting.tally import A, B, majority

Format = Literal["jsonl", "trl", "md", "csv"]
FORMATS: dict[Format, str] = {
    "jsonl": "the rows as they are, one JSON object a line",
    "trl": "TRL's preference pairs; a person's vote counts more than the judge, ties are left out",
    "md": "Markdown to read or to send",
    "csv": "the table for a spreadsheet",
}
ENDINGS: dict[Format, str] = {"jsonl": ".jsonl", "trl": ".pairs.jsonl", "md": ".md", "csv": ".csv"}
CELLS = ("winner", "a", "b", "margin", "spread", "delta", "flipped", "human", "iter", "judge", "model", "error", "kind")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a text that begins so."""


def export(view: View, rows: np.ndarray, path: Path, form: Format) -> int:
    """Write `rows` to `path` and return how many were written. An earlier file of other content is set aside.

    Raises InputError if there is nothing to write, StoreError if the file cannot be written.
    """
    if not len(rows):
        raise InputError("no row is shown, so there is nothing to export")
    if form == "jsonl":
        return _written(path, (msgspec.Raw(_raw(view, int(row))) for row in rows), len(rows))
    if form == "trl":
        pairs = [pair for row in rows if (pair := _pair(view, int(row))) is not None]
        if not pairs:
            raise InputError("none of these rows has two answers of which one is better, so there is no pair to export")
        return _written(path, iter(pairs), len(pairs))
    text = _markdown(view, rows) if form == "md" else _csv(view, rows)
    write_atomic(path, text)
    return len(rows)


def format_of(path: Path) -> Format:
    """Return the format that a file's ending asks for. Raises InputError that lists them."""
    for form in ("trl", "jsonl", "md", "csv"):
        if path.name.lower().endswith(ENDINGS[form]):
            return form
    listed = ", ".join(f"{ending} ({form})" for form, ending in ENDINGS.items())
    raise InputError(f"{path}: the ending says what to write: {listed}")


def _written(path: Path, rows: Iterator[Any], n: int) -> int:
    write_rows(path, rows, apart=True)
    return n


def _raw(view: View, row: int) -> bytes:
    packed = view.rows[row]
    line = view.table.files[int(packed["source"])].line(int(packed["offset"]), int(packed["length"]))
    return line.strip()


def _pair(view: View, row: int) -> dict[str, Any] | None:
    body = view.table.body(row)
    item = body.item
    side = majority(view.tally.votes_on(row).values()) or item.winner
    if item.text_b is None or side not in (A, B):
        return None
    texts, scores = (item.text_a, item.text_b), (item.score_a, item.score_b)
    if side == B:
        texts, scores = texts[::-1], scores[::-1]
    return {
        "prompt": messages_of(item.prompt),
        "chosen": [{"role": "assistant", "content": texts[0]}],
        "rejected": [{"role": "assistant", "content": texts[1]}],
        "prompt_id": item.prompt_id,
        "chosen_score": scores[0],
        "rejected_score": scores[1],
        "judge": "human" if row in view.tally.by_row else item.judge or None,
    }


def _markdown(view: View, rows: np.ndarray) -> str:
    return "\n\n---\n\n".join(markdown_of(view, view.table.body(int(row))) for row in rows) + "\n"


def markdown_of(view: View, body: Body) -> str:
    """Return one row as Markdown, each text in a fence that it cannot close."""
    item = body.item
    facts = [f"`{body.where}`", f"judge {item.judge or '-'}"]
    if item.text_b is not None:
        facts.append(f"winner {WINNERS[item.winner] or '-'}")
        human = majority(view.tally.votes_on(body.row).values())
        facts.append(f"human {WINNERS[human] or '-'}")
    parts = [" · ".join(facts), "**Prompt**", _fenced(text_of(item.prompt)), f"**A** {item.model_a}"]
    parts.append(_fenced(item.text_a))
    if item.text_b is not None:
        parts += [f"**B** {item.model_b}", _fenced(item.text_b)]
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    shown = visible(text)
    fence = "```"
    while fence in shown:
        fence += "`"
    return f"{fence}\n{shown}\n{fence}"


def _csv(view: View, rows: np.ndarray) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["row", "prompt_id", "prompt", "answer_a", "answer_b", *CELLS])
    for row in rows.tolist():
        item = view.table.body(row).item
        texts = [item.prompt_id, text_of(item.prompt), item.text_a, item.text_b or ""]
        cells = [_plain(view, row, name) for name in CELLS]
        writer.writerow([view.table.number(row, view.kind), *map(_safe, texts), *cells])
    return file.getvalue()


def _plain(view: View, row: int, name: str) -> str:
    cell = BY_NAME[name].cell(view, row)
    return "" if cell == "-" else cell.replace(",", "") if name == "delta" else cell


def _safe(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return f"'{text}" if text.startswith(FORMULA) else text
