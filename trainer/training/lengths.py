"""Leaves out the examples that do not fit max_length, and counts answers that were cut off when generated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from console.errors import TrainingError
from console.progress import say
from records.finish import cut_off

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from records import Message, Pair

ExampleT = TypeVar("ExampleT", bound=Mapping[str, Any])
ANSWERS = ("completion", "chosen", "rejected")
"""The fields of a training example that hold an answer."""


@dataclass(frozen=True)
class Lengths:
    """Counts of a training's examples that are too long or cut off."""

    n_left_out: int = 0
    """Examples that were skipped because they end beyond max_length."""
    n_cut_off: int = 0
    """Examples with an answer that was cut off when it was generated."""


def fitting(
    tokenizer: "PreTrainedTokenizerBase", examples: Sequence[ExampleT], max_length: int, title: str
) -> list[ExampleT]:
    """Return the examples that lie whole within `max_length`, and print how many do not. Each has one answer or two.

    TRL would cut the others at the end. A judgment without its score teaches nothing, an answer without its end teaches
    the model never to stop, and half an answer is not the answer that was ranked. Raises TrainingError if none is left.
    """
    whole, n_nothing = [], 0
    for example in examples:
        answers = [example[name] for name in ANSWERS if name in example]
        if max(_n_tokens(tokenizer, [*example["prompt"], *answer]) for answer in answers) <= max_length:
            whole.append(example)
        elif _n_tokens(tokenizer, example["prompt"], opening=True) >= max_length:
            n_nothing += 1
    n, limit = len(examples), f"max_length ({max_length} tokens)"
    if n_nothing:
        say(f"{title}: {n_nothing} of {n} examples left out: their prompts alone fill {limit}")
    if n_cut := n - len(whole) - n_nothing:
        say(f"{title}: {n_cut} of {n} examples left out: their end, for example a judgment's score, is beyond {limit}")
    if not whole:
        raise TrainingError(f"{title}: no example fits {limit}; raise it")
    return whole


def _n_tokens(tokenizer: "PreTrainedTokenizerBase", chat: "Sequence[Message]", *, opening: bool = False) -> int:
    return len(tokenizer.apply_chat_template(list(chat), add_generation_prompt=opening, return_dict=False))


def n_cut_off(pairs: "Sequence[Pair]", title: str) -> int:
    """Return and print how many pairs have an answer that was cut off when generated. It has no end to learn."""
    n = sum(any(map(cut_off, (pair.chosen_finish_reason, pair.rejected_finish_reason))) for pair in pairs)
    if n:
        say(f"{title}: {n} of {len(pairs)} pairs have an answer that was cut off when it was generated")
    return n
