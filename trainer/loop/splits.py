"""Splits the prompts: a set for each round, and sets that no round sees."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from console.errors import InputError
from records import Prompt
from records.rows import request_text
from trainer.loop.recipe import Config, n_prompt_sets


@dataclass(frozen=True)
class LoopSplit:
    """Disjoint sets of prompts."""

    rounds: dict[int, list[Prompt]]
    """By iteration, from 2 on."""
    held_out: list[Prompt]
    """The prompts that iterations are reported on. Nothing is learnt or chosen by them."""
    stopping: list[Prompt]
    """The prompts that a round's checkpoints are compared on. Empty without early stopping."""
    seeds: list[Prompt]
    """The remaining prompts. A model that writes new prompts is shown these."""


def split_prompts(prompts: Sequence[Prompt], config: Config, learnt: Collection[str] = ()) -> LoopSplit:
    """Return the prompts split at random. Raises InputError if there are too few.

    `learnt` are the texts of prompts that iterations of another run, which this one goes on from, have learnt from.
    """
    n_rounds, n_each, n_held_out = n_prompt_sets(config), config.candidates.prompts, config.eval.prompts
    first = config.iterations - n_rounds + 1
    shuffled = list(prompts)
    Random(f"prompts {config.seed}").shuffle(shuffled)
    # after the shuffle, so that with the settings of the other run the held-out prompts are the same
    shuffled = [prompt for prompt in shuffled if request_text(prompt.prompt) not in learnt]
    n_needed = n_rounds * n_each + n_held_out
    if len(shuffled) < n_needed:
        unseen = "unseen prompts" if learnt else "different prompts"
        raise InputError(
            f"{len(shuffled)} {unseen}, but {n_rounds} rounds of {n_each} and {n_held_out} held out need "
            f"{n_needed}; give more with --seeds.prompts, or lower --candidates.prompts"
        )
    # The held-out prompts come first, so that they stay the same if rounds are added.
    starts = [n_held_out + index * n_each for index in range(n_rounds)]
    rounds = {index + first: shuffled[start : start + n_each] for index, start in enumerate(starts)}
    left = shuffled[n_needed:]
    n_stopping = count_stopping(len(shuffled), config)
    if config.early_stop is not None and not n_stopping:
        raise InputError(
            f"{len(shuffled)} different prompts, of which none is left for [early_stop]: it must not choose by the "
            "prompts that are reported on; give more with --seeds.prompts, or lower --candidates.prompts"
        )
    # Those for early stopping come last, so that they stay the same too.
    return LoopSplit(rounds, shuffled[:n_held_out], left[len(left) - n_stopping :], left[: len(left) - n_stopping])


def count_stopping(n_prompts: int, config: Config) -> int:
    """Return how many prompts early stopping uses: as many as it asks for, or all that are left.

    If a model writes the new prompts, half of the remaining ones are kept to show to it.
    """
    if config.early_stop is None:
        return 0
    dealt = config.new_prompts.source == "seeds"
    left = n_prompts - n_prompt_sets(config) * config.candidates.prompts - config.eval.prompts
    return max(0, min(config.early_stop.n_prompts, left if dealt else left // 2))
