"""Rubrics: TOML files with a prompt beside them, the scale, and the form of the reply.

Everything that a new scale needs is in the file: its numbers, or its words with their values, its criteria and their
weights, the label before the verdict, the instructions on the form of the reply, and how several verdicts become one.
"""

import math
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from console.errors import InputError
from console.reading import read_text, read_toml
from judges.options import Aggregate
from judges.rubrics.fences.code import PLACEHOLDER, VERSION, tags_in

HERE = Path(__file__).parent
NEEDED = {"score": {"closing", "prompt", "response"}, "pair": {"closing", "prompt", "response_a", "response_b"}}
OPTIONAL = {"score": {"reference", "criteria"}, "pair": {"reference", "criteria", "judged"}}


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instructions on the form of the reply, for each way of reading it. A way without one cannot be used."""

    text: str = ""
    logprobs: str = ""
    structured: str = ""


class LogprobReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words that the reply is made to begin with, and the choices whose probabilities are then read."""

    choices: list[str]
    prefill: str = "{label}: "
    """`{label}` stands for the rubric's label, or for the name of each criterion in turn."""


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several qualities that are graded separately."""

    name: str
    weight: float
    description: str


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):  # dict: for cached_property
    """The prompt of a judge, its scale, and the form of its reply."""

    name: str
    kind: Literal["score", "pair"]
    source: str
    prompt: str
    """The text with its placeholders. In the TOML file it is the name of the file beside it."""
    closing: Closing
    logprobs: LogprobReading
    label: str = ""
    """The word before the verdict in a reply. With criteria it is the name of each."""
    other_labels: list[str] = msgspec.field(default_factory=list, name="labels")
    """Other labels, such as in other languages. They are `labels` in the TOML file. `label` may then be left out."""
    low: float = 0
    high: float = 0
    """The ends of a scale of numbers. With `values` they come from there."""
    values: dict[str, float] = {}
    """The words of a verdict and the value of each. It is empty if the verdict is a number from low to high.
    In a comparison 0 stands for the first answer, 1 for the second."""
    criteria: list[Criterion] = []
    aggregate: Aggregate = "mean"
    """How several replies, or the judges of a panel, become one score."""
    pattern: str = ""
    """A regular expression with a group `verdict`, for replies that are not `label: verdict`. The last match counts."""
    coded_tags: bool = True
    """Whether the tags around the texts get a code that no text can know. false is for a model without tokens for one.
    Then only the spelling of the tags protects them."""

    reasoning_tags: list[tuple[str, str]] = []
    """The opening and closing marks of the model's reasoning, if its chat template has unknown ones. Text between them
    is no part of the reply (text, structured)."""

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags that fence the judged texts. A text must not close one from inside."""
        return tags_in(self.prompt)

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The names of the texts that the prompt shows."""
        return frozenset(PLACEHOLDER.findall(self.prompt))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The words before a verdict: one, or one for each criterion."""
        return tuple(criterion.name for criterion in self.criteria) or (self.label,)

    @cached_property
    def apart(self) -> dict[str, "Rubric"]:
        """The rubric of each label alone, for labels that are asked about separately."""
        return {label: msgspec.structs.replace(self, label=label, criteria=[], pattern="") for label in self.labels}

    @cached_property
    def scale(self) -> tuple[float, float]:
        """The lowest and the highest score."""
        return (min(self.values.values()), max(self.values.values())) if self.values else (self.low, self.high)

    @cached_property
    def choice_values(self) -> tuple[float, ...]:
        """The value of each choice of the log-probability reading."""
        return tuple(self.values[c] if self.values else float(c) for c in self.logprobs.choices)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a structured reply: the reasoning first, then each verdict."""
        verdict: dict[str, Any] = (
            {"type": "string", "enum": list(self.values)}
            if self.values
            else {"type": "number", "enum": sorted(set(self.choice_values))}
        )
        properties = {"reasoning": {"type": "string"}, **{json_key(label): verdict for label in self.labels}}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    @cached_property
    def identity(self) -> tuple[object, ...]:
        """The parts of a rubric that change a verdict, as plain data: all but its name and its source."""
        fields = {name: value for name, value in msgspec.to_builtins(self).items() if name not in ("name", "source")}
        return (*sorted(fields.items()), ("form", VERSION))

    def prefill(self, label: str) -> str:
        """Return the words that the reply about `label` is made to begin with."""
        return self.logprobs.prefill.replace("{label}", label)

    def weighted(self, verdicts: dict[str, float]) -> float:
        """Return the score of the verdicts on all criteria, by their weights."""
        if not self.criteria:
            return verdicts[self.label]
        # Rounded, because 0.1 + 0.2 is not 0.3 and equal grades must give equal scores.
        return round(math.fsum(criterion.weight * verdicts[criterion.name] for criterion in self.criteria), 9)


def json_key(label: str) -> str:
    """Return `label` as a key of a structured reply."""
    return re.sub(r"\W+", "_", label.lower())


def rubric_names() -> list[str]:
    """Return the names of this project's rubrics."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def load_rubric(name: str) -> Rubric:
    """Return the rubric called `name`: one of this project's, or the path of a TOML file.

    Raises InputError, which names the file and the key, if the rubric is broken.
    """
    path = Path(name) if name.endswith(".toml") else HERE / f"{name}.toml"
    if not os.path.lexists(path) or (path.parent == HERE and name not in rubric_names()):
        raise InputError(f"no rubric '{name}'; give one of {', '.join(rubric_names())}, or the path of a .toml file")
    table = read_toml(path)
    labels = table.get("labels")
    table.setdefault("label", labels[0] if isinstance(labels, list) and labels else "")
    try:
        table["prompt"] = read_text(path.parent / str(table.get("prompt"))).strip()
    except InputError as error:
        raise InputError(f"{path}: 'prompt': its file cannot be read: {error}") from None
    try:
        rubric = msgspec.convert(table, Rubric)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None
    for problem in _problems(rubric):  # only the first, which is the worst
        raise InputError(f"{path}: {problem}")
    return rubric


def _problems(rubric: Rubric) -> list[str]:
    """Return the faults of a rubric, the worst first. Each names the key."""
    placeholders = rubric.placeholders
    wrong = [f"'prompt' lacks the placeholder {{{{{name}}}}}" for name in sorted(NEEDED[rubric.kind] - placeholders)]
    known = NEEDED[rubric.kind] | OPTIONAL[rubric.kind]
    wrong += [f"'prompt' has an unknown placeholder {{{{{name}}}}}" for name in sorted(placeholders - known)]
    if bool(rubric.criteria) != ("criteria" in placeholders):
        wrong.append("'criteria' and the placeholder {{criteria}} go together")
    if not rubric.criteria and not rubric.label.strip():
        wrong.append("'label' is empty: it is the word before the verdict")
    if any(not opens.strip() or not closes.strip() or opens == closes for opens, closes in rubric.reasoning_tags):
        wrong.append("'reasoning_tags' are pairs of two marks that differ, none of them empty")
    if not (rubric.closing.text or rubric.closing.logprobs or rubric.closing.structured):
        wrong.append("'closing' must say how to reply, for at least one of text, logprobs, structured")
    return wrong + _scale_problems(rubric) + _criteria_problems(rubric) + _pattern_problems(rubric)


def _scale_problems(rubric: Rubric) -> list[str]:
    choices = rubric.logprobs.choices
    if len(choices) < 2 or len(set(choices)) < len(choices):
        return ["'logprobs.choices' needs at least two choices, each once"]
    if rubric.values:
        if unknown := [choice for choice in choices if choice not in rubric.values]:
            return [f"'logprobs.choices' has {unknown[0]!r}, which is not in 'values'"]
        if rubric.kind == "pair" and sorted(rubric.values.values()) != sorted(1 - v for v in rubric.values.values()):
            return ["'values' of a comparison must lie evenly around 0.5: 0 is the first answer, 1 the second"]
        return [] if rubric.scale[0] < rubric.scale[1] else ["'values' must not all be the same"]
    if rubric.kind == "pair":
        return ["'values' is missing: what each verdict is worth, from 0 (the first answer) to 1 (the second)"]
    if rubric.low >= rubric.high:
        return ["'low' must be below 'high'"]
    try:
        values = rubric.choice_values
    except ValueError:
        return ["'logprobs.choices' must be numbers, or words that stand in 'values'"]
    if not all(rubric.low <= value <= rubric.high for value in values):
        return ["'logprobs.choices' must lie between 'low' and 'high'"]
    return []


def _criteria_problems(rubric: Rubric) -> list[str]:
    if not rubric.criteria:
        return []
    names = [json_key(criterion.name) for criterion in rubric.criteria]
    if len(set(names)) < len(names) or "reasoning" in names or "" in names:
        return ["'criteria' must have names that differ, none of them empty or 'reasoning'"]
    if any(criterion.weight <= 0 for criterion in rubric.criteria):
        return ["'criteria.weight' must be above 0"]
    total = sum(criterion.weight for criterion in rubric.criteria)
    return [] if abs(total - 1) < 1e-6 else [f"'criteria.weight' must sum to 1, not {total:g}"]


def _pattern_problems(rubric: Rubric) -> list[str]:
    if not rubric.pattern:
        return []
    if rubric.criteria:
        return ["'pattern' reads one verdict; with 'criteria' the names stand before the verdicts"]
    try:
        pattern = re.compile(rubric.pattern)
    except re.error as error:
        return [f"'pattern' is not a regular expression: {error}"]
    return [] if "verdict" in pattern.groupindex else ["'pattern' needs a group (?P<verdict>...)"]
