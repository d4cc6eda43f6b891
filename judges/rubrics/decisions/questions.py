"""Turns a rubric into the questions of a decision endpoint: one for each criterion."""

from functools import cache
from pathlib import Path
from typing import Literal

from console.reading import read_toml
from engines.protocol import Question
from judges.rubrics.rubric import Rubric

WORDS = Path(__file__).parent / "words.toml"
MOST_LEVELS = 10
"""Endpoints label the levels of a score with digits."""


def question_of(rubric: Rubric, number: int) -> Question:
    """Return question `number`: a predicate for yes and no, a score for numbers, a choice for other verdicts."""
    kind, label = _kind(rubric), rubric.labels[number]
    described = rubric.criteria[number].description if rubric.criteria else ""
    if described and kind == "predicate":  # a statement, which is true or not, so that it asks for no grade
        label, described = f"{label}: {described}", ""
    text = wording()["criterion" if described else kind].replace("{label}", label).replace("{description}", described)
    return Question(kind, text, number, len(rubric.labels))


def _kind(rubric: Rubric) -> Literal["predicate", "choice", "score"]:
    choices, values = rubric.logprobs.choices, list(rubric.choice_values)
    if set(choices) == {"yes", "no"}:
        return "predicate"
    return "choice" if rubric.values or len(choices) > MOST_LEVELS or values != sorted(values) else "score"


@cache
def wording() -> dict[str, str]:
    """Return the words of the questions, which are part of a judge's fingerprint."""
    return {name: str(text) for name, text in read_toml(WORDS).items()}
