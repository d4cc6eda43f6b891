"""The settings of a reward model's training."""

from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, Positive, Share
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.training.options import ValidatedOptions, check_options
from trainer.training.processes import is_sharded


@dataclass(frozen=True)
class RewardOptions(ValidatedOptions):
    """Settings of the training. The defaults are AlpacaFarm's, except that the learning rate ends at a tenth."""

    learning_rate: Positive = 3e-6
    max_length: Count = 512
    """Tokens of prompt and answer. A pair with a longer answer is left out and counted."""
    warmup_share: Share = 0.03
    margins: bool = False
    """Require each pair's rewards to differ by at least its `margin`: -log sigmoid(r(yw) - r(yl) - m)."""
    head: Literal["zero", "random"] = "zero"
    """Initial weights of the reward head. zero: every reward is 0, whatever the seed. random: uniform in
    +-1/sqrt(features), as in AlpacaFarm, which sets only the bias of its head to zero. This head has no bias."""


def check_reward_options(options: RewardOptions, bottleneck: BottleneckOptions | None) -> None:
    """Raise InputError if a setting of a reward model's training is out of range or its weights are sharded."""
    check_options(options)
    if bottleneck is not None:
        if is_sharded():
            raise InputError("the bottleneck's own weights are not sharded: use a file without FSDP")
        bottleneck.check(options.micro_batch_size)
