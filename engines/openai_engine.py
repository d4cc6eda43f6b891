"""Asks any OpenAI-compatible server, several calls at once, with the SDK's own retries."""

import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import openai
from openai.types.chat import ChatCompletion

from console.errors import EngineError, InputError
from engines.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.protocol import Choice, Completion, Request, Sampling

MAX_RETRIES = 4
TOP_LOGPROBS = 20
"""The most that the API gives."""
CHOICE_TOKENS = 8
"""How many tokens a reply may take to come to its choice: `Score: 4` and a little before it."""
FATAL = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
"""What will be the same for every call."""

ResultT = TypeVar("ResultT", Completion, Choice)


class OpenAIEngine:
    """A model behind a server. A call that fails after its retries is a result with an error, never a text."""

    def __init__(self, model: str, base_url: str | None, api_key_env: str, concurrency: int) -> None:
        """Make a client; raises InputError where the official server is meant and there is no key."""
        key = os.environ.get(api_key_env, "")
        if not key and base_url is None:
            raise InputError(f"no key for the OpenAI API: set {api_key_env}, or name a server with --base-url")
        self.name = model
        self.digest = f"{(base_url or 'https://api.openai.com/v1').rstrip('/')}/{model}"
        self._official = base_url is None
        self._concurrency = concurrency
        self._client = openai.OpenAI(base_url=base_url, api_key=key or "none", max_retries=MAX_RETRIES)
        self._answered = False

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as calls return; see `engines.protocol.Engine`."""

        def ask(index: int) -> Completion:
            reply = self._call(
                requests[index],
                sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                stop=list(sampling.stop) or None,
            )
            choice = reply.choices[0]
            n_prompt, n_new = _usage(reply)
            if choice.message.refusal:
                return Completion(index, "", None, n_prompt, n_new, error=f"refused: {choice.message.refusal}")
            return Completion(index, choice.message.content or "", choice.finish_reason, n_prompt, n_new)

        return self._each(requests, done, ask, lambda index, error: Completion(index, "", None, error=error))

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices` where the reply first names one; see `engines.protocol.Engine`.

        A server has no common way to force the first words of a reply, so a request's `prefill` is not sent: the
        prompt has to ask for a reply that comes to its choice within a few tokens.
        """

        def ask(index: int) -> Choice:
            reply = self._call(
                requests[index], CHOICE_TOKENS, temperature=0.0, logprobs=True, top_logprobs=TOP_LOGPROBS
            )
            tokens = reply.choices[0].logprobs and reply.choices[0].logprobs.content
            if not tokens:
                raise EngineError(f"{self.name}: the server gives no log-probabilities; use --read text")
            n_prompt, n_new = _usage(reply)
            for token in tokens:
                if token.token.strip() in choices:
                    found = {top.token: top.logprob for top in token.top_logprobs} | {token.token: token.logprob}
                    return Choice(index, _logprobs(found, choices), n_prompt, n_new)
            text = reply.choices[0].message.content or ""
            return Choice(index, (), n_prompt, n_new, error=f"the reply names no choice: {text[:80]!r}")

        return self._each(requests, done, ask, lambda index, error: Choice(index, (), error=error))

    def _call(self, request: Request, max_tokens: int, **settings: Any) -> ChatCompletion:
        limit = "max_completion_tokens" if self._official else "max_tokens"
        reply: ChatCompletion = self._client.chat.completions.create(
            model=self.name,
            messages=neutralised(request.messages, COMMON_SPECIAL_TOKENS),
            seed=request.seed,
            **{limit: max_tokens},
            **{name: value for name, value in settings.items() if value is not None},
        )  # type: ignore[call-overload]
        if not reply.choices:
            raise openai.APIError("the server's reply has no choice", request=None, body=None)  # type: ignore[arg-type]
        self._answered = True
        return reply

    def _each(
        self,
        requests: Sequence[Request],
        done: Collection[int],
        ask: Callable[[int], ResultT],
        failed: Callable[[int, str], ResultT],
    ) -> Iterator[ResultT]:
        """Yield `ask(index)` for every index that is not in `done`, `concurrency` calls under way at once."""
        todo = (index for index in range(len(requests)) if index not in done)
        pool = ThreadPoolExecutor(self._concurrency)
        running: dict[Future[ResultT], int] = {}
        try:
            while True:
                while len(running) < self._concurrency and (index := next(todo, None)) is not None:
                    running[pool.submit(ask, index)] = index
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield self._result(future, running.pop(future), failed)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _result(self, future: Future[ResultT], index: int, failed: Callable[[int, str], ResultT]) -> ResultT:
        try:
            return future.result()
        except FATAL as error:
            raise EngineError(f"{self.digest}: {_reason(error)}") from None
        except openai.APIConnectionError as error:
            if not self._answered:
                where = self.digest.removesuffix(f"/{self.name}")
                raise EngineError(
                    f"{where}: no server answers there; is --base-url right, and is it running?"
                ) from None
            return failed(index, f"call failed: {_reason(error)}")
        except openai.APIError as error:
            return failed(index, f"call failed: {_reason(error)}")


def _logprobs(found: dict[str, float], choices: Sequence[str]) -> tuple[float, ...]:
    """Return the log of the probability of each choice, over all tokens that spell it (`4` and ` 4`)."""
    mass = dict.fromkeys(choices, 0.0)
    for token, logprob in found.items():
        if token.strip() in mass:
            mass[token.strip()] += math.exp(logprob)
    return tuple(math.log(mass[choice]) if mass[choice] else -math.inf for choice in choices)


def _usage(reply: ChatCompletion) -> tuple[int, int]:
    return (reply.usage.prompt_tokens, reply.usage.completion_tokens) if reply.usage else (0, 0)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
