"""The rewards of a training as one function for TRL: the weighted sum, or None if one of them has no verdict.

TRL would leave a reward that is None out of the sum of the others, which counts it as 0. Here such an answer has no
reward at all, so it is left out of its group.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from engines.options import beside_training, open_engine, pinned
from judges.tools.evidence import NO_MODEL
from judges.tools.options import EvidenceOptions
from records import Message, Prompt, messages_of
from records.fields.messages import Completion, text_of_completion
from records.keys import content_key
from trainer.grpo.reward_options import RewardOptions
from trainer.grpo.tournament import open_tournament
from trainer.ppo.rewards import RewardSource, open_judge_reward, reward_function, reward_model, scored

PLACE = "place"
"""The column of the training set with the place of a prompt in the file."""
NULL_SHARE = "null_share"
REWARD_BATCH = 32
"""Answers that a reward model reads at once (transformers)."""


@dataclass(frozen=True)
class Weighted:
    """A source of rewards with its name and its weight in the sum."""

    name: str
    weight: float
    source: RewardSource


def identity_of(rewards: Sequence[Weighted]) -> str:
    """Return a key of everything that the rewards depend on."""
    return content_key("rewards", [(r.name, r.weight, r.source.name, r.source.digest) for r in rewards])


@contextmanager
def open_rewards(
    options: RewardOptions, out: Path, prompts: Sequence[Prompt], group_size: int, seed: int, rank: int
) -> Iterator[list[Weighted]]:
    """Open the chosen rewards. The verdicts are kept beside `out`, in files of this process."""
    engine = open_engine(beside_training(pinned(options.engine))) if options.needs_model else NO_MODEL

    def kept_in(name: str) -> Path:
        return out.with_name(f"{out.name}.{name}-{rank}.jsonl")

    with ExitStack() as stack:
        sources: dict[str, RewardSource] = {}
        if options.scores:
            evidence = options.evidence if options.caps else EvidenceOptions()
            judged = options.judged_by(options.rubric)
            opened = open_judge_reward(engine, judged, evidence, kept_in("judgments"), prompts, seed)
            sources["judge"] = stack.enter_context(opened)
        if options.checks:
            judged = options.judged_by(options.rubric)  # for its scale
            opened = open_judge_reward(engine, judged, options.evidence, kept_in("checks"), prompts, seed)
            sources["constraints"] = stack.enter_context(opened)
        if options.tournament is not None:
            judged = options.judged_by(options.tournament)
            opened = open_tournament(engine, judged, kept_in("comparisons"), group_size, seed)
            sources["tournament"] = stack.enter_context(opened)
        if options.reward_model is not None:
            sources["reward_model"] = reward_model(options.reward_model, options.reward_engine.of_model(REWARD_BATCH))
        if options.reward is not None:
            sources["function"] = reward_function(options.reward)
        yield [Weighted(name, weight, sources[name]) for name, weight in options.weighted().items()]


@dataclass
class GroupReward:
    """The reward function that TRL calls with the answers of a step. It remembers which had no verdict."""

    rewards: Sequence[Weighted]
    prompts: Sequence[Prompt]
    is_null: list[bool] = field(default_factory=list)
    """For each answer of the last call, whether it had no reward."""
    __name__ = "sum"  # TRL logs a reward under its function's name

    def __call__(
        self,
        completions: Sequence[Completion],
        place: Sequence[int],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float | None]:
        """Return the reward of each answer. Log the share without one, and each source's mean over the others."""
        asked = [_shown(self.prompts[number]) for number in place]
        answers = [text_of_completion(completion) for completion in completions]
        columns = {reward.name: scored(reward.source, asked, answers) for reward in self.rewards}
        sums = [self._sum(scores) for scores in zip(*columns.values(), strict=True)]
        self.is_null = [total is None for total in sums]
        log_metric(NULL_SHARE, fmean(self.is_null))
        for name, scores in columns.items():
            counted = [score for score, total in zip(scores, sums, strict=True) if not (score is None or total is None)]
            if counted:
                log_metric(f"rewards/{name}", fmean(counted))
        return sums

    def _sum(self, scores: Sequence[float | None]) -> float | None:
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            return None
        return sum(reward.weight * score for reward, score in zip(self.rewards, known, strict=True))


def _shown(prompt: Prompt) -> str | list[Message]:
    return prompt.prompt if prompt.system is None else messages_of(prompt.prompt, prompt.system)
