"""Checks conversations before a model is loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoConfig, PreTrainedTokenizerBase

from console.errors import InputError
from engines.adapters import weights_folder
from trainer.training.examples.turns import tokens_of

if TYPE_CHECKING:
    from records import Message
    from trainer.training.examples.file_rows import Rows


def check_chats(chats: "Rows[list[Message]]", loss_on: str) -> None:
    """Raise InputError if a conversation has no assistant turn to learn from."""
    for number, chat in enumerate(chats, 1):
        roles = [message["role"] for message in chat]
        if loss_on == "all" and "assistant" not in roles:
            raise InputError(f"conversation {number} of {len(chats)} has no assistant turn: its roles are {roles}")
        if loss_on == "last" and roles[-1:] != ["assistant"]:
            raise InputError(f"conversation {number} of {len(chats)} must end with an assistant turn: roles {roles}")


def check_context(
    chats: "Rows[list[Message]]", parent: Path, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> None:
    """Raise InputError if a conversation within `max_length` exceeds the context of the model in `parent`."""
    config = AutoConfig.from_pretrained(weights_folder(parent)).get_text_config()
    context = getattr(config, "max_position_embeddings", None) or max_length
    if max_length <= context:
        return
    for number, chat in enumerate(chats, 1):
        n_tokens = len(tokens_of(chat, tokenizer))
        if n_tokens > context:
            raise InputError(
                f"--max-length must be in [1, {context}], the context of {parent.name}, not {max_length}: conversation "
                f"{number} of {len(chats)} has {n_tokens} tokens"
            )
