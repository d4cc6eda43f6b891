"""A question to a model: a TOML file and a prompt beside it, filled with texts that cannot pose as instructions."""

import math
from functools import cache, cached_property, partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from console.reading import read_text, read_toml
from engines.protocol import Choice, Request
from judges.parsing.verdict import are_logprobs, is_choice
from judges.rubrics.fences.code import VERSION, filled, tags_in
from judges.rubrics.fences.near_misses import taken_apart
from judges.rubrics.rubric import Closing, LogprobReading, Rubric
from records.rows import Message

MIN_MASS = 0.1
"""Below this, the model would say something else than the choices, and their order means nothing."""


class Distribution(NamedTuple):
    """A model's answer to a question with choices."""

    probabilities: dict[str, float] | None
    """One for each meaning. They sum to 1."""
    mass: float | None
    """The probability of all choices together."""
    error: str | None = None


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):  # dict: for cached_property
    """A prompt and, if the model has to choose, its choices."""

    source: str
    prompt: str
    """The text with its placeholders. In the TOML file it is the name of the file beside it."""
    prefill: str = ""
    choices: dict[str, str] = {}
    """The answers that the model may give, and the meaning of each."""

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags that fence the texts. A text must not close one from inside."""
        return tags_in(self.prompt)

    @property
    def identity(self) -> tuple[object, ...]:
        """The parts of a question that change a verdict, as plain data."""
        return (self.prompt, self.prefill, sorted(self.choices.items()), VERSION)

    def request(self, **texts: str) -> Request:
        """Return the question with `texts` in its placeholders, filled in one pass so that braces in texts are text."""
        parts = {name: taken_apart(text, self.tags) for name, text in texts.items()}
        content = filled(self.prompt, parts)
        messages: list[Message] = [{"role": "user", "content": content}]
        if not self.label:
            return Request(messages, prefill=self.prefill)
        return Request(
            messages, prefill=self.prefill, labels=(self.label,), agrees=partial(is_choice, self._rubric, self.label)
        )

    @property
    def label(self) -> str:
        """Return the words before the choice."""
        return self.prefill.strip(" :")

    @cached_property
    def _rubric(self) -> Rubric:
        """The question as a rubric, by which a reply in words is read."""
        values = {choice: float(place) for place, choice in enumerate(self.choices)}
        choices = LogprobReading(list(self.choices))
        return Rubric(self.label, "score", self.source, self.prompt, Closing(), choices, self.label, values=values)

    def read(self, choice: Choice, min_mass: float = MIN_MASS) -> Distribution:
        """Return the distribution over the meanings. It is an error if the choices have less than `min_mass`."""
        if choice.error:
            return Distribution(None, None, choice.error)
        if not are_logprobs(choice.logprobs):
            return Distribution(None, None, "broken reply: a log-probability is above 0")
        weights = [math.exp(logprob) for logprob in choice.logprobs]
        mass = sum(weights)
        if not mass > 0 or mass < min_mass:  # not > 0: for nan too
            problem = f"the choices have a probability of {mass:.3f} together: the model does not answer"
            return Distribution(None, mass, problem)
        return Distribution({name: w / mass for name, w in zip(self.choices.values(), weights, strict=True)}, mass)


@cache
def load_question(name: str, folder: Path) -> Question:
    """Return the question in `<name>.toml` in `folder`, with the text of the file that it names."""
    table = read_toml(folder / f"{name}.toml")
    table["prompt"] = read_text(folder / table["prompt"]).strip()
    return msgspec.convert(table, Question)
