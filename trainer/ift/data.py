"""Turns conversations into training examples with labelled targets, and checks them before a model is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, PreTrainedTokenizerBase

from console.errors import InputError
from engines.adapters import weights_folder
from engines.chat.template import encoded, rendered, safe_messages
from trainer.training.fit import safe_example

if TYPE_CHECKING:
    from records import Message

NOT_A_TARGET = -100
"""The label of a token that is not a target."""


def check_chats(chats: "Sequence[list[Message]]", turns: str) -> None:
    """Raise InputError if a conversation has no assistant turn to learn from."""
    for number, chat in enumerate(chats, 1):
        roles = [message["role"] for message in chat]
        if turns == "all" and "assistant" not in roles:
            raise InputError(f"conversation {number} of {len(chats)} has no assistant turn: its roles are {roles}")
        if turns == "last" and roles[-1:] != ["assistant"]:
            raise InputError(f"conversation {number} of {len(chats)} must end with an assistant turn: roles {roles}")


def check_context(
    chats: "Sequence[list[Message]]", parent: Path, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> None:
    """Raise InputError if a conversation within `max_length` exceeds the context of the model in `parent`."""
    config = AutoConfig.from_pretrained(weights_folder(parent)).get_text_config()
    context = getattr(config, "max_position_embeddings", None) or max_length
    if max_length <= context:
        return
    for number, chat in enumerate(chats, 1):
        n_tokens = len(_tokens(chat, tokenizer))
        if n_tokens > context:
            raise InputError(
                f"max_length must be in [1, {context}], the context of {parent.name}, not {max_length}: conversation "
                f"{number} of {len(chats)} has {n_tokens} tokens"
            )


def examples_of(
    chats: "Sequence[list[Message]]", tokenizer: PreTrainedTokenizerBase, turns: str
) -> list[dict[str, Any]]:
    """Return an example per conversation: text for TRL, which learns the last turn, or tokens and labels for all turns.

    Raises InputError for all turns if the chat template rewrites earlier turns when a turn is added.
    """
    examples: list[dict[str, Any]] = [{**safe_example(tokenizer, chat[:-1], completion=chat[-1:])} for chat in chats]
    if turns == "last":
        return examples
    safe = [safe_messages(tokenizer, chat) for chat in chats]
    return [
        example | _labelled(chat, tokenizer, n) for n, (example, chat) in enumerate(zip(examples, safe, strict=True), 1)
    ]


def _labelled(chat: "list[Message]", tokenizer: PreTrainedTokenizerBase, number: int) -> dict[str, list[int]]:
    """Return the tokens of a conversation, and as labels those of the assistant's turns with their end tokens."""
    tokens = _tokens(chat, tokenizer)
    labels = [NOT_A_TARGET] * len(tokens)
    for turn in (n for n, message in enumerate(chat) if message["role"] == "assistant"):
        before = _tokens(chat[:turn], tokenizer, opening=True)
        after = _tokens(chat[: turn + 1], tokenizer)
        if tokens[: len(after)] != after or after[: len(before)] != before:
            raise InputError(
                f"conversation {number}: the chat template writes turn {turn + 1} differently if more follows, so its "
                "tokens cannot be told apart; use --turns last"
            )
        labels[len(before) : len(after)] = after[len(before) :]
    return {"input_ids": tokens, "labels": labels}


def _tokens(chat: "list[Message]", tokenizer: PreTrainedTokenizerBase, *, opening: bool = False) -> list[int]:
    if not chat:
        return []
    return encoded(tokenizer, [rendered(tokenizer, chat, opening=opening)])[0]
