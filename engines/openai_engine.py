"""Asks any OpenAI-compatible server, several calls at once, with the SDK's own retries."""

import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import httpx2
import msgspec
import openai

from console.errors import EngineError, InputError
from engines import in_flight
from engines.chat_reply import ChatReply, Reply, decode
from engines.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.protocol import Choice, Completion, Request, Sampling
from engines.served_choices import read_choices

MAX_RETRIES = 4
TOP_LOGPROBS = 20
"""The most that the API gives."""
TOKENS_BEFORE_CHOICE = 7
"""How many tokens a reply may take to come to its choice: `Score: 4` and a little before it."""
FATAL = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
"""What will be the same for every call."""
FAILED = (openai.APIError, aiohttp.ClientError, msgspec.MsgspecError)

ResultT = TypeVar("ResultT", Completion, Choice)


@dataclass(frozen=True)
class Call:
    """What came of asking once, retries included."""

    reply: Reply | None
    error: str | None
    usage: dict[str, Any]
    """The fields of a Completion or Choice that say what the call cost."""


class OpenAIEngine:
    """A model behind a server. A call that fails after its retries is a result with an error, never a text."""

    def __init__(self, model: str, base_url: str | None, api_key_env: str, concurrency: int) -> None:
        """Name a server; raises InputError where the official one is meant and there is no key."""
        self._key = os.environ.get(api_key_env, "")
        if not self._key and base_url is None:
            raise InputError(f"no key for the OpenAI API: set {api_key_env}, or name a server with --base-url")
        self.name = model
        self.digest = f"{(base_url or 'https://api.openai.com/v1').rstrip('/')}/{model}"
        self._base_url = base_url
        self._concurrency = concurrency
        self._tls = httpx2.create_ssl_context()  # takes longer to make than a call
        self._answered = False
        gc.freeze()  # else each full collection goes through the SDK's thousands of classes: 3% of a busy client's time

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as calls return; see `engines.protocol.Engine`."""
        settings: dict[str, Any] = {
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.stop:
            settings["stop"] = list(sampling.stop)

        def read(index: int, call: Call) -> Completion:
            if call.reply is None:
                return Completion(index, "", None, error=call.error, **call.usage)
            message = call.reply.message
            if message.refusal:
                return Completion(index, "", None, error=f"refused: {message.refusal}", **call.usage)
            return Completion(index, message.content or "", call.reply.finish_reason, **call.usage)

        return self._each(requests, done, settings, read)

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices` where the reply first names one; see `engines.protocol.Engine`.

        A server has no common way to force the first words of a reply, so a request's `prefill` is not sent: the
        prompt has to ask for a reply that comes to its choice within a few tokens. `read_choices` says what is then
        read.
        """
        n_new = TOKENS_BEFORE_CHOICE + max(map(len, choices))
        settings = {"max_tokens": n_new, "temperature": 0.0, "logprobs": True, "top_logprobs": TOP_LOGPROBS}

        def read(index: int, call: Call) -> Choice:
            if call.reply is None:
                return Choice(index, (), error=call.error, **call.usage)
            if not (call.reply.logprobs and call.reply.logprobs.content):
                raise EngineError(f"{self.name}: the server gives no log-probabilities; use --read text")
            logprobs = read_choices(call.reply, choices)
            text = (call.reply.message.content or "")[:80]
            error = None if logprobs else f"the reply names no choice: {text!r}"
            return Choice(index, logprobs or (), error=error, **call.usage)

        return self._each(requests, done, settings, read)

    def _each(
        self,
        requests: Sequence[Request],
        done: Collection[int],
        settings: dict[str, Any],
        read: Callable[[int, Call], ResultT],
    ) -> Iterator[ResultT]:
        """Yield `read` of every call that is not in `done`, `concurrency` calls under way at once."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[in_flight.Ask[ResultT]]:
            async with self._client() as client:

                async def ask(index: int) -> ResultT:
                    return read(index, await self._call(client, requests[index], settings))

                yield ask

        todo = (index for index in range(len(requests)) if index not in done)
        return in_flight.results(opened, todo, self._concurrency)

    def _client(self) -> openai.AsyncOpenAI:
        # aiohttp takes half of the processor time of the SDK's own transport, which looks through all of its
        # connections at every call.
        limits = httpx2.Limits(max_connections=self._concurrency)
        return openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key or "none",
            max_retries=MAX_RETRIES,
            http_client=openai.DefaultAioHttpClient(limits=limits, verify=self._tls),
        )

    async def _call(self, client: openai.AsyncOpenAI, request: Request, settings: dict[str, Any]) -> Call:
        started = time.monotonic()
        n_retries = 0
        try:
            # The SDK's typed method spends more time on the request's and reply's types than on everything else.
            response = await client.post(
                "/chat/completions", cast_to=httpx2.Response, body=self._body(request, settings)
            )
            n_retries = _retries(response.request)
            reply = decode(response.content)
        except FATAL as error:
            raise EngineError(f"{self.digest}: {_reason(error)}") from None
        except FAILED as error:
            if isinstance(error, openai.APIConnectionError) and not self._answered:
                where = self.digest.removesuffix(f"/{self.name}")
                raise EngineError(
                    f"{where}: no server answers there; is --base-url right, and is it running?"
                ) from None
            n_calls = 1 + (_retries(error.request) if isinstance(error, openai.APIError) else n_retries)
            usage = {"n_calls": n_calls, "n_failed": n_calls, "seconds": time.monotonic() - started}
            return Call(None, f"call failed: {_reason(error)}", usage)
        self._answered = True
        return Call(reply.choices[0], None, _usage(reply, n_retries, time.monotonic() - started))

    def _body(self, request: Request, settings: dict[str, Any]) -> dict[str, Any]:
        body = {
            "model": self.name,
            "messages": neutralised(request.messages, COMMON_SPECIAL_TOKENS),
            "seed": request.seed,
            **settings,
        }
        if self._base_url is None:
            body["max_completion_tokens"] = body.pop("max_tokens")  # the official server's newer models know no other
        if request.schema is not None:
            schema = {"name": "verdict", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def _usage(reply: ChatReply, n_retries: int, seconds: float) -> dict[str, Any]:
    n_prompt, n_new = (reply.usage.prompt_tokens, reply.usage.completion_tokens) if reply.usage else (0, 0)
    return {
        "n_prompt_tokens": n_prompt,
        "n_tokens": n_new,
        "n_calls": n_retries + 1,
        "n_failed": n_retries,
        "seconds": seconds,
    }


def _retries(request: httpx2.Request) -> int:
    """Return how many attempts went before this one: the SDK writes it on every request that it sends."""
    return int(request.headers.get("x-stainless-retry-count", 0))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
