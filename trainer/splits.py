"""Deals the prompts out: each round its own, and some that no round sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from console.errors import InputError
from records import Prompt
from records.keys import content_key
from trainer.recipe import Config


@dataclass(frozen=True)
class Split:
    """Disjoint sets of prompts."""

    rounds: dict[int, list[Prompt]]
    """By iteration, from 2 on."""
    held_out: list[Prompt]
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
    return Split(rounds, shuffled[:n_held_out], shuffled[n_needed:])


def split_hash(prompts: Sequence[Prompt]) -> str:
    """Return a hash of which prompts these are."""
    return content_key("split", sorted(prompt.id for prompt in prompts))
