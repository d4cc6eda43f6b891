"""The judges that are served: one, or a panel, each with its verdicts on answers, on pairs and on decisions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from console.errors import InputError
from engines.reward_model import AnyRewardModel
from judges.judging import reward_model
from judges.judging.judge import Judge, has_every_reply
from judges.judging.pairwise import Contest, both_orders_answered, compare, comparison_id
from judges.options import PanelOptions
from judges.panels.panel import combine, combine_comparisons
from judges.rubrics.rubric import Rubric
from judges.serve.decisions import Asked, Distribution, Kind, distribution, mean_distribution, rubric_for
from judges.serve.metrics import Metrics
from judges.serve.verdicts import Answered, Turns, Verdicts, VerdictT
from judges.tools.evidence import judge_checked, was_checked
from records import Comparison, Judgment, Response, Store, Usage

if TYPE_CHECKING:
    from judges.tools.agent import Agent

Scores = Verdicts[Response, Judgment]
Pairs = Verdicts[Contest, Comparison]


@dataclass(frozen=True)
class Making:
    """What the verdicts of one engine share."""

    turns: Turns
    metrics: Metrics
    batch: int

    def scores(self, judge: Judge, agent: Agent | None, store: Store[Judgment]) -> Scores:
        """Return the verdicts of `judge` on answers, with the evidence of `agent` if it has tools."""

        def ask(responses: Sequence[Response], unfinished: Mapping[str, Judgment]) -> Iterator[Judgment]:
            if agent is not None:
                return judge_checked(judge, agent, responses)
            return judge.judge(responses, (), unfinished)

        is_complete = has_every_reply if agent is None else was_checked
        how = (lambda: judge.fingerprint, judge.judgment_id, ask, is_complete, _no_score)
        return Verdicts(*how, store, self.turns, self.metrics, self.batch)

    def pairs(self, judge: Judge, store: Store[Comparison]) -> Pairs:
        """Return the verdicts of `judge` on two answers, in both orders."""

        def ask(contests: Sequence[Contest], unfinished: Mapping[str, Comparison]) -> Iterator[Comparison]:
            return compare(judge, contests, (), "both", unfinished)

        def key(contest: Contest) -> str:
            return comparison_id(judge, contest)

        how = (lambda: judge.fingerprint, key, ask, both_orders_answered, lambda comparison: comparison.winner is None)
        return Verdicts(*how, store, self.turns, self.metrics, self.batch)

    def rewards(self, model: AnyRewardModel, store: Store[Judgment]) -> Scores:
        """Return the rewards of a reward model."""

        def ask(responses: Sequence[Response], _: Mapping[str, Judgment]) -> Iterator[Judgment]:
            return reward_model.rewarded(model, responses)

        def key(response: Response) -> str:
            return reward_model.judgment_id(model, response)

        how = (lambda: reward_model.fingerprint(model), key, ask, lambda _: True, _no_score)
        return Verdicts(*how, store, self.turns, self.metrics, self.batch)


def _no_score(judgment: Judgment) -> bool:
    return judgment.score is None


@dataclass
class Desk:
    """One judge's verdicts, as far as it gives any of a kind."""

    making: Making
    scores: Scores | None = None
    pairs: Pairs | None = None
    decider: Judge | None = None
    """The judge whose rubric is replaced by that of each kind of question."""
    decisions: Store[Judgment] | None = None
    _by_kind: dict[Kind, Scores] = field(default_factory=dict)

    def of_kind(self, kind: Kind) -> Scores:
        """Return the verdicts on questions of one kind, for a judge with a decider."""
        assert self.decider is not None and self.decisions is not None
        if kind not in self._by_kind:
            self._by_kind[kind] = self.making.scores(
                replace(self.decider, rubric=rubric_for(kind)), None, self.decisions
            )
        return self._by_kind[kind]


@dataclass(frozen=True)
class Bench:
    """All judges that are served together, and the rule by which a panel's verdicts become one."""

    name: str
    """The model, as callers of /v1/decisions name it."""
    desks: Sequence[Desk]
    panel: PanelOptions
    rubric: Rubric | None
    """The rubric of the scores, that of the first judge of a panel. None for a reward model."""
    metrics: Metrics

    @property
    def fingerprints(self) -> dict[str, list[str]]:
        """Return the judges' fingerprints by what they give."""
        scores = [desk.scores.fingerprint() for desk in self.desks if desk.scores]
        pairs = [desk.pairs.fingerprint() for desk in self.desks if desk.pairs]
        return {"score": scores, "compare": pairs}

    async def score(self, responses: Sequence[Response]) -> list[Answered[Judgment]]:
        """Return the judgment of each answer, in order. Raises InputError if the judge scores nothing."""
        asked = [desk.scores for desk in self.desks if desk.scores]
        if not asked:
            raise InputError("this judge scores nothing: its rubric compares two answers")
        columns = await asyncio.gather(*(scores.of(responses) for scores in asked))
        if len(columns) == 1 or self.rubric is None:
            return columns[0]
        how = (self.fingerprints["score"], self.panel.panel_rule, self.panel.quorum, self.rubric)
        units = zip(*columns, strict=True)
        return [Answered(combine([one.verdict for one in unit], *how), cost(unit)) for unit in units]

    async def compare(self, contests: Sequence[Contest]) -> list[Answered[Comparison]]:
        """Return the comparison of each two answers, in order. Raises InputError if the judge compares nothing."""
        asked = [desk.pairs for desk in self.desks if desk.pairs]
        if not asked:
            raise InputError("this judge compares nothing: it has no model that is asked")
        columns = await asyncio.gather(*(pairs.of(contests) for pairs in asked))
        if len(columns) == 1:
            return columns[0]
        how = (self.fingerprints["compare"], self.panel.panel_rule, self._quorum(len(asked)))
        units = zip(*columns, strict=True)
        return [Answered(combine_comparisons([one.verdict for one in unit], *how), cost(unit)) for unit in units]

    async def decide(self, questions: Sequence[Asked]) -> tuple[list[list[Judgment]], list[Distribution], Usage]:
        """Return each question's judgments, one per judge, its distribution over the options, and the cost of all."""
        places: dict[Kind, list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            places[question.kind].append(place)
        desks = [desk for desk in self.desks if desk.decider]
        if not desks:
            raise InputError("this judge answers no questions of callers: it has no model that reads them")
        kinds = [(desk.of_kind(kind), kind) for desk in desks for kind in places]
        columns = await asyncio.gather(
            *(scores.of([questions[place].response for place in places[kind]]) for scores, kind in kinds)
        )
        judgments: list[list[Judgment]] = [[] for _ in questions]
        for (_, kind), column in zip(kinds, columns, strict=True):
            for place, answered in zip(places[kind], column, strict=True):
                judgments[place].append(answered.verdict)
        quorum = self._quorum(len(desks))
        over = [
            mean_distribution([distribution(judgment, question.kind) for judgment in of_one], quorum)
            for question, of_one in zip(questions, judgments, strict=True)
        ]
        return judgments, over, sum(map(cost, columns), Usage())

    def _quorum(self, n: int) -> int:
        """Return how many of `n` judges must have a verdict. There are fewer for pairs if only their rubrics differ."""
        return min(self.panel.quorum or n // 2 + 1, n)


def cost(answered: Sequence[Answered[VerdictT]]) -> Usage:
    """Return what verdicts cost one caller."""
    return sum((one.usage for one in answered), Usage())
