"""What an OpenAI-compatible server replies to a chat completion, as far as it is read."""

from typing import Annotated

import msgspec


class Message(msgspec.Struct, frozen=True):
    """The assistant's turn."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None

    @property
    def has_reasoning(self) -> bool:
        """Return whether the server gives reasoning apart from the text."""
        return bool(self.reasoning or self.reasoning_content)


class Alternative(msgspec.Struct, frozen=True):
    """A token that could have stood at a position."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Token(msgspec.Struct, frozen=True):
    """A token of the reply, with the most likely tokens at its position."""

    token: str
    logprob: float
    top_logprobs: list[Alternative] | None = None
    bytes: list[int] | None = None


class Logprobs(msgspec.Struct, frozen=True):
    """The reply's tokens in order."""

    content: list[Token] | None = None


class Reply(msgspec.Struct, frozen=True):
    """One of the texts that a call returns."""

    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Tokens(msgspec.Struct, frozen=True):
    """How many tokens a call took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatReply(msgspec.Struct, frozen=True):
    """The body of a reply; a body of another form raises msgspec.MsgspecError on decoding."""

    choices: Annotated[list[Reply], msgspec.Meta(min_length=1)]
    usage: Tokens | None = None


decode = msgspec.json.Decoder(ChatReply).decode
