"""The state of the screen: the rows that pass the filter, in an order, for one voter."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from console.errors import InputError
from console.visible import one_line
from records.rows import Vote
from tui.filters.fields import View
from tui.filters.language import Filter, Text, of_kind, parse_filter
from tui.filters.search import search
from tui.reading.harness import NOT_STORED
from tui.reading.kinds import KINDS
from tui.reading.table import Body, Table
from tui.rejudging.others import Other, OtherJudges
from tui.summary.columns import sorted_rows
from tui.voting.ids import Ids
from tui.voting.log import VoteLog, now
from tui.voting.queue import QueueName, is_swapped, queue_of
from tui.voting.tally import TIE, A, B, Tally

PREFERRED_KINDS = ("pair", "comparison", "judgment", "response")
ALL = "all"
SIDES = {A: "a", B: "b", TIE: "tie"}
BLIND_HIDES = frozenset(
    {"winner", "a", "b", "margin", "spread", "delta", "flipped", "human", "judge", "model", "error"}
)
"""Columns that say, or from which one can tell, which answer the judge or another voter prefers."""


@dataclass(frozen=True)
class Group:
    """The answers of one iteration."""

    label: str
    answers: np.ndarray
    """The rows that answer the prompt, the best first."""
    all: np.ndarray
    """Every row of single answers of the iteration, for its trend."""


@dataclass
class Browsing:
    """The rows on the screen and the person before it."""

    table: Table
    log: VoteLog
    voter: str
    seed: int = 0
    blind: bool = False
    kind: str = ""
    """The kind of row that is shown, or `all`."""
    is_kind_chosen: bool = False
    """Whether the person chose the kind. Otherwise it is the first one of those that there are."""
    line: str = ""
    """The filter as it was typed."""
    sort_column: str = "number"
    descending: bool = False
    queue: QueueName | None = None
    order: np.ndarray = field(default_factory=lambda: np.empty(0, dtype="i8"))
    """The rows that are shown, in the order of the screen."""
    notes: dict[int, str] = field(default_factory=dict)
    """Notes that wait for the vote on their row."""
    blind_votes: set[int] = field(default_factory=set)
    """Rows that were voted on while blind, which are then shown whole."""

    others: OtherJudges = field(default_factory=OtherJudges)
    """The verdicts of other judges that were asked from here."""

    @cached_property
    def tally(self) -> Tally:
        """Return the votes on the rows."""
        return Tally(self.table, self.log)

    @property
    def view(self) -> View:
        """Return what filters and columns look at."""
        return View(self.table, self.table.rows, self.tally, self.kind)

    def kinds(self) -> list[str]:
        """Return the kinds of rows that there are, the one to show first at the start."""
        counts = self.table.kinds()
        return [kind for kind in PREFERRED_KINDS if kind in counts]

    def next_kind(self) -> str:
        """Show the next kind of row, and return it. After the last one all are shown."""
        self.is_kind_chosen = True
        kinds = [*self.kinds(), ALL]
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)] if self.kind in kinds else kinds[0]
        return self.kind

    def filter(self) -> Filter:
        """Return the filter of the line. Raises InputError if it is wrong."""
        return parse_filter(self.line)

    def passing(self) -> tuple[np.ndarray, tuple[Text, ...]]:
        """Return the rows that pass everything but the texts, in order, and the texts still to be looked for.

        Raises InputError if the filter is wrong.
        """
        if not self.is_kind_chosen and len(self.table):
            self.kind = self.kinds()[0]  # again and again: the files of a run are read one after the other
        wanted, view = self.filter(), self.view
        mask = wanted.mask(view)
        names_kind = any(term.field.name == "kind" for term in wanted.terms)
        if self.kind != ALL and set(self.table.kinds()) != {self.kind} and not names_kind:
            mask &= of_kind(self.kind).mask(view)
        rows = np.flatnonzero(mask)
        if self.queue is not None:
            return queue_of(self.queue, self.tally, rows, self.voter, self.seed), wanted.texts
        return sorted_rows(view, rows, self.sort_column, descending=self.descending), wanted.texts

    def show_all(self) -> np.ndarray:
        """Set the order and return it, the texts looked for at once. Raises InputError if the filter is wrong."""
        rows, texts = self.passing()
        if texts:
            is_hit = np.zeros(rows.max(initial=0) + 1, dtype=bool)
            for _, hits in search(self.table, np.sort(rows), texts):
                is_hit[hits] = True
            rows = rows[is_hit[rows]]
        self.order = rows
        return rows

    def sort_by(self, column: str) -> None:
        """Sort by a column, or turn its order round if it is sorted by already."""
        self.descending = not self.descending if column == self.sort_column and self.queue is None else False
        self.sort_column, self.queue = column, None

    def find(
        self, text: str, start: int, step: int, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[int | None]:
        """Yield None after each step of a search, and then the place in the order of the next row with a text.

        It begins after `start`, in either direction (`step` 1 or -1), and goes round once.
        """
        n = len(self.order)
        places = (start + step * np.arange(1, n + 1)) % max(n, 1)
        at = 0
        for seen, hits in search(self.table, self.order[places], [Text(text)], stopped):
            if len(hits):
                yield int(places[at + int(np.flatnonzero(self.order[places[at:seen]] == hits[0])[0])])
                return
            at = seen
            yield None

    def swapped(self, body: Body) -> bool:
        """Return whether the second answer is shown first."""
        if not self.blind:
            return False
        ids = self.tally.ids(body)
        return ids is not None and is_swapped(self.seed, body.item.prompt_id, ids)

    def is_hidden(self, row: int) -> bool:
        """Return whether names and verdict of a row are hidden: until the vote, if voting is blind."""
        return self.blind and self.voter not in self.tally.by_row.get(row, {})

    def vote(self, body: Body, shown_side: int) -> Vote:
        """Append a vote for a side as it is shown, and return it.

        Raises InputError if the file holds no two answers, StoreError if the file cannot be written.
        """
        ids = self.tally.ids(body)
        if ids is None:
            raise InputError("a vote needs two answers: v shows pairs and comparisons")
        if NOT_STORED in (body.item.text_a, body.item.text_b):  # its id would be that of every such answer
            raise InputError(f"{body.path.name} does not hold both answers, so no vote can name them")
        swapped = self.swapped(body)
        side = {A: B, B: A}.get(shown_side, shown_side) if swapped else shown_side
        note = self.notes.pop(body.row, "")
        vote = self._vote(body.item.prompt_id, ids, side, note, blind=self.is_hidden(body.row))
        self._append(vote, self.table.source.votes_of(body.path))
        return vote

    def note(self, body: Body, text: str) -> bool:
        """Add a note to the person's vote on a row, or keep it for the vote. Return whether it is written."""
        cast = self.tally.by_row.get(body.row, {}).get(self.voter)
        if cast is None:
            self.notes[body.row] = text
            return False
        self._append(msgspec.structs.replace(cast, at=now(), note=text), self.log.path_of(cast))
        return True

    def undo(self) -> Vote | None:
        """Take the person's latest vote back, and return it, or None if there is none."""
        last = self.log.last_of(self.voter)
        if last is not None:
            self._append(msgspec.structs.replace(last, at=now(), winner=None, note=""), self.log.path_of(last))
        return last

    def rows_of(self, vote: Vote) -> list[int]:
        """Return the places in the order of the rows that a vote was on."""
        rows = [row for row, votes in self.tally.by_row.items() if vote in votes.values()]
        return [int(place) for place in np.flatnonzero(np.isin(self.order, rows))]

    def _vote(self, prompt_id: str, ids: Ids, side: int, note: str, *, blind: bool) -> Vote:
        winner = SIDES[side]
        return Vote(
            at=now(), voter=self.voter, prompt_id=prompt_id, a_id=ids[0], b_id=ids[1],
            winner=winner, blind=blind, note=note,  # type: ignore[arg-type]
        )  # fmt: skip

    def _append(self, vote: Vote, path: Path) -> None:
        self.log.append(vote, path)
        self.tally.update()

    def n_mine(self) -> tuple[int, int]:
        """Return how many of the shown rows with two answers the person has voted on, and how many there are."""
        shown = self.order[self.table.rows["chars_b"][self.order] >= 0]
        cast = [row for row, votes in self.tally.by_row.items() if self.voter in votes]
        return int(np.isin(shown, cast).sum()) if cast else 0, len(shown)

    def candidates(self, row: int) -> np.ndarray:
        """Return the rows of single answers to the same prompt, the highest score first."""
        rows = self.table.rows
        single = (rows["prompt"] == rows["prompt"][row]) & (rows["chars_b"] < 0) & (rows["replaced"] == 0)
        found = np.flatnonzero(single)
        return found[np.argsort(-np.nan_to_num(rows["score_a"][found], nan=-np.inf), kind="stable")]

    def by_iteration(self, row: int) -> list["Group"]:
        """Return the candidates of a prompt by run and iteration, the best of each first. Bare responses count too."""
        rows, found = self.table.rows, self.candidates(row)
        runs = [self.table.source.part_of(file.path) for file in self.table.files]
        of_run = {name: [place for place, other in enumerate(runs) if other == name] for name in dict.fromkeys(runs)}
        single = (rows["chars_b"] < 0) & (rows["replaced"] == 0)
        groups = []
        for name, sources in of_run.items():
            for number in np.unique(rows["iter"][found]).tolist():
                is_own = (rows["iter"] == number) & np.isin(rows["source"], sources)
                label = f"{name} iter{number}".strip() if number >= 0 else name or "no iteration"
                if is_own[found].any():
                    groups.append(Group(label, found[is_own[found]], rows[single & is_own]))
        return groups

    def facts(self, body: Body, place: int) -> str:
        """Return one line on a row: its place, the verdict, the votes, and the lengths."""
        item, hidden = body.item, self.is_hidden(body.row)
        parts = [f"{KINDS[item.kind]} {place + 1:,} of {len(self.order):,}", one_line(item.prompt_id)[:24]]
        if hidden:
            return " │ ".join([*parts, "blind: names and verdict are hidden until you vote"])
        if item.text_b is not None and NOT_STORED not in (item.text_a, item.text_b):
            delta = len(item.text_a) - len(item.text_b)
            longer = f"{'a' if delta > 0 else 'b'} {abs(delta):,} chars longer" if delta else "same length"
            parts.append(longer)
        if item.error:
            parts.append(f"✗ {one_line(item.error)[:60]}")
        votes = self.tally.votes_on(body.row)
        if votes:
            said = ", ".join(f"{one_line(voter)} {SIDES.get(side, '-')}" for voter, side in sorted(votes.items()))
            parts.append(f"votes: {said}")
        if (note := self.note_on(body.row)) != "":
            parts.append(f"note: {one_line(note)[:60]}")
        return " │ ".join(parts)

    def others_on(self, body: Body) -> list[Other]:
        """Return the verdicts of other judges on a row."""
        return self.others.on(self.table.source.votes_of(body.path), body.item)

    def note_on(self, row: int) -> str:
        """Return the person's note on a row, or nothing."""
        cast = self.tally.by_row.get(row, {}).get(self.voter)
        return self.notes.get(row) or (cast.note if cast is not None else "")
