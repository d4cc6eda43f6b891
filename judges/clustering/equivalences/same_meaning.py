"""Two answers mean the same where the judge model says so, asked in both orders.

An LLM in the place of the NLI model, as in semantic entropy (Farquhar et al. 2024, doi 10.1038/s41586-024-07421-0), but
read from log-probabilities and with one question in each order in the place of two entailments.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from engines.protocol import Choice, Engine, Request
from judges.clustering.answer_sets import AnswerSet
from judges.clustering.equivalence import BoolNN, FloatNN, Relation, is_whole, relation_id
from judges.template import taken_apart
from judges.verdict import usage_of
from records import text_of
from records.keys import content_key
from records.rows import Usage

QUESTION = Path(__file__).parent / "same_meaning.toml"
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
DECIMALS = 6


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What the judge is asked about two answers."""

    source: str
    prompt: str
    """The text with its placeholders; in the TOML file the name of the file beside it."""
    prefill: str
    choices: tuple[str, str]
    """The words for the same meaning and for another one."""

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags that fence the answers; none may be closed from inside."""
        return tuple(sorted(set(re.findall(r"</?[a-z_0-9]+>", self.prompt))))

    def fill(self, texts: dict[str, str]) -> str:
        """Return the prompt with `texts` in its placeholders, all filled in one pass."""
        parts = {name: taken_apart(text, self.tags) for name, text in texts.items()}
        return PLACEHOLDER.sub(lambda match: parts[match[1]], self.prompt)


class SameMeaning:
    """The mean probability of 'the same' over both orders, against a half."""

    rule = "mean P(same) > 0.5"
    greedy = False

    def __init__(self, engine: Engine, question: Question | None = None) -> None:
        """Ask `engine` the packaged question, or another."""
        self.engine = engine
        self.question = question or load_question()
        self.name = f"judge {engine.name}"
        asked = (self.question.prompt, self.question.prefill, self.question.choices)
        self.digest = content_key("judge", engine.digest, asked)

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield P(same) for every ordered pair of texts of each set, the row's text shown first."""
        places = [
            (index, i, j)
            for index, answers in enumerate(sets)
            for i in range(len(answers.texts))
            for j in range(len(answers.texts))
            if i != j
        ]
        values = [_start(answers, relation) for answers, relation in zip(sets, known, strict=True)]
        done = {position for position, (index, i, j) in enumerate(places) if values[index][i][j] is not None}
        waiting = [sum(row.count(None) for row in matrix) for matrix in values]
        usages = [relation.usage if relation else Usage() for relation in known]
        errors: list[dict[str, None]] = [{} for _ in sets]
        requests = [self.request(sets[index], i, j) for index, i, j in places]
        for choice in self.engine.choose(requests, self.question.choices, done):
            index, i, j = places[choice.index]
            values[index][i][j], error = probability_same(choice)
            usages[index] += usage_of(choice)
            if error:
                errors[index][error] = None
            waiting[index] -= 1
            if waiting[index] == 0 and not is_whole(known[index]):
                yield index, self._relation(sets[index], values[index], "; ".join(errors[index]), usages[index])

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts the judge calls the same, both orders averaged."""
        return self.similarity(values_NN) > 0.5

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return P(same), both orders averaged."""
        return (values_NN + values_NN.T) / 2

    def request(self, answers: AnswerSet, first: int, second: int) -> Request:
        """Return what the judge is asked about two of the texts."""
        texts = {
            "prompt": text_of(answers.prompt),
            "answer_1": answers.texts[first],
            "answer_2": answers.texts[second],
        }
        return Request([{"role": "user", "content": self.question.fill(texts)}], prefill=self.question.prefill)

    def _relation(self, answers: AnswerSet, values: list[list[float | None]], error: str, usage: Usage) -> Relation:
        return Relation(
            id=relation_id(self, answers),
            prompt_id=answers.prompt_id,
            values=values,
            error=error or None,
            usage=usage,
        )


def load_question(path: Path = QUESTION) -> Question:
    """Return the question in a TOML file with a text beside it."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    table["prompt"] = (path.parent / table["prompt"]).read_text(encoding="utf-8").strip()
    return msgspec.convert(table, Question)


def probability_same(choice: Choice) -> tuple[float | None, str | None]:
    """Return P(same) / (P(same) + P(different)), or the reason why it is not known."""
    if choice.error:
        return None, choice.error
    same, different = (math.exp(logprob) for logprob in choice.logprobs)
    if not same + different > 0:
        return None, "neither choice has any probability"
    return round(same / (same + different), DECIMALS), None


def _start(answers: AnswerSet, known: Relation | None) -> list[list[float | None]]:
    """Return what is known already; a text means the same as itself."""
    if known is not None:
        return [list(row) for row in known.values]
    n = len(answers.texts)
    return [[1.0 if i == j else None for j in range(n)] for i in range(n)]
