"""The replies of vLLM's server about tokens: those of a text, and the log-probabilities of given ones.

Sources: vLLM 0.32, entrypoints/serve/tokenize/protocol.py and entrypoints/openai/completion/{protocol,serving}.py.
"""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from engines.served.choices.reading import ROUNDING, BrokenTokens, NoLogprobs, NoReading
from engines.served.http_call import CallFailed
from engines.served.parameters import refusal_of
from engines.served.replies.body import KEPT_CHARS, BrokenReply, parse_body
from engines.served.replies.chat_reply import ChatReply, Reply, Tokens
from engines.served.replies.failures import may_pass, said_of_error, says_something, status_of

NAMED = re.compile(r"token_id:(\d{1,9})")
"""A token as it is written with `return_tokens_as_token_ids`, because two tokens may have the same text."""
LEAST = -9999.0
"""This stands for -inf, which JSON has not."""


class Tokenized(msgspec.Struct, frozen=True):
    """The tokens of a text."""

    tokens: list[Annotated[int, msgspec.Meta(ge=0)]]
    context: int = msgspec.field(name="max_model_len")
    """The tokens of prompt and reply that the server takes."""


class Found(msgspec.Struct, frozen=True):
    """The body of a reply about tokens, which no model was asked for."""

    choices: tuple[Tokenized | str]
    usage: Tokens = Tokens()


def decode_tokens(data: bytes) -> Found:
    """Return the tokens of a text. Raises BrokenReply if the body has none."""
    body = _object(data, "tokens")
    try:
        return Found((msgspec.convert(body, Tokenized),))
    except msgspec.ValidationError as error:
        raise BrokenReply(f"the reply has no tokens: {error}") from None


def decode_text(data: bytes) -> Found:
    """Return the text of tokens. Raises BrokenReply if the body has none."""
    body = _object(data, "prompt")
    if not isinstance(body.get("prompt"), str):
        raise BrokenReply(f"the reply has no text: {str(body)[:KEPT_CHARS]}")
    return Found((body["prompt"],))


def logprobs_of_ids(reply: Reply, ids: Sequence[int]) -> dict[int, float]:
    """Return the natural log-probability of each of `ids` as the first token of a reply.

    Raises NoLogprobs if the server left some out, BrokenTokens if the numbers are no log-probabilities.
    """
    tokens = (reply.logprobs and reply.logprobs.content) or []
    listed = {
        int(named[1]): one.logprob
        for one in ((tokens[0].top_logprobs or ()) if tokens else ())
        if (named := NAMED.fullmatch(one.token))
    }
    n_given = sum(token in listed for token in ids)
    if n_given < len(ids):
        raise NoLogprobs(f"the server gave the log-probabilities of {n_given} of the {len(ids)} tokens asked for")
    found = {token: listed[token] if listed[token] != LEAST else -math.inf for token in ids}
    for logprob in found.values():
        if math.isnan(logprob) or logprob > ROUNDING:
            raise BrokenTokens(f"broken reply: {logprob:g} is no log-probability")
    if math.fsum(map(math.exp, found.values())) > 1 + ROUNDING:  # as with --logprobs-mode raw_logits
        raise BrokenTokens("broken reply: the tokens have a probability above 1 together")
    return found


def lacks_ids(found: ChatReply | CallFailed, ids: Sequence[int]) -> bool:
    """Return whether a reply shows a server that ignores which tokens are asked for, or a failed call one that refuses.

    Servers ignore a parameter that they do not know, as older versions of vLLM do.
    """
    if isinstance(found, CallFailed):
        return bool(refusal_of(found.status, found.body, ("logprob_token_ids",)))
    try:
        logprobs_of_ids(found.choices[0], ids)
    except NoLogprobs:
        return True
    except NoReading:
        return False
    return False


def _object(data: bytes, field: str) -> dict[str, Any]:
    """Return a body's JSON object. An error in it without the `field` is raised in the server's words."""
    body = parse_body(data)
    if not isinstance(body, dict):
        raise BrokenReply(f"the reply is no object, but {type(body).__name__}")
    if field not in body and (says_something(body.get("error")) or says_something(body.get("message"))):
        status = status_of(body)
        raise BrokenReply(said_of_error(body, status), status=status, may_pass=may_pass(status))
    return body
