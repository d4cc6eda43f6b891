import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from queue import SimpleQueue

import pytest

from console.errors import EngineError
from engines.served import in_flight
from engines.served.in_flight import results


class Calls:
    """Calls that take `takes(index)` seconds, and what is known of them."""

    def __init__(self, takes: Callable[[int], float]) -> None:
        self.takes = takes
        self.started: list[int] = []
        self.under_way: list[int] = []
        self.n_open = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[in_flight.Ask[int]]:
        self.n_open += 1
        yield self.ask
        self.n_open -= 1

    async def ask(self, index: int) -> int:
        self.started.append(index)
        self.under_way.append(self.under_way[-1] + 1 if self.under_way else 1)
        await asyncio.sleep(self.takes(index))
        self.under_way.append(self.under_way[-1] - 1)
        return index


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert what()


def test_every_index_comes_once_as_its_call_returns_and_no_more_calls_than_the_limit_are_under_way() -> None:
    calls = Calls(lambda index: 0.05 if index == 0 else 0.001)
    found = list(results(calls.opened, iter(range(20)), 3))
    assert sorted(found) == list(range(20)) and found[0] != 0
    assert max(calls.under_way) == 3 and calls.under_way[-1] == 0


def test_a_call_that_returns_is_followed_by_the_next_one_at_once() -> None:
    calls = Calls(lambda index: 0.0 if index in (0, 4, 5) else 60.0)
    found = results(calls.opened, count(), 4)
    assert {next(found) for _ in range(3)} == {0, 4, 5}
    wait_for(lambda: calls.started == [0, 1, 2, 3, 4, 5, 6])
    assert calls.under_way[-1] == 4
    found.close()


def test_fewer_calls_than_the_limit_are_all_under_way_at_once() -> None:
    calls = Calls(lambda _: 0.01)
    assert sorted(results(calls.opened, iter([4, 7]), 64)) == [4, 7] and max(calls.under_way) == 2
    assert list(results(calls.opened, iter([]), 64)) == []


def test_calls_go_on_while_the_caller_is_busy_but_only_so_far() -> None:
    calls = Calls(lambda _: 0.0)
    found = results(calls.opened, count(), 4)
    next(found)
    wait_for(lambda: len(calls.started) >= 17)
    time.sleep(0.05)
    n_ahead = len(calls.started)
    assert n_ahead <= 1 + 4 * 4 + 2 * 4  # the caller's, those that wait for it, and those under way
    assert [next(found) for _ in range(n_ahead + 10)] and len(calls.started) > n_ahead
    found.close()


def test_leaving_early_ends_the_calls_at_once() -> None:
    calls = Calls(lambda index: 0.0 if index == 0 else 60.0)
    found = results(calls.opened, iter(range(10)), 4)
    assert next(found) == 0
    started = time.monotonic()
    found.close()
    assert time.monotonic() - started < 5 and len(calls.started) <= 5


def test_an_exception_ends_all_calls_and_is_raised_as_it_is() -> None:
    calls = Calls(lambda index: 0.0 if index < 3 else 60.0)
    ask = calls.ask

    async def fail(index: int) -> int:
        if index == 2:
            raise EngineError("no such model")
        return await ask(index)

    calls.ask = fail  # type: ignore[method-assign]
    started = time.monotonic()
    with pytest.raises(EngineError, match="no such model"):
        list(results(calls.opened, iter(range(10)), 4))
    assert time.monotonic() - started < 5


def test_what_returned_before_the_user_stopped_the_command_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(SimpleQueue[object]):
        n_gets = 0

        def get(self, block: bool = True, timeout: float | None = None) -> object:
            self.n_gets += 1
            if self.n_gets == 3:
                wait_for(lambda: self.qsize() == 2)
                raise KeyboardInterrupt
            return super().get(block, timeout)

    monkeypatch.setattr(in_flight, "SimpleQueue", Stopped)
    calls = Calls(lambda index: 0.0 if index < 4 else 60.0)
    found: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(results(calls.opened, iter(range(9)), 3))
    assert sorted(found) == [0, 1, 2, 3]
