"""Finds the tokens that end a model's turn. A chat template's is often not the tokenizer's end of text.

Gemma's turns end with <end_of_turn>, Phi-3's with <|end|> and Qwen's with <|im_end|>, while the tokenizer's eos_token
may be <eos> or <|endoftext|>, which the model never says.
"""

from typing import TYPE_CHECKING, Any

from console.errors import InputError
from engines.chat.template import encoded, rendered
from records.rows import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANSWER = "here-stands-the-answer"
"""No template has these words of its own."""


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """Return the token with which the chat template ends an assistant's turn, or else the tokenizer's end of text.

    None if there is neither.
    """
    chat = [{"role": "user", "content": "question"}, {"role": "assistant", "content": ANSWER}]
    if tokenizer.chat_template is not None:
        after = _after_the_answer(tokenizer, chat).lstrip()
        tokens = encoded(tokenizer, [after])[0] if after else []
        # A template may write plain text after an answer, such as a line break, which ends nothing.
        if tokens and tokens[0] in tokenizer.added_tokens_decoder:
            return int(tokens[0])
    end: int | None = tokenizer.eos_token_id
    return end


def end_tokens(generation_config: Any, tokenizer: "PreTrainedTokenizerBase", turn_end: int | None) -> frozenset[int]:
    """Return the tokens after which a model says no more: those it is configured with, and the template's own."""
    named = getattr(generation_config, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id, turn_end) if token is not None)


def _after_the_answer(tokenizer: "PreTrainedTokenizerBase", chat: list[Message]) -> str:
    try:
        return rendered(tokenizer, chat, opening=False).partition(ANSWER)[2]
    except InputError:  # reported when a conversation is rendered, with its own turns
        return ""
