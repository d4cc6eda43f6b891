"""The questions that read choices from a model that gives the log-probabilities of tokens after one sequence.

The choices are a tree of tokens. Each of its inner nodes is a sequence of its own: the prompt and a beginning of one or
more choices. The tokens that go on from it are read there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engines.choice_tokens.paths import Path, exact_logprobs, inner_nodes

MOST_IDS = 128
"""vLLM reads the log-probabilities of so many tokens in one request."""


@dataclass(frozen=True)
class Question:
    """The tokens after a prompt, and those of which the log-probabilities come next."""

    node: Path
    ids: tuple[int, ...]


@dataclass
class _Row:
    """What is known of one row."""

    logprobs: dict[Path, float] = field(default_factory=dict)
    """Of the last token of each beginning of a choice, after the others."""
    n_answered: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ChoiceTree:
    """The choices' tokens, and the rows whose questions are not all answered."""

    paths: Sequence[Path]
    _rows: dict[int, _Row] = field(default_factory=dict)

    @cached_property
    def questions(self) -> list[Question]:
        """The questions to ask for each row, those that continue one after it."""
        questions = []
        for node in inner_nodes(self.paths):
            n = len(node)
            ids = sorted({path[n] for path in self.paths if len(path) > n and path[:n] == node})
            questions += [Question(node, tuple(ids[at : at + MOST_IDS])) for at in range(0, len(ids), MOST_IDS)]
        return questions

    def add(
        self, row: int, number: int, logprobs: Mapping[int, float], seconds: float
    ) -> tuple[tuple[float, ...], float] | None:
        """Take the answer to a question, and return the row's log-probabilities and seconds if it was the last one.

        `logprobs` are natural logarithms by token.
        """
        question, known = self.questions[number], self._rows.setdefault(row, _Row())
        known.logprobs |= {(*question.node, token): logprobs[token] for token in question.ids}
        known.n_answered += 1
        known.seconds += seconds
        if known.n_answered < len(self.questions):
            return None
        del self._rows[row]
        joint = [sum(known.logprobs[path[: n + 1]] for n in range(len(path))) for path in self.paths]
        return exact_logprobs(joint, self.paths), known.seconds
