"""Decisions as the openai SDK asks for them: predicates, choices and scores about an input.

Source: openai 3.52.0, types/decision_create_params.py and types/decision.py. The confidence of a choice or score is the
probability of the most likely option among all tokens, as in vLLM 0.33 (entrypoints/openai/decisions/adapters.py).
"""

import json
import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from console.errors import InputError
from judges.library import response_of
from judges.options import OF_CHOICES
from judges.parsing.verdict import NO_MASS
from judges.rubrics.rubric import LogprobReading, Rubric, load_rubric
from judges.serve.inputs import content_text, input_text
from records import Judgment, Response, Usage

HERE = Path(__file__).parent
MOST_QUESTIONS = 400
MOST_CHOICES = 255
MOST_LEVELS = 10
"""As many as there are digits. vLLM has the same limit."""

Kind = tuple[str, int]
"""The type of a question and its number of options. Questions of one kind are asked with one rubric."""


class Predicate(msgspec.Struct, tag="predicate", tag_field="type"):
    """A statement about the input, which is true or not."""

    instructions: str | list[dict[str, Any]]
    name: str | None = None


class Option(msgspec.Struct):
    """One of the options of a choice."""

    value: str | bool
    description: str = ""


class Choice(msgspec.Struct, tag="choice", tag_field="type"):
    """A choice between options."""

    instructions: str | list[dict[str, Any]]
    choices: list[Option]
    name: str | None = None


class Level(msgspec.Struct):
    """One of the levels of a score."""

    label: str
    description: str = ""


class Score(msgspec.Struct, tag="score", tag_field="type"):
    """A rating on ordered levels, of which the first is 0."""

    instructions: str | list[dict[str, Any]]
    levels: list[Level]
    name: str | None = None


Question = Predicate | Choice | Score


class Body(msgspec.Struct):
    """The body of a request."""

    model: str
    input: str | list[dict[str, Any]]
    questions: list[Question]


@dataclass(frozen=True)
class Asked:
    """A question with the row that a judge reads."""

    question: Question
    kind: Kind
    response: Response


@dataclass(frozen=True)
class Distribution:
    """The probabilities of a question's options, or the reason for none."""

    probabilities: Sequence[float] | None
    """They sum to 1."""
    mass: float | None = None
    """The probability of all options together, or None if it is not known. With sampled replies it is the share of
    replies with a verdict."""
    error: str | None = None


def asked(body: Body, most: int = MOST_QUESTIONS) -> list[Asked]:
    """Return the questions of a request in order. Raises InputError, naming the first that is wrong."""
    n = len(body.questions)
    if not 1 <= n <= most:
        raise InputError(f"'questions' must have 1 to {most} questions, found {n:,}")
    shown = input_text(body.input)
    if not shown.strip():
        raise InputError("'input' is empty")
    rows = []
    for place, question in enumerate(body.questions):
        try:
            kind, text = _worded(question)
        except InputError as error:
            raise InputError(f"questions[{place}]: {error}") from None
        rows.append(Asked(question, kind, response_of(text, shown)))
    return rows


def _worded(question: Question) -> tuple[Kind, str]:
    """Return a question's kind and its text, with a label for each option."""
    text = content_text(question.instructions, "instructions")
    if not text.strip():
        raise InputError("'instructions' is empty")
    match question:
        case Predicate():
            return ("predicate", 2), f"Is this statement about the input true?\n\n{text}"
        case Choice():
            n, values = len(question.choices), {(type(o.value), o.value) for o in question.choices}
            if not 2 <= n <= MOST_CHOICES or len(values) < n:
                raise InputError(f"'choices' must have 2 to {MOST_CHOICES} values that differ, found {n}")
            named = [
                (json.dumps(o.value) if isinstance(o.value, bool) else o.value, o.description) for o in question.choices
            ]
            return ("choice", n), f"{text}\n\nOptions:\n{_listed(labels(('choice', n)), named)}"
    n = len(question.levels)
    if not 2 <= n <= MOST_LEVELS:
        raise InputError(f"'levels' must have 2 to {MOST_LEVELS} levels, found {n}")
    named = [(level.label, level.description) for level in question.levels]
    return ("score", n), f"{text}\n\nLevels, from the lowest:\n{_listed(labels(('score', n)), named)}"


def _listed(names: Sequence[str], options: Sequence[tuple[object, str]]) -> str:
    lines = []
    for name, (value, description) in zip(names, options, strict=True):
        lines.append(f"{name}: {value} - {description}" if description else f"{name}: {value}")
    return "\n".join(lines)


def labels(kind: Kind) -> list[str]:
    """Return what the judge is to reply for each option of a question."""
    name, n = kind
    if name == "predicate":
        return ["no", "yes"]
    if name == "score":
        return list(string.digits[:n])
    return list(string.ascii_uppercase[:n]) if n <= len(string.ascii_uppercase) else [str(k + 1) for k in range(n)]


@cache
def rubric_for(kind: Kind) -> Rubric:
    """Return the rubric by which questions of one kind are asked. An option's value is its place."""
    name, n = kind
    rubric = load_rubric(str(HERE / f"{name}.toml"))
    choices = LogprobReading(labels(kind))
    if name == "score":
        return msgspec.structs.replace(rubric, high=n - 1, logprobs=choices)
    values = {label: float(place) for place, label in enumerate(choices.choices)}
    return msgspec.structs.replace(rubric, values=values, logprobs=choices)


def distribution(judgment: Judgment, kind: Kind) -> Distribution:
    """Return the distribution over a question's options that a judgment by its rubric has."""
    if judgment.score is None:
        return Distribution(None, error=judgment.error or "no verdict")
    names = labels(kind)
    if judgment.read in OF_CHOICES:
        logprobs = msgspec.json.decode(judgment.replies[0], type=dict[str, float | None])
        weights = [0.0 if (lp := logprobs.get(name)) is None else math.exp(lp) for name in names]
        mass = sum(weights)
        is_known = NO_MASS not in logprobs
        return Distribution([weight / mass for weight in weights], min(mass, 1.0) if is_known else None)
    counts = [judgment.scores.count(float(place)) for place in range(len(names))]
    n = sum(counts)
    if n == 0:  # a judge may write 1.5
        return Distribution(None, error="no reply names one of the options")
    return Distribution([count / n for count in counts], n / len(judgment.scores))


def mean_distribution(members: Sequence[Distribution], quorum: int) -> Distribution:
    """Return the mean of a panel's distributions, or why there is none: fewer than `quorum` judges have one."""
    known = [(member.probabilities, member.mass) for member in members if member.probabilities is not None]
    if not known or len(known) < quorum:
        reasons = dict.fromkeys(member.error for member in members if member.error)
        return Distribution(None, error="; ".join(map(str, reasons)))
    columns = zip(*(probabilities for probabilities, _ in known), strict=True)
    masses = [mass for _, mass in known if mass is not None]
    is_known = len(masses) == len(known)  # the mean of a part is not that of the panel
    return Distribution([fmean(column) for column in columns], fmean(masses) if is_known else None)


def answer(question: Question, over: Distribution) -> dict[str, Any]:
    """Return the answer to a question in the SDK's form, with the labels' mass. No verdict is a refusal, with why."""
    if over.probabilities is None:
        return {"type": "refusal", "name": question.name, "error": over.error}
    probabilities = over.probabilities
    top = max(range(len(probabilities)), key=probabilities.__getitem__)
    confidence = probabilities[top] * (1.0 if over.mass is None else over.mass)
    shared = {"name": question.name, "label_mass": over.mass}
    match question:
        case Predicate():
            return {"type": "predicate", **shared, "probability": probabilities[1]}
        case Choice():
            options = [
                {"value": option.value, "probability": probability}
                for option, probability in zip(question.choices, probabilities, strict=True)
            ]
            value = question.choices[top].value
            return {"type": "choice", **shared, "choice": value, "probabilities": options, "confidence": confidence}
    levels = [
        {"value": place, "label": level.label, "probability": probability}
        for place, (level, probability) in enumerate(zip(question.levels, probabilities, strict=True))
    ]
    score = math.fsum(place * probability for place, probability in enumerate(probabilities))
    return {"type": "score", **shared, "score": score, "probabilities": levels, "confidence": confidence}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return what a request cost, in the SDK's form. A stored verdict costs nothing."""
    return {
        "input_tokens": usage.n_prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.n_cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.n_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.n_prompt_tokens + usage.n_tokens,
    }
