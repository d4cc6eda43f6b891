"""The fields that a filter can name, each with its kind of value and its numbers in the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tui.reading.kinds import KINDS, WINNERS, YES_NO
from tui.reading.table import Table
from tui.voting.tally import Tally

FieldKind = Literal["choice", "number", "word"]


@dataclass(frozen=True)
class View:
    """What a filter looks at: the rows, and the votes on them."""

    table: Table
    rows: np.ndarray
    tally: Tally
    kind: str = ""
    """The kind of row that is shown, within which rows are numbered."""


@dataclass(frozen=True)
class Field:
    """A field of the filter line."""

    name: str
    kind: FieldKind
    what: str
    """One line of help."""
    values: Callable[[View], np.ndarray]
    """Numbers (NaN is unknown) for a number, places in `choices` for a choice, codes of words for a word."""
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """The coded fields of a word, any of which may match."""


def _number(name: str) -> Callable[[View], np.ndarray]:
    return lambda view: np.ascontiguousarray(view.rows[name])


def _whole(name: str) -> Callable[[View], np.ndarray]:
    def values(view: View) -> np.ndarray:
        column: np.ndarray = view.rows[name].astype("f8")
        column[column < 0] = np.nan
        return column

    return values


def _longest(view: View) -> np.ndarray:
    longest: np.ndarray = np.maximum(view.rows["chars_a"], view.rows["chars_b"]).astype("f8")
    longest[view.rows["chars_a"] < 0] = np.nan
    return longest


def _delta(view: View) -> np.ndarray:
    return delta_chars(view.rows)


def delta_chars(rows: np.ndarray) -> np.ndarray:
    """Return the characters of the first answer minus those of the second, NaN without both."""
    delta: np.ndarray = rows["chars_a"].astype("f8") - rows["chars_b"]
    delta[(rows["chars_a"] < 0) | (rows["chars_b"] < 0)] = np.nan
    return delta


def longer_side(rows: np.ndarray) -> np.ndarray:
    """Return for each row 1 if the winner is the longer answer, 2 if the shorter one, 0 if neither."""
    delta = delta_chars(rows)
    won = np.where(rows["winner"] == 1, delta, np.where(rows["winner"] == 2, -delta, 0.0))
    return np.where(won > 0, 1, np.where(won < 0, 2, 0))


def _flag(test: Callable[[View], np.ndarray]) -> Callable[[View], np.ndarray]:
    return lambda view: np.where(test(view), 2, 1)


def _score(view: View) -> np.ndarray:
    return np.asarray(np.fmax(view.rows["score_a"], view.rows["score_b"]))


def _top(view: View) -> np.ndarray:
    score = _score(view)
    highest = np.nanmax(score) if np.isfinite(score).any() else np.nan
    return np.asarray(score >= highest)


def _choice(name: str) -> Callable[[View], np.ndarray]:
    return lambda view: np.asarray(view.rows[name])


NO_CHOICE = "none"
SIDES = (NO_CHOICE, *WINNERS[1:])
KNOWN = (NO_CHOICE, *YES_NO[1:])
FIELDS = (
    Field("kind", "choice", "what the row is", _choice("kind"), KINDS),
    Field("winner", "choice", "the judge's winner", _choice("winner"), SIDES),
    Field("human", "choice", "what people voted", lambda view: view.tally.human(view.rows), SIDES),
    Field("flipped", "choice", "the two orders name different winners", _choice("flipped"), KNOWN),
    Field("agrees", "choice", "people agree with the judge", lambda view: view.tally.agrees(view.rows), KNOWN),
    Field(
        "longer", "choice", "the longer answer won or lost", lambda v: longer_side(v.rows), (NO_CHOICE, "won", "lost")
    ),
    Field("unscored", "choice", "there is no verdict", _flag(lambda v: without_verdict(v.rows)), KNOWN),
    Field("top", "choice", "the highest score that there is", _flag(_top), KNOWN),
    Field("score", "number", "the higher score", _score),
    Field("score_a", "number", "the first answer's score", _number("score_a"), aliases=("a",)),
    Field("score_b", "number", "the second answer's score", _number("score_b"), aliases=("b",)),
    Field("margin", "number", "the distance of the two scores", _number("margin")),
    Field("spread", "number", "how far the samples lie apart", _number("spread")),
    Field("confidence", "number", "how sure the pair is", _number("confidence")),
    Field("len", "number", "characters of the longer answer", _longest, aliases=("length", "chars")),
    Field("delta", "number", "characters of a minus those of b", _delta, aliases=("dlen", "Δlen")),
    Field("iter", "number", "the iteration", _whole("iter"), aliases=("iteration",)),
    Field("line", "number", "the line in the file", _whole("line")),
    Field("refuted", "number", "refuted claims", _whole("refuted")),
    Field("votes", "number", "how many people voted", lambda view: view.tally.n_votes(view.rows)),
    Field("judge", "word", "the judge's fingerprint or name", _choice("judge"), columns=("judge",)),
    Field("model", "word", "who wrote an answer", _choice("model_a"), columns=("model_a", "model_b")),
    Field("model_a", "word", "who wrote the first answer", _choice("model_a"), columns=("model_a",)),
    Field("model_b", "word", "who wrote the second answer", _choice("model_b"), columns=("model_b",)),
    Field("rubric", "word", "the rubric", _choice("rubric"), columns=("rubric",)),
    Field("error", "word", "why there is no verdict", _choice("error"), columns=("error",)),
    Field("broken", "word", "a broken constraint", _choice("broken"), columns=("broken",)),
    Field("followed", "word", "a followed constraint", _choice("followed"), columns=("followed",)),
    Field("file", "word", "the file's path", _choice("source")),
)
BY_NAME = {name: field for field in FIELDS for name in (field.name, *field.aliases)}
PRESETS = {
    "disagrees with human": "agrees:no",
    "order flips": "flipped:yes",
    "unscored": "unscored:yes",
    "longer won": "longer:won",
    "near ties": "margin<0.5",
    "top score": "top:yes",
    "refuted claims": "refuted>0",
    "broken constraints": "broken:yes",
    "not voted on": "human:none",
}


def without_verdict(rows: np.ndarray) -> np.ndarray:
    """Return which rows should have a verdict and have none."""
    judged = rows["kind"] != 0
    return np.asarray(judged & np.where(rows["chars_b"] < 0, np.isnan(rows["score_a"]), rows["winner"] == 0))
