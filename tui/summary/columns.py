"""The columns of the table: their titles, their cells, and the values by which rows are sorted and counted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from console.visible import one_line
from tui.filters.fields import View, delta_chars
from tui.reading.kinds import KINDS, WINNERS, YES_NO
from tui.text import number_text

Cells = Callable[[View, int], str]
Keys = Callable[[View, np.ndarray], np.ndarray]
"""Numbers to sort rows by. NaN, which is unknown, comes last."""
HUMAN_MARKS = ("", "✓ a", "✓ b", "= tie")


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str
    title: str
    cells: int
    """Its width, or 0 for the rest of the line."""
    cell: Cells
    keys: Keys
    field: str | None = None
    """The field of the filter line with the same values, for the frequencies."""
    tip: str = ""


def _number(name: str) -> tuple[Cells, Keys]:
    def cell(view: View, row: int) -> str:
        value = float(view.rows[name][row])
        return number_text(None if np.isnan(value) else value)

    return cell, lambda view, rows: view.rows[name][rows].astype("f8")


def _number_cell(view: View, row: int) -> str:
    return str(view.table.number(row, view.kind))


def _word(name: str) -> tuple[Cells, Keys]:
    def keys(view: View, rows: np.ndarray) -> np.ndarray:
        words = view.table.words.words
        rank = np.empty(len(words))
        rank[sorted(range(len(words)), key=lambda code: words[code].casefold())] = np.arange(len(words))
        rank[0] = np.nan
        return np.asarray(rank[view.rows[name][rows]])

    return lambda view, row: one_line(view.table.words.words[int(view.rows[name][row])]) or "-", keys


def _choice(name: str, words: tuple[str, ...]) -> tuple[Cells, Keys]:
    def keys(view: View, rows: np.ndarray) -> np.ndarray:
        places: np.ndarray = view.rows[name][rows].astype("f8")
        places[places == 0] = np.nan if not words[0] else 0
        return places

    return lambda view, row: words[int(view.rows[name][row])] or "-", keys


def _human_cell(view: View, row: int) -> str:
    votes = view.tally.votes_on(row)
    if not votes:
        return "-"
    side = int(view.tally.human(view.rows[: row + 1])[row]) if len(votes) > 1 else next(iter(votes.values()))
    against = int(view.rows["winner"][row]) not in (0, side)
    return HUMAN_MARKS[side] + (" ≠" if against else "") + (f" {len(votes)}" if len(votes) > 1 else "")


def _head_keys(view: View, rows: np.ndarray) -> np.ndarray:
    raise NotImplementedError  # `sorted_rows` compares texts itself


def _iteration(view: View, row: int) -> str:
    iteration = int(view.rows["iter"][row])
    return "-" if iteration < 0 else str(iteration)


def _whole(name: str) -> Keys:
    def keys(view: View, rows: np.ndarray) -> np.ndarray:
        values: np.ndarray = view.rows[name][rows].astype("f8")
        values[values < 0] = np.nan
        return values

    return keys


def _delta_cell(view: View, row: int) -> str:
    first, second = int(view.rows["chars_a"][row]), int(view.rows["chars_b"][row])
    if first < 0:  # the file does not hold the answers
        return "-"
    return f"{first:,}" if second < 0 else f"{first - second:+,}"


def _delta_keys(view: View, rows: np.ndarray) -> np.ndarray:
    part = view.rows[rows]
    delta = delta_chars(part)
    return np.where(np.isnan(delta) & (part["chars_a"] >= 0), part["chars_a"], delta)


COLUMNS = (
    Column("number", "#", 7, _number_cell, lambda view, rows: rows.astype("f8"), tip="row"),
    Column("prompt", "prompt", 0, lambda view, row: view.table.head(row), _head_keys, tip="start of the prompt"),
    Column("winner", "winner", 8, *_choice("winner", WINNERS), "winner", "the judge's verdict"),
    Column("a", "a", 6, *_number("score_a"), "score_a", "score of the first answer, of pairs the chosen one"),
    Column("b", "b", 6, *_number("score_b"), "score_b", "score of the second answer, of pairs the rejected one"),
    Column("margin", "margin", 8, *_number("margin"), "margin", "distance of the two scores"),
    Column("spread", "spread", 8, *_number("spread"), "spread", "how far the samples lie apart"),
    Column("delta", "Δlen", 7, _delta_cell, _delta_keys, "delta", "characters of a minus b; of one answer all"),
    Column("flipped", "flip", 6, *_choice("flipped", YES_NO), "flipped", "the two orders name different winners"),
    Column("human", "human", 9, _human_cell, lambda v, r: _votes(v)[r], "human", "votes; ≠ against the judge"),
    Column("iter", "iter", 6, _iteration, _whole("iter"), "iter", "iteration"),
    Column("judge", "judge", 9, *_word("judge"), "judge", "fingerprint or name"),
    Column("model", "model", 9, *_word("model_a"), "model", "who wrote the first answer"),
    Column("error", "error", 14, *_word("error"), "error", "why there is no verdict"),
    Column("kind", "kind", 11, *_choice("kind", KINDS), "kind", "what the row is"),
)
BY_NAME = {column.name: column for column in COLUMNS}
NOT_OF = {
    "pair": {"winner", "flipped", "spread", "model", "kind"},
    "comparison": {"spread", "kind"},
    "judgment": {"winner", "b", "margin", "flipped", "human", "kind"},
    "response": {"winner", "a", "b", "margin", "spread", "flipped", "human", "judge", "error", "kind"},
}
"""Columns that a kind of row never has a value in."""
NARROW = ("error", "model", "judge", "spread", "delta", "flipped", "iter", "b", "a", "margin")
"""Columns that give way on a small screen, the first one first."""
NARROWEST_PROMPT = 20
STEP_ROWS = 1 << 16
FLOATS = {"a": "score_a", "b": "score_b", "margin": "margin", "spread": "spread"}
CODES = {"flipped": "flipped", "judge": "judge", "model": "model_a", "error": "error"}


def _votes(view: View) -> np.ndarray:
    human = view.tally.human(view.rows).astype("f8")
    human[human == 0] = np.nan
    return human


def without_value(view: View, kind: str) -> frozenset[str]:
    """Return the columns that have no value in any row of a kind: they would only take room from the prompt."""
    empty = {name for name, field in FLOATS.items() if not _any(view, kind, field, lambda part: ~np.isnan(part))}
    empty |= {name for name, field in CODES.items() if not _any(view, kind, field, lambda part: part != 0)}
    return frozenset(empty | (set() if _any(view, kind, "iter", lambda part: part >= 0) else {"iter"}))


def _any(view: View, kind: str, field: str, has_value: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Return whether a row of a kind has a value in a field. Mostly one of the first rows has."""
    for start in range(0, len(view.rows), STEP_ROWS):
        part = view.rows[start : start + STEP_ROWS]
        has = has_value(part[field])
        if (has & (part["kind"] == KINDS.index(kind)) if kind in KINDS else has).any():
            return True
    return False


def columns_for(kind: str, width: int, hidden: frozenset[str] = frozenset()) -> list[Column]:
    """Return the columns for a kind of row on `width` cells, the prompt's with all that the others leave."""
    left_out = NOT_OF.get(kind, set()) | hidden
    shown = [column for column in COLUMNS if column.name not in left_out]
    for name in NARROW:
        if width - sum(column.cells + 1 for column in shown) >= NARROWEST_PROMPT:
            break
        shown = [column for column in shown if column.name != name]
    return shown


def sorted_rows(view: View, rows: np.ndarray, column: str, *, descending: bool) -> np.ndarray:
    """Return `rows` sorted by a column, in a stable order. Rows without a value come last in either direction."""
    if column == "number":  # `rows` are in this order
        return rows[::-1] if descending else rows
    if column == "prompt":
        heads = np.ascontiguousarray(view.rows["head"][rows]).view(">u8").reshape(-1, 2).astype("u8")
        order = np.lexsort((heads[:, 1], heads[:, 0]))
        return np.asarray(rows[order[::-1] if descending else order])
    keys = BY_NAME[column].keys(view, rows)
    unknown = np.isnan(keys)
    known = rows[~unknown]
    values = keys[~unknown]
    return np.concatenate([known[np.argsort(-values if descending else values, kind="stable")], rows[unknown]])
