"""The annotator, which prefers one of two answers: a judge, or a program that checks the prompt's constraints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engines.options import beside_training, open_engine
from judges.judging.judge import Judge, open_judge
from judges.judging.pairwise import Contest, compare_into
from judges.tools.constraints.checking import check_constraints, checkers_version
from judges.tools.constraints.given import constraints_by_prompt
from records import Comparison, Prompt, Store, Usage
from records.keys import content_key
from records.rows import Constraint, Winner, messages_of, request_text
from records.runs import Run
from records.stage import complete
from trainer.rlp.recipe import AnnotatorOptions

NOTHING = "no constraint of the prompt can be checked on both answers"


class Annotator(Protocol):
    """Prefers one of two answers."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything that changes a verdict, as rows carry it."""
        ...

    def compare(self, store: Store[Comparison], contests: Sequence[Contest], title: str) -> list[Comparison]:
        """Compare the contests that `store` lacks and return the verdicts on all of them in order."""
        ...


@dataclass(frozen=True)
class JudgeAnnotator:
    """A judge that is asked in both orders."""

    judge: Judge

    @property
    def fingerprint(self) -> str:
        """The judge's own."""
        return self.judge.fingerprint

    def compare(self, store: Store[Comparison], contests: Sequence[Contest], title: str) -> list[Comparison]:
        """Ask the judge about the contests that `store` lacks."""
        return compare_into(store, self.judge, contests, title)


@dataclass(frozen=True)
class ConstraintAnnotator:
    """A program that prefers the answer which follows the larger share of its prompt's constraints."""

    constraints: Mapping[str, list[Constraint] | None]
    """By the key of the prompt."""

    @property
    def fingerprint(self) -> str:
        """That of the checkers."""
        return content_key("constraints", checkers_version())

    def compare(self, store: Store[Comparison], contests: Sequence[Contest], title: str) -> list[Comparison]:
        """Check the answers of the contests that `store` lacks. No model is asked."""
        by_id = {self._id(contest): contest for contest in contests}
        rows = (self._compared(row_id, contest) for row_id, contest in by_id.items() if row_id not in store.ids)
        return complete(store, [self._id(contest) for contest in contests], rows, title)

    def _id(self, contest: Contest) -> str:
        # with the constraints, because a changed file of prompts asks for other verdicts
        return content_key("comparison", self.fingerprint, contest, self.constraints.get(_key(contest.prompt)))

    def _compared(self, row_id: str, contest: Contest) -> Comparison:
        shares = [self._share(contest, text) for text in (contest.response_a, contest.response_b)]
        winner = _winner(*shares)
        return Comparison(
            id=row_id,
            prompt_id=contest.prompt_id,
            prompt=contest.prompt,
            response_a=contest.response_a,
            response_b=contest.response_b,
            model_a=contest.model_a,
            model_b=contest.model_b,
            winner=winner,
            first_order=winner,
            second_order=winner,
            flipped=None if winner is None else False,  # a program does not see an order
            preference_b=None if winner is None else {"a": 0.0, "tie": 0.5, "b": 1.0}[winner],
            replies=[],
            error=NOTHING if winner is None else None,
            rubric="constraints",
            judge=self.fingerprint,
            usage=Usage(),
            read="checks",
            n_samples=0,
        )

    def _share(self, contest: Contest, text: str) -> float | None:
        constraints = self.constraints.get(_key(contest.prompt)) or []
        checked = check_constraints(request_text(contest.prompt), text, constraints)
        outcomes = [outcome.strict for outcome in checked if outcome.strict is not None]
        return outcomes.count("followed") / len(outcomes) if outcomes else None


def open_annotator(run: Run, options: AnnotatorOptions, prompts: Sequence[Prompt], seed: int) -> Annotator:
    """Return the annotator of the answers to `prompts`. If it is an iteration, it is one of this run."""
    if options.label == "constraints":
        return ConstraintAnnotator(constraints_by_prompt(prompts))
    # iterN of this run, not of the newest
    engine = replace(options.engine, run=options.engine.run or str(run.folder))
    return JudgeAnnotator(open_judge(open_engine(beside_training(engine)), options.judge, seed))


def _key(prompt: "str | list[dict[str, str]]") -> str:
    return content_key(messages_of(prompt))


def _winner(share_a: float | None, share_b: float | None) -> Winner | None:
    if share_a is None or share_b is None:
        return None
    return "a" if share_a > share_b else "b" if share_b > share_a else "tie"
