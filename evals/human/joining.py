"""Finds the comparison that each vote is on.

A vote names its two answers by their ids. A comparison has only their texts. So the ids of a text are those that the
run's responses and judgments give it, and the one that the text itself gives (`records.rows.text_id`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import msgspec

from console.progress import say
from records import Comparison, read_rows
from records.rows import Winner, text_id
from records.runs import Run
from records.votes import Key

Winners = Mapping[str, str | None]
"""The id of the better answer by voter, None for a tie."""
SHOWN = 3


@dataclass(frozen=True)
class Voted:
    """A comparison and what each person says of it."""

    comparison: Comparison
    votes: dict[str, Winner]
    """By voter, with a and b as in the comparison."""

    @property
    def value(self) -> float:
        """Return people's preference for b: the mean of their votes, where a tie counts half."""
        values = [{"a": 0.0, "tie": 0.5, "b": 1.0}[vote] for vote in self.votes.values()]
        return sum(values) / len(values)


class _Answer(msgspec.Struct):
    prompt_id: str = ""
    response: str = ""
    id: str = ""
    response_id: str | None = None


Ids = dict[tuple[str, str], set[str]]
"""The ids of an answer by its prompt's id and its text."""


def ids_in(files: Iterable[Path], prompts: set[str]) -> Ids:
    """Return the ids that responses and judgments give to the answers to some prompts."""
    known: Ids = {}
    decoder = msgspec.json.Decoder(_Answer)
    for path in files:
        with path.open("rb") as file:
            for line in file:
                try:
                    row = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # another kind of row, or a torn last one: its answer keeps the id of its text
                if row.prompt_id in prompts:
                    known.setdefault((row.prompt_id, row.response), set()).add(row.response_id or row.id)
    return known


def answer_files(run: Run) -> list[Path]:
    """Return the files of a run that give ids to answers."""
    names = ("responses.jsonl", "judgments.jsonl", "iter*.jsonl")
    return sorted({path for name in names for path in run.folder.rglob(name) if path.is_file()})


def joined(by_pair: Mapping[Key, Winners], comparisons: Iterable[Comparison], ids: Ids) -> list[Voted]:
    """Return the comparisons that were voted on. Votes on none of them are counted on stderr."""
    matched: set[Key] = set()
    joined_rows = []
    for row in comparisons:
        key = next((key for key in _keys(row, ids) if key in by_pair), None)
        if key is not None:
            matched.add(key)
            joined_rows.append(Voted(row, {voter: _side(winner, row, ids) for voter, winner in by_pair[key].items()}))
    if lost := [prompt_id for prompt_id, answers in by_pair if (prompt_id, answers) not in matched]:
        shown = ", ".join(lost[:SHOWN]) + (", ..." if len(lost) > SHOWN else "")
        say(f"{len(lost)} of {len(by_pair)} pairs that were voted on are in no comparison here: prompts {shown}")
    return joined_rows


def read_comparisons(files: Iterable[Path]) -> Iterator[Comparison]:
    """Yield the comparisons of the files, each once, in the last state that was written."""
    latest: dict[str, Comparison] = {}
    for path in files:
        latest |= {row.id: row for row in read_rows(path, Comparison)}
    yield from latest.values()


def _keys(row: Comparison, ids: Ids) -> Iterator[Key]:
    for a, b in product(_ids(row, row.response_a, ids), _ids(row, row.response_b, ids)):
        yield row.prompt_id, frozenset((a, b))


def _ids(row: Comparison, text: str, ids: Ids) -> set[str]:
    return {text_id(text), *ids.get((row.prompt_id, text), ())}


def _side(winner: str | None, row: Comparison, ids: Ids) -> Winner:
    if winner is None:
        return "tie"
    return "a" if winner in _ids(row, row.response_a, ids) else "b"
