"""Turns conversations into examples whose learnt tokens are known: the assistant's last turn, or all its turns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.errors import InputError
from engines.chat.template import encoded, rendered, safe_messages
from records.rows import Chat
from trainer.training.fit import safe_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from records import Message
    from trainer.training.options import LossOn

NOT_A_TARGET = -100
"""The label of a token that is not a target."""


def example_of(
    chat: "Sequence[Message]", tokenizer: "PreTrainedTokenizerBase", loss_on: "LossOn", number: int = 1
) -> dict[str, Any]:
    """Return a conversation as an example: text for TRL, which learns the last turn, or tokens and labels for all.

    Raises InputError, which names the conversation by its `number`, if the loss is on all turns and the chat template
    writes an earlier turn differently when another one follows.
    """
    example: dict[str, Any] = {**safe_example(tokenizer, chat[:-1], completion=chat[-1:])}
    if loss_on == "last":
        return example
    unlearnt = chat.unlearnt if isinstance(chat, Chat) else frozenset()
    return example | _labelled(safe_messages(tokenizer, chat), unlearnt, tokenizer, number)


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
