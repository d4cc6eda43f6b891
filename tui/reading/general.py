"""Other people's rows: pairs and rankings in the formats that `records` reads, and the harnesses' judgments."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from console.errors import InputError
from records.fields.better import better_in, says_which
from records.fields.labels import Codes
from records.fields.preferences import names_in, says_better
from records.files import Record
from records.rows import Message, Winner
from records.shapes import pairs_of, responses_of, several_in, sides_of
from tui.reading.harness import harness_items, is_harness
from tui.reading.kinds import COMPARISON, JUDGMENT, PAIR, RESPONSE
from tui.text import known_number

JUDGES = ("judge", "annotator", "judge_model")


@dataclass(slots=True)
class General:
    """A verdict of a row that this project did not write."""

    kind: int
    prompt: str | list[Message]
    prompt_id: str
    text_a: str
    text_b: str | None = None
    model_a: str = ""
    model_b: str = ""
    score_a: float | None = None
    score_b: float | None = None
    margin: float | None = None
    confidence: float | None = None
    winner: Winner | None = None
    flipped: int = 0
    judge: str = ""
    error: str = ""


def general_items(record: Record, codes: Codes | None) -> list[General]:
    """Return the verdicts of a record. Raises InputError if there is none."""
    if is_harness(record):
        return [General(**fields) for fields in harness_items(record)]
    if names_in(record) is not None:
        return list(_two_sides(record, codes))
    if several_in(record):
        return [_pair_of(record, pair) for pair in pairs_of(record, codes, empty=True)]
    return list(_single(record))


def _two_sides(record: Record, codes: Codes | None) -> Iterator[General]:
    sides, names = sides_of(record), names_in(record)
    if sides is None or names is None:
        return
    winner: Winner | None = None
    error = ""
    if says_which(record, names):
        winner = better_in(record, names, codes)
    else:
        error = "no label"
    scores = [known_number(record.get(f"{name}_score")) for name in names]
    share = _alpaca_share(record, names)
    for first, second in product(*sides):
        yield General(
            PAIR if says_better(names) else COMPARISON,
            first.prompt,
            first.prompt_id if record.get("prompt_id") is not None else str(record.get("id") or first.prompt_id),
            first.response,
            second.response,
            first.model if first.model != "unknown" else "",
            second.model if second.model != "unknown" else "",
            scores[0] if share is None else 1 - share,
            scores[1] if share is None else share,
            known_number(record.get("margin")),
            known_number(record.get("confidence")),
            winner,
            judge=_judge(record),
            error=error,
        )


def _alpaca_share(record: Record, names: tuple[str, str]) -> float | None:
    """Return the preference for the second output of an annotation of AlpacaEval 2, which is a number from 1 to 2."""
    value = known_number(record.get("preference"))
    is_graded = names == ("output_1", "output_2") and "annotator" in record and value is not None
    return value - 1 if is_graded and value is not None and 1 <= value <= 2 else None


def _pair_of(record: Record, pair: Any) -> General:
    return General(
        PAIR,
        pair.prompt,
        pair.prompt_id,
        pair.chosen[0]["content"],
        pair.rejected[0]["content"],
        score_a=pair.chosen_score,
        score_b=pair.rejected_score,
        margin=pair.margin,
        winner="a",
        judge=pair.judge or _judge(record),
    )


def _single(record: Record) -> Iterator[General]:
    for answer in responses_of(record):
        score = known_number(record.get("score"))
        if not answer.response and answer.model == "unknown" and score is None and len(record) < 2:
            raise InputError("no answer in this row")
        yield General(
            RESPONSE if score is None else JUDGMENT,
            answer.prompt,
            answer.prompt_id,
            answer.response,
            model_a=answer.model if answer.model != "unknown" else "",
            score_a=score,
            judge=_judge(record),
        )


def _judge(record: Record) -> str:
    return next((value for name in JUDGES if isinstance(value := record.get(name), str)), "")
