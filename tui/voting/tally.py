"""Which row each vote is on, and what people say of each row."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from console.errors import InputError
from records.rows import Vote
from tui.reading.kinds import WINNERS
from tui.reading.packed import digest
from tui.reading.table import Body, Table
from tui.voting.ids import AnswerIds, Ids
from tui.voting.log import Key, VoteLog

NONE, A, B, TIE = range(4)


class Tally:
    """The votes on the rows of a table. A row's votes are told in its own order of the two answers."""

    def __init__(self, table: Table, log: VoteLog) -> None:
        self.table = table
        self.log = log
        self.answers = AnswerIds(table)
        self.by_row: dict[int, dict[str, Vote]] = {}
        """The vote of each voter, by row."""
        self.ids_of: dict[int, Ids] = {}
        self._matched: set[Key] = set()
        self._by_pair: dict[Key, dict[str, Vote]] = {}
        self._n_rows = 0
        self.update()

    def update(self) -> None:
        """Match the votes with the rows again, after new rows or new votes."""
        self.by_row, self.ids_of, self._matched = {}, {}, set()
        self._by_pair = self.log.by_pair()
        self._match(self._by_pair)
        self._n_rows = len(self.table.rows)

    def follow(self) -> bool:
        """Match again if there is something new in the table or in the file, and return whether there was."""
        if self.log.refresh() or len(self.table.rows) != self._n_rows:
            self.update()
            return True
        return False

    def _match(self, by_pair: Mapping[Key, dict[str, Vote]]) -> None:
        wanted = defaultdict(list)
        for key in by_pair:
            wanted[digest(key[0])].append(key)
        if not wanted:
            return
        rows = self.table.rows
        has_two = (rows["chars_b"] >= 0) & (rows["replaced"] == 0)
        digests = np.array(sorted(wanted), dtype="u8")
        for row in np.flatnonzero(has_two & np.isin(rows["prompt_id"], digests)).tolist():
            try:
                body = self.table.body(row)
                ids = self.answers.ids(body)
            except InputError:
                continue
            key = (body.item.prompt_id, frozenset(ids or ()))
            if ids is not None and key in by_pair:
                self.by_row[row], self.ids_of[row] = by_pair[key], ids
                self._matched.add(key)

    def unmatched(self) -> list[Key]:
        """Return the pairs of answers that were voted on and are in no row."""
        return [key for key in self._by_pair if key not in self._matched]

    def ids(self, body: Body) -> Ids | None:
        """Return the ids of the answers of a row, or None if it has only one."""
        return self.ids_of.get(body.row) or self.answers.ids(body)

    def votes_on(self, row: int) -> dict[str, int]:
        """Return the place in WINNERS of each voter's vote on a row."""
        if row not in self.by_row:
            return {}
        ids = self.ids_of[row]
        return {voter: side_of(vote, ids) for voter, vote in self.by_row[row].items()}

    def human(self, rows: np.ndarray) -> np.ndarray:
        """Return what most people say of each row, a place in WINNERS. Without a majority it is a tie."""
        sides = np.zeros(len(rows), dtype="i1")
        for row in self.by_row:
            if row < len(rows):
                sides[row] = majority(self.votes_on(row).values())
        return sides

    def n_votes(self, rows: np.ndarray) -> np.ndarray:
        """Return how many people voted on each row."""
        counts = np.zeros(len(rows), dtype="f8")
        for row, votes in self.by_row.items():
            if row < len(rows):
                counts[row] = len(votes)
        return counts

    def agrees(self, rows: np.ndarray) -> np.ndarray:
        """Return for each row 2 if people say what the judge says, 1 if not, 0 if either says nothing."""
        human = self.human(rows)
        known = (human != NONE) & (rows["winner"] != NONE)
        return np.where(known, np.where(human == rows["winner"], 2, 1), 0)


def side_of(vote: Vote, ids: Ids) -> int:
    """Return the place in WINNERS of a vote on the answers `ids`, in their order."""
    if vote.winner in (None, "tie"):
        return NONE if vote.winner is None else TIE
    winner_id = vote.a_id if vote.winner == "a" else vote.b_id
    return A if winner_id == ids[0] else B


def majority(sides: Iterable[int]) -> int:
    """Return the most frequent side, or a tie if there is no single one."""
    counts = Counter(sides).most_common(2)
    if not counts:
        return NONE
    return TIE if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def winner_word(side: int) -> str:
    """Return `a`, `b`, `tie`, or nothing."""
    return WINNERS[side]
