"""Two answers mean the same if the judge model says so, asked in both orders.

An LLM replaces the NLI model, as in semantic entropy (Farquhar et al. 2024, doi 10.1038/s41586-024-07421-0), but the
answer is read from log-probabilities, and one question per order replaces the two entailments.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from console.errors import EngineError
from engines.protocol import Choice, Engine, Request, advised, choosing_key
from judges.cluster.answer_sets import AnswerSet
from judges.cluster.equivalence import BoolNN, FloatNN, Relation, is_whole, relation_id
from judges.judging.judge import NOT_ASKED
from judges.judging.question import Question, load_question
from judges.parsing.verdict import usage_of
from records import text_of
from records.keys import content_key
from records.rows import Usage

HERE = Path(__file__).parent
SAME = "the same"
"""The meaning of one of the question's two choices."""
DECIMALS = 6


class SameMeaning:
    """The mean probability of 'the same' over both orders, against a half."""

    rule = "mean P(same) > 0.5"
    greedy = False

    def __init__(self, engine: Engine, question: Question | None = None) -> None:
        """Ask `engine` the packaged question, or another."""
        self.engine = engine
        self.question = question or load_question("same_meaning", HERE)
        self.name = f"judge {engine.name}"
        self.digest = content_key("judge", engine.digest, *choosing_key(engine), *self.question.identity)

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield P(same) for every ordered pair of texts of each set, the row's text shown first.

        If the engine fails with an EngineError or the user interrupts, the answered part is yielded first.
        """
        places = [
            (index, i, j)
            for index, answers in enumerate(sets)
            for i in range(len(answers.texts))
            for j in range(len(answers.texts))
            if i != j
        ]
        values = [_start(answers, relation) for answers, relation in zip(sets, known, strict=True)]  # values[set][i][j]
        done = {position for position, (index, i, j) in enumerate(places) if values[index][i][j] is not None}
        waiting = [sum(line.count(None) for line in matrix) for matrix in values]
        usages = [relation.usage if relation else Usage() for relation in known]
        errors: list[dict[str, None]] = [{} for _ in sets]  # dicts as sets that keep the order
        requests = [self.request(sets[index], i, j) for index, i, j in places]
        choices = self.engine.choose(requests, list(self.question.choices), done)
        begun: set[int] = set()  # sets with a reply of this run that are not whole yet
        try:
            for choice in advised(choices, "--equivalence judge needs them: give another --equivalence"):
                index, i, j = places[choice.index]
                begun.add(index)
                values[index][i][j], error = probability_same(self.question, choice)
                usages[index] += usage_of(choice)
                if error:
                    errors[index][error] = None
                waiting[index] -= 1
                if waiting[index] == 0 and not is_whole(known[index]):
                    begun.remove(index)
                    yield index, self._relation(sets[index], values[index], "; ".join(errors[index]), usages[index])
        except (EngineError, KeyboardInterrupt):
            for index in sorted(begun):  # what is paid for is kept
                yield index, self._relation(sets[index], values[index], NOT_ASKED, usages[index])
            raise

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts the judge calls the same, both orders averaged."""
        return self.similarity(values_NN) > 0.5

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return P(same), both orders averaged."""
        return (values_NN + values_NN.T) / 2

    def request(self, answers: AnswerSet, first: int, second: int) -> Request:
        """Return the judge's request about two of the texts."""
        return self.question.request(
            prompt=text_of(answers.prompt), answer_1=answers.texts[first], answer_2=answers.texts[second]
        )

    def _relation(self, answers: AnswerSet, values: list[list[float | None]], error: str, usage: Usage) -> Relation:
        return Relation(
            id=relation_id(self, answers),
            prompt_id=answers.prompt_id,
            values=values,
            error=error or None,
            usage=usage,
        )


def probability_same(question: Question, choice: Choice) -> tuple[float | None, str | None]:
    """Return P(same) / (P(same) + P(different)), or the reason why it is not known."""
    # How little the model thinks of both choices together does not matter: in a mean of two orders each counts.
    probabilities, _, error = question.read(choice, min_mass=0.0)
    return (round(probabilities[SAME], DECIMALS) if probabilities else None), error


def _start(answers: AnswerSet, known: Relation | None) -> list[list[float | None]]:
    """Return the known values. A text means the same as itself."""
    if known is not None:
        return [list(line) for line in known.values]
    n = len(answers.texts)
    return [[1.0 if i == j else None for j in range(n)] for i in range(n)]
