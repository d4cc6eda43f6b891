"""Which examples are learnt from: those of which nothing is beyond max_length, and how many were cut off before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from console.errors import TrainingError
from console.progress import say
from records.finish import cut_off

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from records import Message, Pair

RowT = TypeVar("RowT", bound=Mapping[str, Any])
ANSWERS = ("completion", "chosen", "rejected")
"""The fields of a training row that hold an answer."""


@dataclass(frozen=True)
class Lengths:
    """What became of a training's examples for their length."""

    n_left_out: int = 0
    """Not learnt from, because their end is beyond max_length."""
    n_cut_off: int = 0
    """With an answer that was cut off where it was written."""


def fitting(tokenizer: "PreTrainedTokenizerBase", rows: Sequence[RowT], max_length: int, title: str) -> list[RowT]:
    """Return the rows, each a prompt with one answer or two, of which all is within `max_length`; say how many are not.

    TRL would cut them at the end: a judgment without its score teaches nothing, an answer without its end never to
    stop, and half of an answer is not the one that was ranked. Raises TrainingError where none is left.
    """
    kept, n_nothing = [], 0
    for row in rows:
        answers = [row[name] for name in ANSWERS if name in row]
        if max(_n_tokens(tokenizer, [*row["prompt"], *answer]) for answer in answers) <= max_length:
            kept.append(row)
        elif _n_tokens(tokenizer, row["prompt"], opening=True) >= max_length:
            n_nothing += 1
    limit = f"max_length ({max_length} tokens)"
    if n_nothing:
        say(f"{title}: {n_nothing} of {len(rows)} examples left out, of which nothing to learn is within {limit}")
    if n_cut := len(rows) - len(kept) - n_nothing:
        say(
            f"{title}: {n_cut} of {len(rows)} examples left out: their end, a judgment's score for one, is over {limit}"
        )
    if not kept:
        raise TrainingError(f"{title}: no example fits {limit}; raise it")
    return kept


def _n_tokens(tokenizer: "PreTrainedTokenizerBase", chat: "Sequence[Message]", *, opening: bool = False) -> int:
    return len(tokenizer.apply_chat_template(list(chat), add_generation_prompt=opening, return_dict=False))


def n_cut_off(pairs: "Sequence[Pair]", title: str) -> int:
    """Return, and say, how many pairs have an answer that was cut off where it was written: it has no end to learn."""
    n = sum(any(map(cut_off, (pair.chosen_finish_reason, pair.rejected_finish_reason))) for pair in pairs)
    if n:
        say(f"{title}: {n} of {len(pairs)} pairs have an answer that was cut off where it was written")
    return n
