"""Asks any OpenAI-compatible server: makes what is sent, and reads what comes back."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.errors import InputError
from engines.chat.template import checked_kwargs, with_kwargs
from engines.chat_reply import no_text
from engines.http_call import Limits
from engines.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.openai_calls import MAX_FAILURES_IN_ROW, Call, Calls, ServedCalls
from engines.protocol import Choice, Completion, NoLogprobsError, Request, Sampling
from engines.served.address import Address, basic
from engines.served.outage import FIRST_CALLS
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
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the model's chat template, which vLLM, SGLang and others take."""
    gives_logprobs: bool = field(default=False, init=False)
    """Whether any reply had log-probabilities: until then replies without them are the server's fault."""

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
            elif reason := no_text(call.reply):
                yield Completion(index, "", None, error=reason, **call.usage)
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

        without: list[tuple[int, Call, Asked]] = []  # the first replies, as long as none has log-probabilities
        self.gives_logprobs |= bool(done)
        for index, call in self._ask(requests, done, settings):
            how = asked.pop(index, None) or (requests[index].labels, requests[index].alone)  # or a reply from a file
            try:
                yield self._choice(index, call, choices, *how)
            except NoLogprobs as why:
                without.append((index, call, how))
                if len(without) == FIRST_CALLS:
                    raise NoLogprobsError(f"{self.name}: {why}") from None
            if self.gives_logprobs:
                yield from (self._choice(index, call, choices, *how) for index, call, how in without)
                without.clear()
        for index, call, how in without:
            try:
                yield self._choice(index, call, choices, *how)
            except NoLogprobs as why:
                raise NoLogprobsError(f"{self.name}: {why}") from None

    def _choice(self, index: int, call: Call, choices: Sequence[str], labels: tuple[str, ...], alone: bool) -> Choice:
        if call.reply is None:
            return Choice(index, (), error=call.error, **call.usage)
        if call.reply.message.refusal:
            return Choice(index, (), error=f"refused: {call.reply.message.refusal}", **call.usage)
        try:
            logprobs = read_choices(call.reply, choices, labels, alone=alone)
        except NoLogprobs as why:
            if not self.gives_logprobs:
                raise
            return Choice(index, (), error=str(why), **call.usage)
        except NoReading as why:
            self.gives_logprobs = True
            return Choice(index, (), error=str(why), **call.usage)
        self.gives_logprobs = True
        text = (call.reply.message.content or "")[:80]
        error = None if logprobs else f"the reply names no choice: {text!r}"
        return Choice(index, logprobs or (), error=error, **call.usage)

    def _ask(
        self, requests: Sequence[Request], done: Collection[int], settings: Callable[[int, Request], dict[str, Any]]
    ) -> Iterator[tuple[int, Call]]:
        def body(index: int) -> dict[str, Any]:
            request = requests[index]
            return self._body(request, settings(index, request))

        return self.calls((index for index in range(len(requests)) if index not in done), body, resumed=bool(done))

    def _body(self, request: Request, settings: dict[str, Any]) -> dict[str, Any]:
        body = {
            "model": self.name,
            "messages": neutralised(request.messages, COMMON_SPECIAL_TOKENS),
            "seed": request.seed,
            **settings,
        }
        if self.chat_template_kwargs:
            body["chat_template_kwargs"] = dict(self.chat_template_kwargs)
        if self.official:
            body["max_completion_tokens"] = body.pop("max_tokens")  # the official server's newer models know no other
        if request.schema is not None:
            schema = {"name": "verdict", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def open_openai(
    model: str,
    base_url: str | None,
    api_key_env: str,
    concurrency: int,
    limits: Limits | None = None,
    max_failures_in_row: int = MAX_FAILURES_IN_ROW,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> OpenAIEngine:
    """Return the engine for a model at `base_url`, else at OPENAI_BASE_URL, else at OpenAI's own server.

    Nothing is asked yet. Raises InputError where the official server is meant and there is no key.
    """
    server = (base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or OFFICIAL).rstrip("/")
    key = os.environ.get(api_key_env, "").strip()
    if server == OFFICIAL and not key:
        raise InputError(f"no key for the OpenAI API: set {api_key_env}, or name a server with --base-url")
    address = Address.of(server)
    calls = ServedCalls(server, _headers(address, key), concurrency, limits or Limits(), max_failures_in_row)
    place = f"{address.scheme}{address.place.rstrip('/')}"  # without secrets: a new key is no new judge
    variables = checked_kwargs(chat_template_kwargs or {})
    return OpenAIEngine(model, with_kwargs(f"{place}/{model}", variables), server == OFFICIAL, calls, variables)


def _headers(address: Address, key: str) -> dict[str, str]:
    headers = {
        # the URL's user and password, where it has them, are sent in place of the key
        "Authorization": f"Basic {basic(address.user)}" if address.user else f"Bearer {key or 'none'}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": "judgeloop",
        "OpenAI-Organization": os.environ.get("OPENAI_ORG_ID", ""),
        "OpenAI-Project": os.environ.get("OPENAI_PROJECT_ID", ""),
    }
    return {name: value for name, value in headers.items() if value}
