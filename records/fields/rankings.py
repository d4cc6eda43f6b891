"""Several answers to one prompt in one record: their texts, and the scores or ranks that order them."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean
from typing import Any

from console.errors import InputError
from records.fields.messages import chat_in, is_conversation, message_of, text_in
from records.fields.values import Record, is_empty, number_in

COMPLETION_SCORES = ("fine-grained_score", "overall_score", "score")
"""UltraFeedback's and Gemini's. The fine-grained score is first, because some overall scores of 10 were meant as 1."""
RANK = "rank"
OBJECTS = {"completions": ("response", "completion"), "answers": ("answer",)}
"""Lists of objects with the fields of their texts: UltraFeedback's and Gemini's, Nectar's."""
TEXTS = ("responses", "generations")
"""Lists of texts: this project's, distilabel's."""
SCORES, RANKS = ("scores", "ratings"), ("ranks",)
"""Lists of numbers beside the texts. The lowest rank is the best."""
MODELS = ("generation_models", "models", "model_names")


@dataclass(frozen=True)
class Answer:
    """One of several answers."""

    text: str
    score: float | None
    """Higher is better. None if nobody gave one."""
    is_rank: bool
    """True if the score is the negative of a rank."""
    record: Record
    """The record's fields for this answer, over those for all answers."""


def answers_in(record: Record) -> list[Answer]:
    """Return the answers of a list of several to one prompt, or nothing. Raises InputError if one is no text.

    A score that is there must be a number, and a list of them as long as that of the answers.
    """
    for name, fields in OBJECTS.items():
        listed = record.get(name)
        if isinstance(listed, list) and listed and all(isinstance(item, dict) for item in listed):
            scale = _scale(listed)
            return [_object(record, item, fields, name, scale) for item in listed]
    for name in TEXTS:
        listed = record.get(name)
        if isinstance(listed, list) and listed and all(isinstance(item, str) for item in listed):
            return _beside(record, listed, name)
    return []


def best_and_worst(answers: Sequence[Answer]) -> tuple[Answer, Answer] | None:
    """Return the answers with the highest and the lowest score, the first of equal ones, or None for a tie.

    An answer without a score is neither. Raises InputError if fewer than two have one.
    """
    known = [answer for answer in answers if answer.score is not None]
    if not known:
        raise InputError("several answers, and none is said to be the best: score them with judges.score, then choose")
    if len(known) == 1:
        raise InputError(f"only one of {len(answers)} answers has a score or rank: no pair")
    best = max(known, key=_score)
    worst = min(known, key=_score)
    return None if best.score == worst.score else (best, worst)


def places_by_text(texts: Iterable[Hashable]) -> list[list[int]]:
    """Return the places of each text that is there, in the order in which they first come."""
    places: dict[Hashable, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    return list(places.values())


def ordered_places(texts: Sequence[str], scores: Sequence[float]) -> list[tuple[int, int]]:
    """Return the first places of every two texts that differ and are not tied, the one with the higher score first.

    A text that several people scored is one answer, with the mean of their scores: a pair of it with itself, or two
    pairs of opposite order with another one, would be wrong whatever a judge says.
    """
    means = [
        (places[0], fmean(scores[place] for place in places))
        for places in places_by_text(text.strip() for text in texts)
    ]
    # Permutations give each two in both orders, of which at most one has the higher mean first.
    return [(better, worse) for (better, high), (worse, low) in permutations(means, 2) if high > low]


def _score(answer: Answer) -> float:
    assert answer.score is not None
    return answer.score


def _scale(answers: Sequence[Record]) -> str | None:
    """Return the one field with the scores of all answers, because those of two fields cannot be compared."""
    counts = {name: sum(not is_empty(answer.get(name)) for answer in answers) for name in (*COMPLETION_SCORES, RANK)}
    # Of several that are equally often there max takes the first, so the order of COMPLETION_SCORES counts.
    return max(counts, key=lambda name: counts[name]) if any(counts.values()) else None


def _object(record: Record, one: Record, fields: Sequence[str], name: str, scale: str | None) -> Answer:
    field = next((field for field in fields if one.get(field) is not None), fields[0])
    value = one.get(field)
    text = _text(value, field)
    number = None if scale is None else _number(one.get(scale), name)
    if number is not None and scale == RANK:
        number = -number
    return Answer(text, number, scale == RANK, {**record, **one})


def _text(value: object, name: str) -> str:
    """Return an answer: text, or one message of the assistant, alone or in a list (Gemini, NeMo)."""
    if isinstance(value, dict) and ("role" in value or "parts" in value):
        return message_of(value)["content"]
    if not is_conversation(value):
        return text_in(value, name, empty=True)
    chat = chat_in(value, name)
    if len(chat) != 1 or chat[0]["role"] != "assistant":
        raise InputError(f"'{name}' must be one assistant message, found {len(chat)}")
    return chat[0]["content"]


def _beside(record: Record, texts: Sequence[str], name: str) -> list[Answer]:
    models = _listed(record, MODELS, len(texts), name, strict=False)
    ranks = _listed(record, RANKS, len(texts), name)
    scores = _listed(record, SCORES, len(texts), name) if ranks is None else None
    answers = []
    for place, text in enumerate(texts):
        fields = {**record, "model": models[place]} if models and isinstance(models[place], str) else record
        number = _number((ranks or scores or [None] * len(texts))[place], name)
        order = number if ranks is None or number is None else -number
        answers.append(Answer(text_in(text, name, empty=True), order, ranks is not None, fields))
    return answers


def _listed(record: Record, names: Sequence[str], n: int, of: str, *, strict: bool = True) -> list[Any] | None:
    """Return the list beside the answers. Raises InputError if it has another length, unless not `strict`."""
    for name in names:
        value = record.get(name)
        if isinstance(value, list) and value:
            if len(value) == n:
                return value
            if strict:
                raise InputError(f"{n} {of}, but {len(value)} {name}")
    return None


def _number(value: object, name: str) -> float | None:
    if is_empty(value):
        return None
    number = number_in(value)
    if number is None:
        raise InputError(f"'{name}': a score or rank must be a number, found {str(value)[:40]!r}")
    return number
