"""Keeps many calls to a server under way, from one thread beside the caller's."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast

ResultT = TypeVar("ResultT")
Ask = Callable[[int], Coroutine[Any, Any, ResultT]]
Opened = Callable[[], AbstractAsyncContextManager[Ask[ResultT]]]
END = object()


def results(opened: Opened[ResultT], todo: Iterator[int], n_calls: int) -> Iterator[ResultT]:
    """Yield the result of the opened `ask` for each index of `todo`, as it returns, with `n_calls` calls under way.

    The next call follows a returned one at once, whatever the caller is doing. Only if the caller is `4 * n_calls`
    results behind, the calls wait. `todo` and `ask` run in the other thread. The first exception there ends all calls
    and is raised here. Closing the iterator ends them too. If the user stops the command (KeyboardInterrupt), the
    results so far still come before the exception, because they are paid for.
    """
    ready: SimpleQueue[object] = SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_ask_all(opened, todo, n_calls, ready))
    thread = Thread(target=_run, args=(loop, task, ready), daemon=True)
    thread.start()
    try:
        try:
            while (result := ready.get()) is not END:
                yield cast(ResultT, result)
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(task.cancel)
            while (result := ready.get()) is not END:
                yield cast(ResultT, result)
            raise
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
    task.result()  # raises what ended the calls


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], ready: SimpleQueue[object]) -> None:
    try:
        loop.run_until_complete(asyncio.wait([task]))  # an exception stays in the task
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        ready.put(END)


async def _ask_all(opened: Opened[ResultT], todo: Iterator[int], n_calls: int, ready: SimpleQueue[object]) -> None:
    turn = asyncio.Lock()

    async def go_on(index: int | None) -> None:
        while index is not None:
            # One request is made and sent at a time (two steps of the loop): calls whose replies come together would
            # otherwise all be sent after the last of them is made, and so meet again in every later round.
            async with turn:
                call = group.create_task(ask(index))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            ready.put(await call)
            while ready.qsize() >= 4 * n_calls:
                await asyncio.sleep(0.01)  # a queue between threads cannot be awaited
            index = next(todo, None)

    async with opened() as ask:
        try:
            async with asyncio.TaskGroup() as group:
                for first in islice(todo, n_calls):
                    group.create_task(go_on(first))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
