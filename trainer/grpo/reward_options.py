"""The rewards that a user can choose and combine."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from console.ranges import Positive
from engines.options import EngineOptions
from judges.options import JudgeOptions
from judges.tools.options import EvidenceOptions
from trainer.ppo.options import RewardEngineOptions


@dataclass(frozen=True)
class JudgeEngineOptions(EngineOptions):
    """The engine of the judge, which is named by --judge."""

    model: tyro.conf.Suppress[str] = EngineOptions.model


@dataclass(frozen=True)
class JudgingOptions(JudgeOptions):
    """Settings of the judge besides its rubric."""

    rubric: tyro.conf.Suppress[str] = JudgeOptions.rubric


@dataclass(frozen=True)
class RewardWeights:
    """The weight of each reward in the sum, if there are several."""

    judge: Positive = 1.0
    """The judge's score."""
    constraints: Positive = 1.0
    """The constraints that an answer follows, on the scale of --rubric, 0 to 5 by default."""
    tournament: Positive = 1.0
    """The tournament of a group, from -1 to 1."""
    reward_model: Positive = 1.0
    """The reward model's reward."""
    function: Positive = 1.0
    """The function's reward."""


@dataclass(frozen=True, kw_only=True)
class RewardOptions:
    """The rewards of an answer. Their weighted sum counts, and an answer that lacks one of them counts not at all."""

    judge: str | None = None
    """The model that judges: iterN, a folder, a hub id, smollm2, or a name on the server of --judge-engine.base-url."""
    rubric: str | None = None
    """The rubric by which the judge scores an answer. The default is additive, or no score with --tournament."""
    tournament: str | None = None
    """A pairwise rubric, such as pairwise: the judge compares each two answers of a group in both orders. The reward is
    wins minus losses over the number of the other answers."""
    reward_model: Path | None = None
    """The folder of a reward model."""
    reward: str | None = None
    """A Python function as module:function. It takes prompts and answers and returns a number or None for each."""
    weights: RewardWeights = field(default_factory=RewardWeights)
    evidence: Annotated[EvidenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EvidenceOptions)
    judging: JudgingOptions = field(default_factory=JudgingOptions)
    judge_engine: JudgeEngineOptions = field(default_factory=JudgeEngineOptions)
    reward_engine: RewardEngineOptions = field(default_factory=RewardEngineOptions)
    """The engine of --reward-model. It computes rewards beside the model in training."""

    @property
    def scores(self) -> bool:
        """Whether the judge scores each answer."""
        return self.judge is not None and (self.rubric is not None or self.tournament is None)

    @property
    def checks(self) -> bool:
        """Whether the constraints alone give a reward."""
        return self.evidence.enabled and not self.evidence.asks_rubric

    @property
    def caps(self) -> bool:
        """Whether what the tools find changes the judge's score."""
        return self.evidence.enabled and self.evidence.asks_rubric

    @property
    def engine(self) -> EngineOptions:
        """The judge with its engine."""
        return replace(self.judge_engine, model=self.judge or self.judge_engine.model)

    @property
    def needs_model(self) -> bool:
        """Whether a model is asked."""
        return self.judge is not None or (self.checks and self.evidence.needs_model)

    def weighted(self) -> dict[str, float]:
        """Return the weight of each reward that is given, by name."""
        given = {
            "judge": self.scores,
            "constraints": self.checks,
            "tournament": self.tournament is not None,
            "reward_model": self.reward_model is not None,
            "function": self.reward is not None,
        }
        return {name: getattr(self.weights, name) for name, is_given in given.items() if is_given}

    def judged_by(self, rubric: str | None) -> JudgeOptions:
        """Return the judge's settings with a rubric."""
        return replace(self.judging, rubric=rubric or self.judging.rubric)
