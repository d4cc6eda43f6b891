"""Turns conversations into examples whose learnt tokens are known: the assistant's last turn, or all its turns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trl.data_utils import common_prefix_length

from console.errors import InputError
from engines.chat.template import encoded, rendered, safe_messages
from records.rows import Chat
from trainer.training.examples.gathering import WEIGHT
from trainer.training.examples.held_out import opening_of
from trainer.training.fit import safe_example
from trainer.training.lengths import NOT_A_TARGET

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from records import Message
    from trainer.training.options import LossOn

SHOWN_CHARS = 200
"""The beginning of a text that is kept beside its tokens."""


def example_of(
    chat: "Sequence[Message]", tokenizer: "PreTrainedTokenizerBase", loss_on: "LossOn", number: int = 1
) -> dict[str, Any]:
    """Return a conversation as tokens, labels of the learnt ones, and the beginnings of its prompt and answer.

    Raises InputError, which names the conversation by its `number`, if the loss is on all turns and the chat template
    writes an earlier turn differently when another one follows.
    """
    texts = safe_example(tokenizer, chat[:-1], completion=chat[-1:])
    # by these a bad example is named
    shown = {name: turns[-1]["content"][:SHOWN_CHARS] if turns else "" for name, turns in texts.items()}
    if loss_on == "last":
        return shown | _completed(texts["prompt"], texts["completion"], tokenizer)
    unlearnt = chat.unlearnt if isinstance(chat, Chat) else frozenset()
    return shown | _labelled(safe_messages(tokenizer, chat), unlearnt, tokenizer, number)


def examples_of(
    chats: "Iterable[Sequence[Message]]", tokenizer: "PreTrainedTokenizerBase", loss_on: "LossOn"
) -> "Iterator[tuple[Sequence[Message], dict[str, Any]]]":
    """Yield the opening of each conversation and the conversation as an example with its weight."""
    for number, chat in enumerate(chats, 1):
        weight = chat.weight if isinstance(chat, Chat) else 1.0
        yield opening_of(chat), example_of(chat, tokenizer, loss_on, number) | {WEIGHT: weight}


def _completed(
    prompt: "list[Message]", completion: "list[Message]", tokenizer: "PreTrainedTokenizerBase"
) -> dict[str, list[int]]:
    """Return what TRL makes of a prompt and its completion: what both renderings begin with is not learnt."""
    tokens = tokenizer.apply_chat_template([*prompt, *completion], return_dict=False)
    opening = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    n_common = common_prefix_length(opening, tokens)
    return {"input_ids": tokens, "labels": [NOT_A_TARGET] * n_common + tokens[n_common:]}


def _labelled(
    chat: "list[Message]", unlearnt: frozenset[int], tokenizer: "PreTrainedTokenizerBase", number: int
) -> dict[str, list[int]]:
    """Return the tokens of a conversation, and as labels those of the assistant's turns with their end tokens."""
    tokens = tokens_of(chat, tokenizer)
    labels = [NOT_A_TARGET] * len(tokens)
    turns = [place for place, message in enumerate(chat) if message["role"] == "assistant"]
    for from_end, turn in enumerate(reversed(turns), 1):
        before = tokens_of(chat[:turn], tokenizer, opening=True)
        after = tokens_of(chat[: turn + 1], tokenizer)
        if tokens[: len(after)] != after or after[: len(before)] != before:
            raise InputError(
                f"conversation {number}: the chat template writes turn {turn + 1} differently if more follows, so its "
                "tokens cannot be told apart; use --loss-on last"
            )
        if from_end not in unlearnt:
            labels[len(before) : len(after)] = after[len(before) :]
    return {"input_ids": tokens, "labels": labels}


def tokens_of(chat: "Sequence[Message]", tokenizer: "PreTrainedTokenizerBase", *, opening: bool = False) -> list[int]:
    """Return the tokens of a conversation in its chat template."""
    if not chat:
        return []
    return encoded(tokenizer, [rendered(tokenizer, chat, opening=opening)])[0]
