"""The parts of an OpenAI-compatible server's reply to a chat completion that are used."""

import math
from typing import Any

import msgspec

from engines.advice import INSIDE, more_room
from engines.served.replies.body import KEPT_CHARS, BrokenReply, is_utf8, parse_body
from engines.served.replies.failures import CODES, may_pass, said_of_error, says_something, status_of
from engines.served.replies.tokens import Alternative as Alternative
from engines.served.replies.tokens import Logprobs as Logprobs
from engines.served.replies.tokens import Token as Token
from engines.served.replies.tokens import logprobs_of
from records.finish import at_token_limit, cut_off

TEXT_PARTS = {None, "text", "output_text"}
"""The types of a content's text parts. Others are reasoning, images or calls of tools."""
REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
BESIDE = {"id", "object", "created", "model", "usage"}
"""Fields of a body that do not explain why it has no reply."""
MOST_TOKENS = 2**53


class Message(msgspec.Struct, frozen=True):
    """The assistant's turn."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    calls_tools: bool = False
    hides_reasoning: bool = False
    """True if the server counts tokens of reasoning that it does not show."""

    @property
    def has_reasoning(self) -> bool:
        """Return whether the server gives reasoning apart from the text, or says that there was some."""
        return bool(self.reasoning or self.reasoning_content) or self.hides_reasoning


class Reply(msgspec.Struct, frozen=True):
    """One of the texts that a call returns."""

    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Tokens(msgspec.Struct, frozen=True):
    """The tokens of a call, or 0 if the server does not state them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Those of the prompt that the server had read before."""


class ChatReply(msgspec.Struct, frozen=True):
    """The body of a reply."""

    choices: tuple[Reply, ...]
    usage: Tokens = Tokens()


def decode(data: bytes) -> ChatReply:
    """Return the reply in a body. Raises BrokenReply if it has none.

    Only what is used is looked at, so that a field of another form elsewhere costs no paid reply. An `error` in the
    body or in the choice is a failure, whatever the status said, with the provider's words.
    """
    body = parse_body(data)
    if isinstance(body, list) and len(body) == 1:
        body = body[0]  # Google's errors come in a list
    if not isinstance(body, dict):
        raise BrokenReply(f"the reply is no chat completion, but {type(body).__name__}")
    usage = tokens_of(body.get("usage"))
    try:
        reply = _reply(body)
        if "\ufffd" in (reply.message.content or "") and not is_utf8(data):
            raise BrokenReply("the reply's text has bytes that are no UTF-8", may_pass=True)
        return ChatReply((reply,), usage)
    except BrokenReply as error:
        error.n_prompt_tokens, error.n_tokens = usage.prompt_tokens, usage.completion_tokens
        raise
    except RecursionError:
        raise BrokenReply("the reply is nested too deeply") from None


def no_text(reply: Reply, thinking_tokens: int | None = None) -> str | None:
    """Return why `reply` has no text to read, or None if it has one.

    `thinking_tokens` is the room that the call had for reasoning, None if that is not known.
    """
    message, reason = reply.message, cut_off(reply.finish_reason)
    if message.refusal:
        return f"refused: {message.refusal}"
    if message.content and message.content.strip():
        return None
    if at_token_limit(reply.finish_reason):
        if message.has_reasoning:
            known = "raise --thinking-tokens or --max-new-tokens"
            return f"the reply was {INSIDE}: {known if thinking_tokens is None else more_room(thinking_tokens)}"
        return "the reply was cut off before it had any text: raise --max-new-tokens"
    if message.calls_tools:
        return "the reply is empty: it only calls tools"
    if reason:
        return f"the reply is empty: it ended with {reason}"
    return "the reply is empty: it has only reasoning" if message.has_reasoning else "the reply is empty"


def tokens_of(usage: object) -> Tokens:
    """Return the tokens that a `usage` counts, under OpenAI's names or Anthropic's. A count below 0 is ignored.

    Cached tokens are a part of the prompt's (OpenAI, vLLM, DeepSeek). Anthropic's `input_tokens` are those beside the
    cached ones (docs of its Messages API, `usage`), which are added here.
    """
    if not isinstance(usage, dict):
        return Tokens()
    n_read = _count(usage, "prompt_tokens")
    if n_read is None and (n_read := _count(usage, "input_tokens")) is not None:
        n_read += sum(_count(usage, name) or 0 for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))
    n_written = _count(usage, "completion_tokens", "output_tokens")
    total = _count(usage, "total_tokens")
    if total is not None:
        n_read = max(0, total - (n_written or 0)) if n_read is None else n_read
        n_written = max(0, total - n_read) if n_written is None else n_written
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")  # a chat's, or a decision's
    kept = details if isinstance(details, dict) else usage
    n_cached = _count(kept, "cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens")
    return Tokens(n_read or 0, n_written or 0, min(n_cached or 0, n_read or 0))


def _reply(body: dict[str, Any]) -> Reply:
    choices = body.get("choices")
    choice = _first(choices) if isinstance(choices, list) and choices else None
    for holder in (body, choice):
        if isinstance(holder, dict) and says_something(holder.get("error")):
            _fail(holder)
    if not isinstance(choice, dict):
        if body.get("object") == "error" or ("choices" not in body and says_something(body.get("message"))):
            _fail(body)
        rest = {name: value for name, value in body.items() if name not in BESIDE and value not in (None, "")}
        raise BrokenReply(f"the reply has no choices: {str(rest)[:KEPT_CHARS]}")
    message = choice.get("message")
    if message is None and isinstance(choice.get("text"), str):
        message = {"content": choice["text"]}  # as plain completions have it
    if not isinstance(message, dict):
        raise BrokenReply(f"the reply has no message: {str(choice)[:KEPT_CHARS]}")
    content, refusal = _content(message)
    logprobs = logprobs_of(choice.get("logprobs"))
    hides = _hides_reasoning(body.get("usage"))
    return Reply(_message(message, content, refusal, hides), _finish_reason(choice.get("finish_reason")), logprobs)


def _first(choices: list[Any]) -> Any:
    """Return the reply with the index 0, even if complete others stand before it, because one was asked for."""
    for item in choices:
        if not isinstance(item, dict) or not isinstance(item.get("index"), int):
            break
        if item["index"] == 0:
            return item
    return choices[0]


def _fail(found: dict[str, Any]) -> None:
    error = found["error"] if says_something(found.get("error")) else found
    beside = {name: found.get(name) for name in CODES}
    status = next((item for item in (status_of(error), status_of(beside)) if item is not None), None)
    raise BrokenReply(said_of_error(error, status), status=status, may_pass=may_pass(status))


def _message(message: dict[str, Any], content: str | None, refusal: str | None, hides: bool) -> Message:
    calls_tools = bool(message.get("tool_calls") or message.get("function_call"))
    parts = message.get("content")
    beside = [message[name] for name in REASONING if says_something(message.get(name))]
    inside = [
        part
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")
    ]
    reasoning = str((beside + inside)[0]) if beside or inside else None
    return Message(content, refusal, reasoning, None, calls_tools, hides)


def _hides_reasoning(usage: object) -> bool:
    """Return whether a `usage` counts tokens of reasoning, as OpenAI's and OpenRouter's do."""
    if not isinstance(usage, dict):
        return False
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    counts = [details if isinstance(details, dict) else {}, usage]
    return any(_count(item, "reasoning_tokens") for item in counts)


def _content(message: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the text and the refusal, or None for either. Parts of a text are joined, and reasoning is left out."""
    content, refusal = message.get("content"), message.get("refusal")
    refusals = [refusal] if says_something(refusal) else []
    texts: list[str] = []
    if isinstance(content, int | float) or (isinstance(content, dict) and not {"text", "type"} & content.keys()):
        raise BrokenReply(f"the reply's content is no text: {str(content)[:KEPT_CHARS]}")  # true and false too
    parts = content if isinstance(content, list) else [] if content is None else [content]
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            text = part.get("text")
            text = text.get("value") if isinstance(text, dict) else text
            if part.get("type") in TEXT_PARTS and isinstance(text, str):
                texts.append(text)
            if part.get("type") == "refusal" and says_something(part.get("refusal")):
                refusals.append(part["refusal"])
    told = " ".join(item if isinstance(item, str) else "the server says no more" for item in refusals)
    return "".join(texts) if texts else None, told or None


def _finish_reason(reason: object) -> str | None:
    """Return why the text ended, of any form: an object has it under `type` or `reason`."""
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason") or "unknown"
    return None if reason is None else reason if isinstance(reason, str) else str(reason)[:80]


def _count(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS:
            return math.floor(value)
    return None
