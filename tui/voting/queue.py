"""Queues for voting: rows in random order, the uncertain ones first, or those that are in dispute first."""

from typing import Literal

import numpy as np

from records.keys import derived_seed
from tui.voting.ids import Ids
from tui.voting.tally import NONE, Tally

QueueName = Literal["random", "uncertain", "disagreement"]
QUEUES: dict[QueueName, str] = {
    "random": "in random order, which the corrected win rate needs",
    "uncertain": "the smallest margins and the flipped orders first",
    "disagreement": "people against the judge or each other first",
}


def queue_of(name: QueueName, tally: Tally, rows: np.ndarray, voter: str, seed: int) -> np.ndarray:
    """Return those of `rows` that have two answers, in the order of the queue. Those with a vote of `voter` are last.

    The disagreement queue keeps the rows in dispute first even if the voter has voted, so that they can be seen again.
    """
    table = tally.table.rows
    two = rows[table["chars_b"][rows] >= 0]
    shuffled = two[np.random.default_rng(seed).permutation(len(two))]
    done = np.array([voter in tally.by_row.get(int(row), {}) for row in shuffled], dtype=bool)
    if name == "random":
        return np.asarray(shuffled[np.argsort(done, kind="stable")])
    if name == "uncertain":
        margin = np.nan_to_num(table["margin"][shuffled], nan=np.inf)
        margin[table["flipped"][shuffled] == 2] = -1.0
        return np.asarray(shuffled[np.lexsort((margin, done))])
    in_dispute = np.array([not _is_disputed(tally, int(row)) for row in shuffled], dtype=bool)
    return np.asarray(shuffled[np.lexsort((done, in_dispute))])


def _is_disputed(tally: Tally, row: int) -> bool:
    sides = set(tally.votes_on(row).values())
    judge = int(tally.table.rows["winner"][row])
    return len(sides) > 1 or (bool(sides) and judge != NONE and judge not in sides)


def is_swapped(seed: int, prompt_id: str, ids: Ids) -> bool:
    """Return whether a blind voter sees the second answer first. The same seed always gives the same side."""
    return derived_seed("sides", seed, prompt_id, *ids) % 2 == 1
