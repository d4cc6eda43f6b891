"""Finds out, once for each server, whether it reads the log-probabilities of given tokens.

A server is not believed for its version or for taking the parameter: many ignore what they do not know. It is asked
for some tokens, and has to list all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from engines.choice_tokens.tree import MOST_IDS
from engines.served.choices.reading import NoReading
from engines.served.exact.beginning import Opened
from engines.served.exact.replies import Tokenized, decode_text, decode_tokens, logprobs_of_ids
from engines.served.http_call import CallFailed
from engines.served.identity import Nothing
from engines.served.lookup import found_at
from engines.served.openai_calls import Step
from engines.served.replies.chat_reply import decode

if TYPE_CHECKING:
    from engines.served.sdk import Connection

COMPLETIONS = "/completions"
TOKENIZE = Step("/tokenize", decode_tokens, is_of_model=False)
DETOKENIZE = Step("/detokenize", decode_text, is_of_model=False)
FIRST, SECOND = "question", "0"
"""The texts of two conversations that share no token."""


@dataclass(frozen=True)
class NotExact:
    """A server does not read given tokens."""

    why: str
    may_pass: bool = False
    """True if it could not be asked now."""
    is_vllm: bool = True


async def probed(connection: "Connection", model: str, variables: Mapping[str, Any]) -> Opened | NotExact:
    """Return how `model` opens a reply if its server reads given tokens, or why it does not.

    `variables` are those of the chat template.
    """
    version = await found_at(connection.got, [connection.account.at("/version")])
    if version is None:
        return NotExact("it cannot be reached", may_pass=True, is_vllm=False)
    if not (isinstance(version, dict) and isinstance(version.get("version"), str)):
        silence = version if isinstance(version, Nothing) else Nothing("/models: no version", may_pass=False)
        why = f"it is no vLLM ({silence.why.replace('/models', '/version')})"
        return NotExact(why, silence.may_pass, is_vllm=False)
    try:
        return await _opened(connection, model, variables)
    except CallFailed as failed:
        return NotExact(failed.reason, failed.may_pass or failed.unreachable)
    except NoReading as why:
        return NotExact(f"vLLM {version['version']}: {why}")


async def _opened(connection: "Connection", model: str, variables: Mapping[str, Any]) -> Opened:
    async def asked(path: str, read: Callable[[bytes], Any], body: dict[str, Any]) -> Any:
        answer = await connection.at(path).post(msgspec.json.encode(body), read)
        return answer.reply.choices[0]

    async def tokens(body: dict[str, Any]) -> Tokenized:
        found: Tokenized = await asked(TOKENIZE.path, TOKENIZE.decode, body)
        return found

    bodies = [chat_body(model, [{"role": "user", "content": text}], variables) for text in (FIRST, SECOND)]
    first, second = [await tokens(body) for body in bodies]
    text = await asked(DETOKENIZE.path, DETOKENIZE.decode, {"model": model, "tokens": first.tokens})
    again = await tokens(text_body(model, text))
    if again.tokens != first.tokens:
        raise NoReading("a conversation that was put back together from its tokens has others")
    opened = Opened.of(first.tokens, second.tokens, text, first.context)
    if not opened.n_tail:
        raise NoReading("the model's chat template writes nothing before a reply, so its words may merge with any text")
    ids = sorted(set(first.tokens))[:MOST_IDS]
    logprobs_of_ids(await asked(COMPLETIONS, decode, reading_body(model, first.tokens, ids)), ids)
    return opened


def chat_body(model: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request for the tokens of a conversation with the reply opened."""
    body = {"model": model, "messages": messages, "add_generation_prompt": True}
    return body | ({"chat_template_kwargs": dict(variables)} if variables else {})


def text_body(model: str, text: str) -> dict[str, Any]:
    """Return the request for the tokens of a text that a template wrote."""
    return {"model": model, "prompt": text, "add_special_tokens": False}


def reading_body(model: str, tokens: Sequence[int], ids: Sequence[int]) -> dict[str, Any]:
    """Return the request for the log-probabilities of the tokens `ids` after `tokens`."""
    return {
        "model": model,
        "prompt": tokens,
        "max_tokens": 1,
        "temperature": 0.0,
        # The model's own default changes the numbers of a server with --logprobs-mode processed_logprobs.
        "repetition_penalty": 1.0,
        "logprobs": 1,
        "logprob_token_ids": ids,
        "return_tokens_as_token_ids": True,
    }
