"""Calls to an OpenAI-compatible server, several under way at once."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from console.address import masked, shown
from console.errors import EngineError, InputError
from engines.served import in_flight
from engines.served.account import Account
from engines.served.http_call import CallFailed, Limits
from engines.served.lookup import found_at
from engines.served.outage import HINTS, Outage
from engines.served.replicas import Replica, Replicas, addresses, checked_listings, connected_to, connected_to_all
from engines.served.replies.chat_reply import Reply, Tokens, decode
from engines.served.replies.failures import shortened

if TYPE_CHECKING:
    from engines.served.sdk import Connection

ResultT = TypeVar("ResultT")
MAX_FAILURES_IN_ROW = 25
"""So many failed calls mean that a server is gone. It is far more than refused prompts in a row."""


@dataclass(frozen=True)
class Call:
    """The result of asking once, retries included."""

    reply: Reply | None
    error: str | None
    usage: dict[str, Any]
    """The fields of a Completion or Choice that say what the call cost."""


@dataclass(frozen=True)
class Step:
    """One of the calls that an answer takes, and how its reply is read."""

    path: str
    """The part of the API that is asked."""
    decode: Callable[[bytes], Any]
    """Returns the parsed body of a reply, with its `usage` and its `choices`. Raises BrokenReply."""
    lacks: Callable[[Any], bool] | None = None
    """Returns whether a reply, or a failed call, shows a server that does not give what others do."""
    is_of_model: bool = True
    """False if no model is asked, so that a reply says nothing of how the model's own calls go."""


Ask = Callable[[Callable[[], dict[str, Any]], Step], Awaitable[Call]]
"""Makes one call. The request is made when it is sent, and again if its refusal changes the parameters."""


class Calls(Protocol):
    """Something that makes calls, or knows what came of them."""

    def __call__(
        self, todo: Iterator[int], body: Callable[[int], dict[str, Any]], *, resumed: bool = False
    ) -> Iterator[tuple[int, Call]]:
        """Yield each index of `todo` with its call, as calls return. `body` makes the request once its turn comes.

        `resumed` says that others of the same calls were answered at an earlier start. Raises EngineError if no
        call can succeed.
        """
        ...


@dataclass
class ServedCalls:
    """Asks a server, `concurrency` calls under way at once. A call that fails after its retries has an error.

    A problem of every call ends all of them, but only if nothing was answered before, because one prompt's refusal is
    that call's error. An outage ends all of them too: `max_failures_in_row` calls that fail in a row (0: never).
    """

    accounts: Sequence[Account] = field(repr=False)
    """The servers of the model, which share the calls."""
    model: str | None
    """The model that all of them must serve, or None if a person says that they do."""
    concurrency: int
    limits: Limits = field(default_factory=Limits)
    max_failures_in_row: int = MAX_FAILURES_IN_ROW
    refused: Callable[[CallFailed, Mapping[str, Any]], bool] = field(default=lambda *_: False, repr=False)
    """Called with a failed call and its request. Returns whether to make a new request and ask once more."""
    lacks: Callable[[Any], bool] = field(default=lambda _: False, repr=False)
    """Returns whether a reply, or a failed call, shows a server without log-probabilities."""
    answered_before: Callable[[], bool] = field(default=lambda: True, repr=False)
    """Returns whether any of the calls that are left out now was answered."""
    path: str = "/chat/completions"
    """The part of the API that is asked."""
    decode: Callable[[bytes], Any] = field(default=decode, repr=False)
    """Returns the parsed body of a reply, with its `usage` and its `choices`. Raises BrokenReply."""
    lacking: str | None = None
    """A setting that must be given before any call. The first call raises it as an InputError."""
    what_lacks: str = Replica.lacking
    """What is said of a server that `lacks` what others give."""
    outage: Outage = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Watch for an outage from the first call on, whichever stage makes it."""
        servers = [shown(account.server) for account in self.accounts]
        self.outage = Outage(", ".join(servers), self.max_failures_in_row)
        self._replicas = [Replica(server, lacking=self.what_lacks) for server in servers]

    def __call__(
        self, todo: Iterator[int], body: Callable[[int], dict[str, Any]], *, resumed: bool = False
    ) -> Iterator[tuple[int, Call]]:
        """Yield the result of each call. See `Calls`."""
        step = Step(self.path, self.decode, self.lacks)
        return self.talks(todo, lambda index, ask: ask(lambda: body(index), step), resumed=resumed)

    def talks(
        self, todo: Iterator[int], talk: Callable[[int, Ask], Awaitable[ResultT]], *, resumed: bool = False
    ) -> Iterator[tuple[int, ResultT]]:
        """Yield each index of `todo` with what `talk` returns after its calls, which it makes one after the other.

        `resumed` and the errors are those of `Calls`.
        """
        if self.lacking is not None:
            raise InputError(self.lacking)
        if len(self.accounts) > 1 and self.model is not None:
            self.listing  # noqa: B018 (checks that all servers mean the same model)

        @asynccontextmanager
        async def opened() -> AsyncIterator[in_flight.Ask[tuple[int, ResultT]]]:
            async with self._connected() as connection:

                async def ask(index: int) -> tuple[int, ResultT]:
                    own = connection.for_one_prompt() if isinstance(connection, Replicas) else connection
                    return index, await talk(index, partial(self._call, own, index))

                yield ask

        return self.outage.watched(
            todo,
            lambda rest: in_flight.results(opened, rest, self.concurrency),
            resumed=resumed,
            answered=resumed and self.answered_before(),
        )

    def hide(self, text: str) -> str:
        """Return `text` without the key and what else is secret, as long as it is shown."""
        return shortened(masked(text, self._secrets))

    @cached_property
    def _secrets(self) -> set[str]:
        return {secret for account in self.accounts for secret in account.secrets}

    def _connected(self) -> AbstractAsyncContextManager["Connection | Replicas"]:
        return connected_to_all(self.accounts, self._replicas, self.hide, self.limits, self.concurrency, self.path)

    @property
    def account(self) -> Account:
        """Return the first server's."""
        return self.accounts[0]

    @cached_property
    def listing(self) -> object:
        """Return what the server says of its models, as `found_at` does. See `checked_listings` for several."""
        found = self._look_up([account for account in self.accounts if account.describes_models])
        if len(self.accounts) == 1 or self.model is None:
            return found[0] if found else None
        return checked_listings(self.accounts, found, self.model) if len(found) == len(self.accounts) else None

    def _look_up(self, accounts: Sequence[Account]) -> list[object]:
        """Return what each server lists. See `found_at`."""
        return self.of_each(accounts, lambda connection: found_at(connection.got, addresses(connection.account)))

    def of_each(self, accounts: Sequence[Account], ask: Callable[["Connection"], Awaitable[ResultT]]) -> list[ResultT]:
        """Return what `ask` finds out at each of the servers."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[in_flight.Ask[tuple[int, ResultT]]]:
            async def asked(place: int) -> tuple[int, ResultT]:
                async with connected_to(accounts[place], self.limits, 1, self.path) as connection:
                    return place, await ask(connection)

            yield asked

        # In a thread of its own: a loop may run in this one.
        found = dict(in_flight.results(opened, iter(range(len(accounts))), len(accounts) or 1))
        return [found[place] for place in range(len(accounts))]

    def leave_out(self, why_not: Mapping[int, str]) -> None:
        """Ask some of the servers no more, each by its place for its reason."""
        for place, why in why_not.items():
            self._replicas[place].leave_out(why)

    def check_reached(self) -> None:
        """Raise EngineError if no server can be reached, InputError if a key is missing. No model is asked."""
        if self.lacking is not None:
            raise InputError(self.lacking)
        if all(found is None for found in self._look_up(self.accounts)):
            raise EngineError(f"{', '.join(state.name for state in self._replicas)}: cannot be reached: {HINTS[None]}")

    async def _call(
        self, connection: "Connection | Replicas", index: int, body: Callable[[], dict[str, Any]], step: Step
    ) -> Call:
        started = time.monotonic()
        if step.path != self.path:
            connection = connection.at(step.path)
        n_refused = 0
        while True:
            try:
                sent = body()
                data = msgspec.json.encode(sent)
            except InputError as error:  # of one conversation
                return Call(None, f"call failed: {error}", {"n_calls": 0})
            except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError) as error:
                reason = f"its texts cannot be sent: {type(error).__name__}: {error}"
                return Call(None, f"call failed: {reason}", {"n_calls": 0})
            try:
                if isinstance(connection, Replicas) and "logprobs" in sent:
                    answer = await connection.post(data, step.decode, self.outage.is_over, step.lacks)
                else:
                    answer = await connection.post(data, step.decode, self.outage.is_over)
            except CallFailed as failed:
                failed.reason = self.hide(failed.reason)
                if self.refused(failed, sent):  # `body` makes another request now
                    n_refused += failed.n_calls
                    continue
                asked = next((sent[name] for name in ("messages", "input", "prompt") if name in sent), None)
                self.outage.failed(failed, index, msgspec.json.encode(asked))
                n_calls = failed.n_calls + n_refused
                usage = usage_of_call(Tokens(failed.n_prompt_tokens, failed.n_tokens), n_calls, n_calls)
                return Call(None, f"call failed: {failed.reason}", usage | {"seconds": time.monotonic() - started})
            if step.is_of_model:
                self.outage.answered()
            took = answer.reply.usage
            n_read, n_written = took.prompt_tokens + answer.n_prompt_tokens, took.completion_tokens + answer.n_tokens
            tokens = Tokens(n_read, n_written, took.cached_tokens)
            n_failed = answer.n_failed + n_refused
            usage = usage_of_call(tokens, n_failed + 1, n_failed)
            return Call(answer.reply.choices[0], None, usage | {"seconds": time.monotonic() - started})


def usage_of_call(tokens: Tokens, n_calls: int, n_failed: int) -> dict[str, Any]:
    """Return the cost of `n_calls` attempts, of which `n_failed` failed, as fields of a Completion or Choice."""
    return {
        "n_prompt_tokens": tokens.prompt_tokens,
        "n_cached_tokens": tokens.cached_tokens,
        "n_tokens": tokens.completion_tokens,
        "n_calls": n_calls,
        "n_failed": n_failed,
    }
