"""The verdicts of one judge for many callers: stored ones are read, the others are asked for together."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from console.again import StartAgain
from console.errors import EngineError, StoreError
from console.output import say
from judges.serve.metrics import Metrics
from records import Store, Usage


class Verdict(Protocol):
    """A row that says who gave it and what it cost."""

    @property
    def id(self) -> str:
        """The key under which it is stored."""

    @property
    def usage(self) -> Usage:
        """Its cost."""


AskedT = TypeVar("AskedT")
VerdictT = TypeVar("VerdictT", bound=Verdict)


class Answered(NamedTuple, Generic[VerdictT]):
    """A verdict and its cost to one caller."""

    verdict: VerdictT
    usage: Usage = Usage()
    """Nothing if the verdict was stored, or another caller had asked for it."""


@dataclass
class Turns:
    """The turns at one engine, which answers one batch at a time. Judges with the same engine share them."""

    executor: Executor
    """Has one thread, in which the engine is used."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Is fair: who waits first has the next turn."""


@dataclass
class Verdicts(Generic[AskedT, VerdictT]):
    """A judge's verdicts on what callers ask about. It lives in one event loop."""

    fingerprint: Callable[[], str]
    """Returns the judge's fingerprint, which changes once its server refuses a setting."""
    key: Callable[[AskedT], str]
    """Returns the id under which a verdict is stored. It covers the fingerprint."""
    ask: Callable[[Sequence[AskedT], Mapping[str, VerdictT]], Iterator[VerdictT]]
    """Yields the verdict on each subject, given those by id that lack samples. It runs in the engine's thread."""
    is_complete: Callable[[VerdictT], bool]
    """Returns whether no call failed. Another verdict is not stored, so that the next caller asks again."""
    is_null: Callable[[VerdictT], bool]
    store: Store[VerdictT]
    turns: Turns
    metrics: Metrics
    batch: int
    """The most subjects that are asked about together."""
    _waiting: dict[str, "asyncio.Future[Answered[VerdictT]]"] = field(default_factory=dict)
    _queue: dict[str, AskedT] = field(default_factory=dict)
    _unfinished: dict[str, VerdictT] = field(default_factory=dict)
    """Verdicts that lack samples: what they have is paid for."""
    _runner: "asyncio.Task[None] | None" = None

    async def of(self, subjects: Sequence[AskedT]) -> list[Answered[VerdictT]]:
        """Return the verdict on each subject, in order. Raises EngineError if the engine answers nothing."""
        keys = [self.key(subject) for subject in subjects]
        by_key = dict(zip(keys, subjects, strict=True))
        stored = {verdict.id: verdict for verdict in self.store.chosen(key for key in by_key if key in self.store)}
        loop = asyncio.get_running_loop()
        new = {key: one for key, one in by_key.items() if key not in stored and key not in self._waiting}
        self._waiting |= {key: loop.create_future() for key in new}
        self._queue |= new
        self.metrics.reused.inc(len(keys) - len(new))
        futures = {key: self._waiting[key] for key in by_key if key not in stored}
        if futures:
            if self._runner is None or self._runner.done():
                self._runner = asyncio.create_task(self._run())
            await asyncio.wait(futures.values())  # not gather, which would cancel them for other callers too
            failures = [error for future in futures.values() if (error := future.exception()) is not None]
            if failures:
                raise failures[0]
        found = stored | {key: future.result().verdict for key, future in futures.items()}
        # One that is repeated in this request is paid for once, and one of another caller is not paid for here.
        costs = {key: futures[key].result().usage for key in new}
        return [Answered(found[key], costs.pop(key, Usage())) for key in keys]

    async def _run(self) -> None:
        """Ask about what waits, a batch at a time, until nothing does."""
        loop = asyncio.get_running_loop()
        while self._queue:
            async with self.turns.lock:
                taken = {key: self._queue.pop(key) for key in list(self._queue)[: self.batch]}
                # Its own, because the next caller may ask for a failed verdict again before this batch has ended.
                futures = {key: self._waiting[key] for key in taken}
                self.metrics.batches.observe(len(taken))
                failure: Exception = EngineError("the judge gave no answer")
                try:
                    await loop.run_in_executor(self.turns.executor, self._ask_all, taken, futures, loop)
                except Exception as error:  # of a whole batch: each of its callers gets it
                    failure = error
                await asyncio.sleep(0)  # the last verdicts' callbacks come first
                for key, future in futures.items():
                    self._end(key, future)
                    if not future.done():
                        future.set_exception(failure)

    def _ask_all(
        self,
        taken: Mapping[str, AskedT],
        futures: Mapping[str, "asyncio.Future[Answered[VerdictT]]"],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Ask about a batch in the engine's thread, and hand over each verdict once it is there."""
        while True:
            by_id = {self.key(subject): (key, subject) for key, subject in taken.items()}
            unfinished = {key: self._unfinished[key] for key in by_id if key in self._unfinished}
            try:
                for verdict in self.ask([subject for _, subject in by_id.values()], unfinished):
                    key = by_id[verdict.id][0]
                    loop.call_soon_threadsafe(self._answered, key, futures[key], verdict)
            except StartAgain as again:  # the server refuses a setting, and the judge has another fingerprint now
                say(f"{again}: asking again")
                continue
            return

    def _end(self, key: str, future: "asyncio.Future[Answered[VerdictT]]") -> None:
        """Let the next caller ask again, unless the verdict is stored."""
        if self._waiting.get(key) is future:
            del self._waiting[key]

    def _answered(self, key: str, future: "asyncio.Future[Answered[VerdictT]]", verdict: VerdictT) -> None:
        """Store a verdict and give it to all who wait for it."""
        before = self._unfinished.pop(verdict.id, None)
        usage = verdict.usage if before is None else verdict.usage - before.usage
        self.metrics.add(usage, is_null=self.is_null(verdict))
        self._end(key, future)
        if future.done():  # by a verdict from before the judge had another fingerprint
            return
        try:
            if self.is_complete(verdict):
                self.store.append(verdict)
            elif verdict.usage.n_calls > verdict.usage.n_failed:
                self._unfinished[verdict.id] = verdict
        except StoreError as error:
            future.set_exception(error)
            return
        future.set_result(Answered(verdict, usage))
