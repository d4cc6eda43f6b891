"""The verdicts of other judges on rows, in a file beside the votes: read, appended, and put in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from console.address import without_secrets
from console.errors import InputError
from console.visible import one_line
from records.store import opened
from tui.filters.fields import View
from tui.reading.items import Item, item_of_record
from tui.reading.kinds import COMPARISON, JUDGMENT, WINNERS
from tui.reading.table import Body
from tui.rejudging.asking import Asked
from tui.text import number_text
from tui.verdicts.reasons import reasons_text
from tui.voting.log import append_line

NAME = "rejudged.jsonl"
Record = dict[str, Any]
Key = tuple[str, str, str | None]


@dataclass(frozen=True)
class Other:
    """Another judge's verdict on a row."""

    name: str
    """The model that was asked."""
    item: Item
    record: Record
    path: Path
    line: int


class OtherJudges:
    """The verdicts of other judges on the rows of one source."""

    def __init__(self) -> None:
        self._of: dict[Path, dict[Key, list[Other]]] = {}

    def append(self, votes: Path, row: Record, asked: Asked) -> Other:
        """Write a row and the model that was asked beside the file of the votes.

        Raises StoreError if it cannot be written. It cost something, and is shown until the screen is closed.
        """
        path = votes.with_name(NAME)
        known = self._read(path)
        record = {**row, "asked": {"model": asked.model, "base_url": without_secrets(asked.base_url) or None}}
        line = 1 + sum(map(len, known.values()))
        other = Other(asked.model, item_of_record(record, 0), record, path, line)
        known.setdefault(_key(other.item), []).append(other)
        append_line(path, msgspec.json.encode(record))
        return other

    def on(self, votes: Path, item: Item) -> list[Other]:
        """Return the verdicts on the answer or the two answers of a row, the oldest first."""
        return self._read(votes.with_name(NAME)).get(_key(item), [])

    def _read(self, path: Path) -> dict[Key, list[Other]]:
        if path not in self._of:
            self._of[path] = {}
            for other in _others_in(path):
                self._of[path].setdefault(_key(other.item), []).append(other)
        return self._of[path]


def _others_in(path: Path) -> Iterator[Other]:
    """Yield the rows of a file. A line that is none, such as a torn one, is left out."""
    if not path.is_file():
        return
    with opened(path) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = msgspec.json.decode(line, type=Record)
            item = item_of_record(record, 0)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InputError):
            continue
        asked = record.get("asked")
        name = asked.get("model") if isinstance(asked, dict) else None
        if item.kind in (JUDGMENT, COMPARISON):
            yield Other(str(name or item.judge or "another judge"), item, record, path, number)


def _key(item: Item) -> Key:
    return item.prompt_id, item.text_a, item.text_b


def beside(view: View, body: Body, others: list[Other]) -> str:
    """Return this row's verdict and those of the other judges, one a line, and then each of theirs whole."""
    if not others:
        return ""
    here = f"{'the row':<20} {verdict(body.item)}  judge {one_line(body.item.judge) or '-'}"
    lines = [f"{one_line(other.name)[:20]:<20} {verdict(other.item)}  judge {other.item.judge}" for other in others]
    wholes = [f"══ {_title(other)}\n\n{reasons_text(view, _body(body, other))}" for other in others]
    return "\n\n".join(["\n".join(["verdicts beside each other", here, *lines]), *wholes, "══ the row's own"])


def _title(other: Other) -> str:
    return f"{one_line(other.name)} on the rubric {one_line(other.item.rubric)}"


def _body(body: Body, other: Other) -> Body:
    return Body(body.row, other.item, other.record, other.path, other.line)


def verdict(item: Item) -> str:
    """Return a verdict in a few words."""
    if item.text_b is None:
        shown = f"score {number_text(item.score_a)}"
    else:
        shown = f"winner {WINNERS[item.winner] or '-'}" + (" ↔ the orders disagree" if item.flipped == 2 else "")
    return f"{shown}  ✗ {one_line(item.error)[:60]}" if item.error else shown
