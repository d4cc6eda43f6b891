"""Splits the prompts: for the preferences, for PPO, and held out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from console.errors import InputError
from console.progress import say
from judges.tools.constraints.given import constraints_by_prompt
from records import Message, Pair, Prompt, text_of
from records.fields.labels import given_codes
from records.files import BadRows
from records.shapes import read_pairs
from trainer.rlp.recipe import Config, PreferenceOptions


@dataclass(frozen=True)
class RLPSplit:
    """Disjoint sets of prompts. The fine-tuning and a given file of preferences show none of them."""

    preferences: list[Prompt]
    unlabelled: list[Prompt]
    held_out: list[Prompt]


def deal(prompts: Sequence[Prompt], shown: Iterable[str | list[Message]], config: Config) -> RLPSplit:
    """Return the prompts split at random, without those `shown`.

    Raises InputError if there are too few, or if the annotator cannot use their constraints.
    """
    if config.annotator.label == "constraints":
        constraints_by_prompt(prompts)
    seen = set(map(_key, shown))
    once = {_key(prompt.prompt): prompt for prompt in prompts}  # two spellings of a prompt must not fall into two sets
    left = [prompt for key, prompt in once.items() if key not in seen]
    if n_shown := len(once) - len(left):
        say(f"{n_shown} of {len(once)} prompts are left out: the fine-tuning or the preferences show them")
    n_held_out, n_unlabelled = config.eval.prompts, config.unlabelled.prompts
    n_preferences = 0 if config.preferences.file else config.preferences.prompts
    if len(left) < (n_needed := n_held_out + n_preferences + n_unlabelled):
        raise InputError(
            f"{len(left)} prompts, but {n_preferences} for preferences, {n_unlabelled} unlabelled and {n_held_out} "
            f"held out need {n_needed}; give more with --seeds.prompts, or lower --unlabelled.prompts"
        )
    Random(f"rlp prompts {config.seed}").shuffle(left)
    # held-out prompts first, so that they stay the same if the other sets grow
    first, second = n_held_out, n_held_out + n_preferences
    return RLPSplit(left[first:second], left[second:n_needed], left[:first])


def shown_prompts(
    chats: Iterable[Sequence[Message]], options: PreferenceOptions, *, strict: bool
) -> list[str | list[Message]]:
    """Return the user turns of the fine-tuning and the prompts of a given file of preferences."""
    turns: list[str | list[Message]] = [
        # each turn and not the conversation, because a later turn may be a seed prompt by itself
        turn["content"]
        for chat in chats
        for turn in chat[:-1]
        if turn["role"] == "user"
    ]
    if options.file is None:
        return turns
    return turns + [pair.prompt for pair in given_pairs(options.file, options.codes, strict=strict)]


def given_pairs(file: Path, codes: str | None, *, strict: bool) -> Iterator[Pair]:
    """Yield the preferences of a given file, with its labels read according to --preferences.codes."""
    flag = "--preferences.codes"
    return read_pairs(file, BadRows(strict=strict), given_codes(codes, flag), flag)


def _key(prompt: str | list[Message]) -> str:
    """Return the prompt without differences of case and spacing."""
    return " ".join(text_of(prompt).split()).casefold()
