"""Holds out a share of the prompts of a training, by the seed. Loads no library of the trainers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from console.errors import InputError
from console.output import counted
from records.keys import content_key
from records.rows import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records import Message
    from trainer.training.options import ValidatedOptions

SHARE_FLAG = "--validation-share"
TENTH = 0.1
"""transformers takes a number of steps under 1 for a share of the training."""


def prompt_key(prompt: str | Sequence[Message]) -> str:
    """Return a key that prompts share which differ only in spaces and in upper and lower case."""
    text = prompt if isinstance(prompt, str) else text_of(list(prompt))
    return content_key(" ".join(text.split()).casefold())


def opening_of(chat: Sequence[Message]) -> Sequence[Message]:
    """Return a conversation up to the first request: rows that share it are one prompt, wherever they part."""
    first = next((place for place, turn in enumerate(chat) if turn["role"] == "user"), 0)
    return chat[: first + 1]


def n_held_out(n_prompts: int, share: float) -> int:
    """Return how many of so many prompts are held out, at least one if any share is."""
    return max(1, round(share * n_prompts)) if share else 0


def n_validations(n_steps: int, options: ValidatedOptions) -> int:
    """Return how often a training of `n_steps` measures its validation loss if it goes to its end."""
    if not options.validation_share:
        return 0
    every = options.validation_steps or max(1, math.ceil(TENTH * n_steps))
    return math.ceil(n_steps / every)  # after the last step too


def held_out_places(keys: Sequence[str], share: float, seed: int, flag: str) -> tuple[list[int], list[int]]:
    """Return the places of the rows to train on and of those that are held out, by the keys of the rows' prompts.

    All rows of a prompt are on the same side. It depends on the prompt's key, the seed and the other prompts, not on
    the order of the file. Raises InputError, which names `flag`, for a share outside [0, 1) or if a side has no prompt.
    """
    if not 0 <= share < 1:
        raise InputError(f"{flag} must be in [0, 1), not {share:g}")
    if share == 0:
        return list(range(len(keys))), []
    # ranked by a hash, so that the order of the file does not matter
    prompts = sorted(set(keys), key=lambda key: content_key(flag, seed, key))
    n = n_held_out(len(prompts), share)
    if n >= len(prompts):
        raise InputError(f"{counted(len(prompts), 'prompts')}: too few to hold some out; give more, or {flag} 0")
    held_out = set(prompts[:n])
    sides: tuple[list[int], list[int]] = ([], [])
    for place, key in enumerate(keys):
        sides[key in held_out].append(place)
    return sides
