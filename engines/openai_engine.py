"""Asks any OpenAI-compatible server: makes what is sent, and reads what comes back."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from console.errors import EngineError, InputError
from engines.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.openai_calls import Call, Calls, ServedCalls
from engines.protocol import Choice, Completion, Request, Sampling
from engines.served_choices import NoLogprobs, NoReading, choice_settings, read_choices

OFFICIAL = "https://api.openai.com/v1"

Asked = tuple[tuple[str, ...], bool]
"""The labels after which a request's choice is named, and whether it counts alone."""


@dataclass
class OpenAIEngine:
    """A model behind a server. A call that fails after its retries is a result with an error, never a text."""

    name: str
    digest: str
    official: bool
    """Whether it is OpenAI's own server, whose newer models call one setting otherwise."""
    calls: Calls

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
        for index, call in self._ask(requests, done, lambda *_: settings):
            if call.reply is None:
                yield Completion(index, "", None, error=call.error, **call.usage)
            elif call.reply.message.refusal:
                yield Completion(index, "", None, error=f"refused: {call.reply.message.refusal}", **call.usage)
            else:
                yield Completion(index, call.reply.message.content or "", call.reply.finish_reason, **call.usage)

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices` where the reply first names one; see `engines.protocol.Engine`.

        A server has no common way to force the first words of a reply, so a request's `prefill` is not sent: the
        prompt has to ask for a reply that comes to its choice within a few tokens, after one of the request's `labels`.
        `read_choices` says what is then read.
        """
        asked: dict[int, Asked] = {}

        def settings(index: int, request: Request) -> dict[str, Any]:
            asked[index] = request.labels, request.alone
            return choice_settings(choices, *asked[index])

        for index, call in self._ask(requests, done, settings):
            if index not in asked:  # the reply is from a file
                asked[index] = requests[index].labels, requests[index].alone
            yield self._choice(index, call, choices, *asked.pop(index))

    def _choice(self, index: int, call: Call, choices: Sequence[str], labels: tuple[str, ...], alone: bool) -> Choice:
        if call.reply is None:
            return Choice(index, (), error=call.error, **call.usage)
        if call.reply.message.refusal:
            return Choice(index, (), error=f"refused: {call.reply.message.refusal}", **call.usage)
        try:
            logprobs = read_choices(call.reply, choices, labels, alone=alone)
        except NoLogprobs as why:
            raise EngineError(f"{self.name}: {why}; use --read text") from None
        except NoReading as why:
            return Choice(index, (), error=str(why), **call.usage)
        text = (call.reply.message.content or "")[:80]
        error = None if logprobs else f"the reply names no choice: {text!r}"
        return Choice(index, logprobs or (), error=error, **call.usage)

    def _ask(
        self, requests: Sequence[Request], done: Collection[int], settings: Callable[[int, Request], dict[str, Any]]
    ) -> Iterator[tuple[int, Call]]:
        def body(index: int) -> dict[str, Any]:
            request = requests[index]
            return self._body(request, settings(index, request))

        return self.calls((index for index in range(len(requests)) if index not in done), body)

    def _body(self, request: Request, settings: dict[str, Any]) -> dict[str, Any]:
        body = {
            "model": self.name,
            "messages": neutralised(request.messages, COMMON_SPECIAL_TOKENS),
            "seed": request.seed,
            **settings,
        }
        if self.official:
            body["max_completion_tokens"] = body.pop("max_tokens")  # the official server's newer models know no other
        if request.schema is not None:
            schema = {"name": "verdict", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def open_openai(model: str, base_url: str | None, api_key_env: str, concurrency: int) -> OpenAIEngine:
    """Return the engine for a model at `base_url`, else at OPENAI_BASE_URL, else at OpenAI's own server.

    Nothing is asked yet. Raises InputError where the official server is meant and there is no key.
    """
    server = (base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or OFFICIAL).rstrip("/")
    key = os.environ.get(api_key_env, "").strip()
    if server == OFFICIAL and not key:
        raise InputError(f"no key for the OpenAI API: set {api_key_env}, or name a server with --base-url")
    calls = ServedCalls(server, _headers(server, key), concurrency)
    return OpenAIEngine(model, f"{server}/{model}", server == OFFICIAL, calls)


def _headers(server: str, key: str) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "judgeloop",
        "OpenAI-Organization": os.environ.get("OPENAI_ORG_ID", ""),
        "OpenAI-Project": os.environ.get("OPENAI_PROJECT_ID", ""),
    }
    if not urlsplit(server).username:  # else the URL's user and password are sent in its place
        headers["Authorization"] = f"Bearer {key or 'none'}"
    return {name: value for name, value in headers.items() if value}
