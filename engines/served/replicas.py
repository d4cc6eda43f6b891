"""Several servers of one model: each call goes to the least busy, and from one that fails to another.

A server that fails three times in a row, or cannot be reached, is left alone for a while. One that refuses every call,
because its key or its model is another, is left out for good, and so is one that gives no log-probabilities where
others do. As long as one answers, the work goes on.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from console.address import Address, shown
from console.errors import InputError
from console.progress import say
from engines.served.account import Account
from engines.served.http_call import CallFailed, Failure, Limits
from engines.served.identity import Nothing, listings, names_in, said_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engines.served.sdk import Answer, Connection

ReplyT = TypeVar("ReplyT")
MOST_IN_ROW = 3
REST_S = 30.0
"""For so long a failing server is left alone."""
OF_SERVER = {401, 402, 404}
"""Statuses that blame the server's settings, not the call, if another server answers the same calls."""


@dataclass
class Replica:
    """One of the servers."""

    name: str
    """Its address without secrets."""
    under_way: int = 0
    n_in_row: int = 0
    rests_until_s: float = 0.0
    gives_logprobs: bool = False
    """True once a reply had log-probabilities. A later reply without them is that call's own."""
    lacking: str = "it gives no log-probabilities"
    """What is said of a server that does not give them."""

    @property
    def is_up(self) -> bool:
        """Return whether it is to be asked."""
        return time.monotonic() >= self.rests_until_s

    def answered(self) -> None:
        """Count an answer."""
        self.n_in_row, self.rests_until_s = 0, 0.0

    def chosen(self) -> None:
        """Count a call that goes there. After a rest it is the only one until it is answered."""
        self.under_way += 1
        if self.rests_until_s:
            self.rests_until_s = max(self.rests_until_s, time.monotonic() + REST_S)

    def failed(self, failure: Failure) -> None:
        """Count a failed attempt, and say so if the server is left alone from now on."""
        self.n_in_row += 1
        was_up = self.is_up
        if failure.status in OF_SERVER:
            self.rests_until_s = float("inf")
        elif failure.unreachable or self.n_in_row >= MOST_IN_ROW:
            self.rests_until_s = time.monotonic() + REST_S
        if was_up and not self.is_up:
            how = "" if failure.status in OF_SERVER else f" for {REST_S:.0f} s"
            say(f"{self.name} is left out{how}, and the others go on: {failure.reason}")

    def leave_out(self, why: str) -> None:
        """Leave the server out for good, because another one gives what it lacks."""
        if self.rests_until_s < float("inf"):
            say(f"{self.name} is left out, and the others go on: {why}")
        self.rests_until_s = float("inf")


@dataclass(frozen=True)
class Replicas:
    """Open ways to all of the servers, in place of the `Connection` to a single one."""

    connections: "Sequence[Connection]"
    states: Sequence[Replica]
    hide: Callable[[str], str] = field(repr=False)
    read_at: list[int] = field(default_factory=list)
    """The place of the server that read this prompt last, and so has it in its cache. Empty if none has."""

    def for_one_prompt(self) -> "Replicas":
        """Return the ways for several calls about one prompt, which one server answers as long as it is up."""
        return replace(self, read_at=[])

    def at(self, path: str) -> "Replicas":
        """Return the ways to another `path` of the same servers."""
        return replace(self, connections=[connection.at(path) for connection in self.connections])

    async def post(
        self,
        body: bytes,
        read: Callable[[bytes], ReplyT],
        gave_up: Callable[[], bool] = lambda: False,
        lacks: "Callable[[ReplyT | CallFailed], bool] | None" = None,
    ) -> "Answer[ReplyT]":
        """Return `read` of the first reply. Raises CallFailed, with all attempts' cost, if no server gives one.

        `lacks` is for a call that asks for log-probabilities: it tells a reply or a refusal without them, after which
        another server is asked.
        """
        tried: set[int] = set()
        without: list[Replica] = []
        kept: Answer[ReplyT] | None = None  # a reply without log-probabilities, if no server gives a better one
        n_failed = n_prompt = n_new = 0
        while True:
            place = self._best(tried)
            state = self.states[place]
            tried.add(place)

            def moves_on(failure: Failure, state: Replica = state) -> bool:
                elsewhere = self._others_up(tried)
                if elsewhere and (failure.may_pass or failure.status in OF_SERVER):
                    failure = Failure(failure.status, self.hide(failure.reason), True, unreachable=failure.unreachable)
                    state.failed(failure)
                return elsewhere

            state.chosen()
            try:
                answer = await self.connections[place].post(body, read, gave_up, moves_on)
            except CallFailed as failed:
                n_failed, n_prompt = n_failed + failed.n_calls, n_prompt + failed.n_prompt_tokens
                n_new += failed.n_tokens
                refuses_all = lacks is not None and not state.gives_logprobs and lacks(failed)
                passes_on = failed.may_pass or failed.status in OF_SERVER or refuses_all
                without += [state] if refuses_all else []
                if not passes_on and failed.status is not None:
                    state.answered()  # it is there, and refuses this call alone
                if not passes_on or not self._others_up(tried) or gave_up():
                    if kept is not None:
                        return kept.after(n_failed, n_prompt, n_new)
                    failed.n_calls, failed.n_prompt_tokens, failed.n_tokens = n_failed, n_prompt, n_new
                    raise
            else:
                if kept is not None:
                    n_failed, n_prompt, n_new = with_cost(kept, n_failed, n_prompt, n_new)
                if lacks is not None and not state.gives_logprobs and lacks(answer.reply):
                    if not self._others_up(tried) or gave_up():
                        return answer.after(n_failed, n_prompt, n_new)
                    kept = answer
                    without.append(state)
                    continue
                state.answered()
                if lacks is not None:
                    self.read_at[:] = [place]
                    state.gives_logprobs |= not lacks(answer.reply)
                    for other in without:
                        other.leave_out(other.lacking)
                return answer.after(n_failed, n_prompt, n_new)
            finally:
                state.under_way -= 1

    def _others_up(self, tried: set[int]) -> bool:
        return any(state.is_up for place, state in enumerate(self.states) if place not in tried)

    def _best(self, tried: set[int]) -> int:
        """Return the server that has the prompt, or the least busy of those that are up, or the first to come back."""
        left = [place for place in range(len(self.states)) if place not in tried]
        up = [place for place in left if self.states[place].is_up]
        if self.read_at and self.read_at[0] in up:
            return self.read_at[0]
        if up:
            return min(up, key=lambda place: self.states[place].under_way)
        return min(left, key=lambda place: self.states[place].rests_until_s)


def with_cost(answer: "Answer[Any]", n_failed: int, n_prompt: int, n_new: int) -> tuple[int, int, int]:
    """Return failed attempts and their tokens with those of an answer that is not used, which was paid for too."""
    took = answer.reply.usage
    n_prompt += answer.n_prompt_tokens + took.prompt_tokens
    return n_failed + answer.n_failed + 1, n_prompt, n_new + answer.n_tokens + took.completion_tokens


def connected_to(account: Account, limits: Limits, n: int, path: str) -> "AbstractAsyncContextManager[Connection]":
    """Give a connection to one server. See `engines.served.sdk.connected`."""
    from engines.served.sdk import connected  # loads the SDK, which takes half a second

    return connected(account, limits, n, path)


@asynccontextmanager
async def connected_to_all(
    accounts: Sequence[Account],
    states: Sequence[Replica],
    hide: Callable[[str], str],
    limits: Limits,
    n: int,
    path: str,
) -> "AsyncIterator[Connection | Replicas]":
    """Give a connection to a `path` of the API of the server, or of all of them."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connected_to(account, limits, n, path)) for account in accounts]
        yield opened[0] if len(opened) == 1 else Replicas(opened, states, hide)


def checked_listings(accounts: Sequence[Account], found: Sequence[object], name: str) -> object:
    """Return what a server says of the model `name`, after a check that all servers mean the same model.

    `found` has each server's list of models, or None if it was not reached, or Nothing. Raises InputError if a server
    has another model.
    """
    told = [(shown(account.server), listing) for account, listing in zip(accounts, found, strict=True)]
    lists = [(server, listing) for server, listing in told if listing is not None and not isinstance(listing, Nothing)]
    for server, listing in told:
        if isinstance(listing, Nothing):
            say(f"{server}: does not say what it serves ({listing.why}), so it may be another model than the others'")
        elif listing is None and any(found):
            say(f"{server}: cannot be reached: the others begin without it")
    for server, listing in lists:
        named = names_in(listing)
        if name not in named and (len(named) != 1 or any(name in names_in(other) for _, other in lists)):
            serves = ", ".join(named[:5]) or "nothing"
            what = f"{server}: serves {serves}, not {name}; leave it out, or start it with that model"
            raise InputError(f"{what} (--served-as NAME says that they are all the same)")
    for server, listing in lists[1:]:
        differ = set(said_of(listing, name)) ^ set(said_of(lists[0][1], name))
        if differ:
            facts = ", ".join(sorted({key for key, _ in differ}))
            what = (
                f"{server} and {lists[0][0]}: two models under the name {name}: they differ in {facts}; leave one out"
            )
            raise InputError(f"{what} (--served-as NAME says that they are the same)")
    # Without any list, one that answers and says nothing is more than one that is not reached.
    return lists[0][1] if lists else next((listing for listing in found if listing is not None), None)


def addresses(account: Account) -> list[str]:
    """Return where a server may list its models."""
    return listings(Address.of(account.server).url())
