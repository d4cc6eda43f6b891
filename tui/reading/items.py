"""One verdict in the same shape, whatever row it comes from: a judgment, a comparison, a pair, a bare response."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from console.errors import InputError
from records.fields.labelled import Labels
from records.fields.labels import Codes
from records.files import Record, decode_record
from records.rows import Message, text_of
from tui.reading.general import General, general_items
from tui.reading.kinds import COMPARISON, JUDGMENT, PAIR, RESPONSE, WINNERS
from tui.text import known_number


class Item(msgspec.Struct, gc=False):
    """A verdict: its prompt, one answer or two, and what was said of them."""

    kind: int
    prompt: str | list[Message]
    prompt_id: str
    text_a: str
    text_b: str | None = None
    id_a: str | None = None
    """The `response_id` of the first answer, if the row has one."""
    model_a: str = ""
    model_b: str = ""
    score_a: float | None = None
    score_b: float | None = None
    margin: float | None = None
    spread: float | None = None
    confidence: float | None = None
    winner: int = 0
    """A place in WINNERS. 0 is no verdict."""
    flipped: int = 0
    """A place in YES_NO. 0 is unknown."""
    judge: str = ""
    rubric: str = ""
    error: str = ""
    row_id: str = ""
    """The id of a row of ours, of which the last one with the same id counts. Empty for others."""
    evidence: Any = None


class _Thin(msgspec.Struct, gc=False):
    """The fields of our rows that the table needs. The rest of a line, such as the replies, is not even decoded."""

    id: Any = None
    prompt_id: Any = None
    prompt: Any = None
    response_id: Any = None
    response: Any = None
    response_a: Any = None
    response_b: Any = None
    model: Any = None
    model_a: Any = None
    model_b: Any = None
    score: Any = None
    scores: Any = None
    spread: Any = None
    winner: Any = None
    orders: Any = None
    flipped: Any = None
    preference_b: Any = None
    error: Any = None
    rubric: Any = None
    judge: Any = None
    chosen: Any = None
    rejected: Any = None
    chosen_score: Any = None
    rejected_score: Any = None
    margin: Any = None
    confidence: Any = None
    evidence: Any = None
    usage: msgspec.Raw = msgspec.Raw()


_THIN = msgspec.json.Decoder(_Thin)


def items_of(line: bytes, codes: Codes | None = None, labels: Labels | None = None) -> list[Item]:
    """Return the verdicts of one line of JSONL. Raises InputError if it holds none.

    `codes` say what a label of other people's rows means, as in `records.shapes.pairs_of`. `labels` sees these rows.
    """
    try:
        thin = _THIN.decode(line)
        record = None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        record = decode_record(line)  # it says what is wrong, and takes half a surrogate pair
        thin = _thin(record)
    item = _own(thin)
    if item is not None:
        return [item]
    record = decode_record(line) if record is None else record
    return [_of_general(other) for other in general_items(labels.seen(record) if labels else record, codes)]


def item_of_record(record: Record, place: int, codes: Codes | None = None) -> Item:
    """Return the verdict at `place` of those in a decoded record. Raises InputError if it is not there."""
    item = _own(_thin(record))
    items = [item] if item is not None else [_of_general(other) for other in general_items(record, codes)]
    if place >= len(items):
        raise InputError("the row is no longer there")
    return items[place]


def _thin(record: Record) -> _Thin:
    return _Thin(**{name: record[name] for name in _Thin.__struct_fields__ if name in record and name != "usage"})


def _own(thin: _Thin) -> Item | None:
    """Return the verdict of a row that this project wrote, or None if it is another's."""
    prompt = thin.prompt
    if not (isinstance(prompt, str) or _is_chat(prompt)) or not isinstance(thin.prompt_id, str):
        return None
    if isinstance(thin.response, str) and isinstance(thin.model, str):
        return _judgment(thin) if isinstance(thin.scores, list) else _response(thin)
    if isinstance(thin.response_a, str) and isinstance(thin.response_b, str) and isinstance(thin.rubric, str):
        return _comparison(thin)
    return _pair(thin) if isinstance(prompt, list) and _is_answer(thin.chosen) and _is_answer(thin.rejected) else None


def _response(thin: _Thin) -> Item:
    return Item(
        RESPONSE, thin.prompt, thin.prompt_id, thin.response, id_a=_text(thin.id), model_a=thin.model,
        row_id=_text(thin.id),
    )  # fmt: skip


def _judgment(thin: _Thin) -> Item:
    return Item(
        JUDGMENT,
        thin.prompt,
        thin.prompt_id,
        thin.response,
        id_a=_text(thin.response_id),
        model_a=thin.model,
        score_a=known_number(thin.score),
        spread=known_number(thin.spread),
        judge=_text(thin.judge),
        rubric=_text(thin.rubric),
        error=_text(thin.error),
        row_id=_text(thin.id),
        evidence=thin.evidence,
    )


def _comparison(thin: _Thin) -> Item:
    share_b = known_number(thin.preference_b)
    return Item(
        COMPARISON,
        thin.prompt,
        thin.prompt_id,
        thin.response_a,
        thin.response_b,
        model_a=_text(thin.model_a),
        model_b=_text(thin.model_b),
        score_a=None if share_b is None else 1 - share_b,
        score_b=share_b,
        margin=None if share_b is None else abs(2 * share_b - 1),
        winner=WINNERS.index(thin.winner) if thin.winner in ("a", "b", "tie") else 0,
        flipped=1 + thin.flipped if isinstance(thin.flipped, bool) else 0,
        judge=_text(thin.judge),
        rubric=_text(thin.rubric),
        error=_text(thin.error),
        row_id=_text(thin.id),
        evidence=thin.evidence,
    )


def _pair(thin: _Thin) -> Item:
    return Item(
        PAIR,
        thin.prompt,
        thin.prompt_id,
        text_of(thin.chosen),
        text_of(thin.rejected),
        score_a=known_number(thin.chosen_score),
        score_b=known_number(thin.rejected_score),
        margin=known_number(thin.margin),
        confidence=known_number(thin.confidence),
        winner=1,
        judge=_text(thin.judge),
        evidence=thin.evidence,
    )


def _of_general(other: General) -> Item:
    both = (other.score_a, other.score_b)
    known = other.text_b is not None and None not in both
    return Item(
        other.kind,
        other.prompt,
        other.prompt_id,
        other.text_a,
        other.text_b,
        model_a=other.model_a,
        model_b=other.model_b,
        score_a=other.score_a,
        score_b=other.score_b,
        margin=abs(both[0] - both[1]) if known and both[0] is not None and both[1] is not None else other.margin,
        confidence=other.confidence,
        winner=WINNERS.index(other.winner or ""),
        flipped=other.flipped,
        judge=other.judge,
        error=other.error,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_chat(value: object) -> bool:
    """Return whether a value is messages, each with a role and a content that are text."""
    return isinstance(value, list) and bool(value) and all(map(_is_message, value))


def _is_answer(value: object) -> bool:
    """Return whether a value is one message of the assistant. Other sets repeat the prompt in front of it."""
    return _is_chat(value) and isinstance(value, list) and len(value) == 1 and value[0]["role"] == "assistant"


def _is_message(turn: object) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)


@dataclass(frozen=True)
class Findings:
    """What a program found of the answers: constraints by outcome, and the number of refuted claims."""

    broken: str = ""
    """The kinds of the broken constraints, with spaces between them."""
    followed: str = ""
    n_refuted: int = 0


NOTHING = Findings()


def findings_in(evidence: Any) -> Findings:
    """Return what the evidence of a row says. Evidence of another shape says nothing."""
    if not evidence:
        return NOTHING
    sides: Sequence[Any] = evidence if isinstance(evidence, list) else [evidence]
    broken, followed, n_refuted = set(), set(), 0
    for side in sides:
        if not isinstance(side, dict):
            continue
        n = side.get("n_refuted")
        n_refuted += n if isinstance(n, int) and n > 0 else 0
        listed = side.get("constraints")
        for checked in listed if isinstance(listed, list) else ():
            if isinstance(checked, dict):
                outcome = checked.get("loose" if side.get("loose") is True else "strict")
                kind = str(checked.get("kind")).replace(" ", "_")
                if outcome == "broken":
                    broken.add(kind)
                elif outcome == "followed":
                    followed.add(kind)
    return Findings(" ".join(sorted(broken)), " ".join(sorted(followed)), n_refuted)
