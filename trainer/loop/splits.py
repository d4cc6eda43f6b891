"""Deals the prompts out: each round its own, and some that no round sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from console.errors import InputError
from records import Prompt
from trainer.loop.recipe import Config


@dataclass(frozen=True)
class Split:
    """Disjoint sets of prompts."""

    rounds: dict[int, list[Prompt]]
    """By iteration, from 2 on."""
    held_out: list[Prompt]
    """What iterations are reported on: nothing learns from these, and nothing is chosen by them."""
    stopping: list[Prompt]
    """What the checkpoints of a round are compared on; none without early stopping."""
    seeds: list[Prompt]
    """What is left: where a model writes the new prompts, it is shown these."""


def split_prompts(prompts: Sequence[Prompt], config: Config) -> Split:
    """Return the prompts dealt out at random; raises InputError where there are too few."""
    dealt = config.new_prompts.source == "seeds"
    n_rounds, n_each, n_held_out = (config.iterations - 1) * dealt, config.candidates.prompts, config.eval.prompts
    n_needed = n_rounds * n_each + n_held_out
    if len(prompts) < n_needed:
        raise InputError(
            f"{len(prompts)} different prompts, but {n_rounds} rounds of {n_each} and {n_held_out} held out need "
            f"{n_needed}; give more with --seeds.prompts, or lower --candidates.prompts"
        )
    shuffled = list(prompts)
    Random(f"prompts {config.seed}").shuffle(shuffled)
    # The held-out prompts come first, so that they stay the same when rounds are added.
    starts = [n_held_out + index * n_each for index in range(n_rounds)]
    rounds = {index + 2: shuffled[start : start + n_each] for index, start in enumerate(starts)}
    left = shuffled[n_needed:]
    n_stopping = count_stopping(len(prompts), config)
    if config.early_stop is not None and not n_stopping:
        raise InputError(
            f"{len(prompts)} different prompts, of which none is left for [early_stop]: it must not choose by the "
            "prompts that are reported on; give more with --seeds.prompts, or lower --candidates.prompts"
        )
    # Those for early stopping come last, so that they stay the same too.
    return Split(rounds, shuffled[:n_held_out], left[len(left) - n_stopping :], left[: len(left) - n_stopping])


def count_stopping(n_prompts: int, config: Config) -> int:
    """Return how many of `n_prompts` early stopping compares checkpoints on: as many as it wants, or all that are left.

    Where a model writes the new prompts, half of what is left stays for it to be shown.
    """
    if config.early_stop is None:
        return 0
    dealt = config.new_prompts.source == "seeds"
    left = n_prompts - (config.iterations - 1) * dealt * config.candidates.prompts - config.eval.prompts
    return max(0, min(config.early_stop.n_prompts, left if dealt else left // 2))
