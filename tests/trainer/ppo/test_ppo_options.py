"""PPO's settings: what they come to step by step, and which are refused."""

import math
from dataclasses import replace
from typing import Any

import pytest

from console.errors import InputError
from trainer.ppo.options import PPOOptions, adapted, check_ppo, learning_rate_at


def test_the_learning_rate_rises_and_falls_to_0() -> None:
    options = PPOOptions(learning_rate=1.0, warmup_steps=4)
    assert [learning_rate_at(options, step, 10) for step in (1, 4, 5, 10)] == pytest.approx([0.2, 0.8, 1.0, 1 / 6])
    assert learning_rate_at(replace(options, schedule="constant"), 10, 10) == 1.0


def test_an_adapted_price_follows_the_divergence() -> None:
    options = PPOOptions(kl_target=6.0, kl_horizon=1000)
    assert adapted(0.1, 6.6, 100, options) == pytest.approx(0.1 * (1 + 0.1 * 100 / 1000))
    assert adapted(0.1, 60.0, 100, options) == pytest.approx(0.1 * 1.02), "at most a fifth of the error"
    assert adapted(0.1, 0.0, 100, options) == pytest.approx(0.1 * 0.98)
    assert adapted(0.1, 60.0, 100, PPOOptions()) == 0.1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rollout_batch_size": 500}, "multiple of --step-batch-size"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"kl_coef": -1.0}, "kl_coef must be at least 0"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\]"),
        ({"max_kl": math.nan}, "max_kl"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        check_ppo(replace(PPOOptions(), **changes), 1)
