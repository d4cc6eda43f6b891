"""The rewards that a user can choose and combine, and their checks before a model is loaded."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated

import tyro

from console.errors import InputError
from console.progress import say
from console.ranges import Positive
from engines.options import EngineOptions, check_engine
from judges.judging.judge import checked_rubric
from judges.options import JudgeOptions, check_reading
from judges.tools.options import EvidenceOptions, check_options
from trainer.ppo.options import RewardEngineOptions
from trainer.ppo.rewards import check_beside_training, check_reward_folder, reward_function


@dataclass(frozen=True)
class JudgeEngineOptions(EngineOptions):
    """The engine of the judge, which is named by --judge."""

    model: tyro.conf.Suppress[str] = EngineOptions.model


@dataclass(frozen=True)
class JudgingOptions(JudgeOptions):
    """Settings of the judge besides its rubric."""

    rubric: tyro.conf.Suppress[str] = JudgeOptions.rubric
    min_coverage: tyro.conf.Suppress[float] = 0.0  # a training goes on, and counts what has no verdict


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


def check_rewards(options: RewardOptions) -> None:
    """Raise InputError or EngineError if the rewards cannot be used, before a model is loaded."""
    weighted = options.weighted()
    if not weighted and not options.caps:
        raise InputError(
            "name a reward: --judge MODEL, --reward-model FOLDER, --reward module:function, or "
            "--tool constraints --verify share"
        )
    if options.evidence.enabled:
        check_options(options.evidence)
    if options.caps and not options.scores:
        raise InputError(
            f"--verify {options.evidence.verify} changes a judge's score: give --judge MODEL and --rubric, or use "
            "--verify share or strict, which need none"
        )
    if options.tournament is not None and options.judge is None:
        raise InputError("--tournament needs --judge MODEL, which compares the answers")
    _check_judge(options)
    if options.reward_model is not None:
        if not options.reward_model.is_dir():
            raise InputError(f"--reward-model {options.reward_model}: no such folder")
        check_reward_folder(options.reward_model, options.reward_engine)
    if options.reward is not None:
        reward_function(options.reward)
    for field_ in fields(RewardWeights):
        if field_.name not in weighted and getattr(options.weights, field_.name) != field_.default:
            say(f"--weights.{field_.name.replace('_', '-')} has no effect: there is no such reward")


def _check_judge(options: RewardOptions) -> None:
    if not options.needs_model:
        if options.rubric is not None or options.judge_engine != JudgeEngineOptions():
            say("--rubric and --judge-engine.* have no effect without --judge")
        return
    if options.judge is None:
        raise InputError("--constraints ask needs --judge MODEL, which names the constraints of a prompt")
    check_beside_training(options.engine)
    check_engine(options.engine)
    for flag, name, kind, wanted in (
        ("--rubric", options.rubric if options.scores else None, "score", "scores one answer"),
        ("--tournament", options.tournament, "pair", "compares two"),
    ):
        if name is None and not (kind == "score" and options.scores):
            continue
        judged = options.judged_by(name)
        if checked_rubric(judged).kind != kind:
            raise InputError(f"{flag} {judged.rubric}: use one that {wanted}; python -m judges.rubrics lists them")
        check_reading(options.engine, judged)
