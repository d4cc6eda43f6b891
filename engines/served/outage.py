"""Tells a server that answers nothing any more from prompts that it refuses."""

from collections.abc import Callable, Hashable, Iterator
from typing import TypeVar

from console.errors import EngineError
from engines.served.http_call import CallFailed
from engines.served.refusals import FIRST_CALLS as FIRST_CALLS
from engines.served.refusals import Refusals, Rest
from engines.served.replies.failures import may_pass

HINTS = {
    401: "is the key right?",
    402: "is the account's credit used up?",
    403: "is the key right, and may it use this model?",
    404: "is --base-url right, and is the model served there?",
    None: "is --base-url right, and is it running?",
}
"""The settings to check, by the status of calls that all fail."""

T = TypeVar("T")


class Outage:
    """Counts the failures of one server's calls since the last answer, and decides when to stop.

    A refusal of one call's content (400, 413, 422) says nothing of the others, unless many different prompts are
    refused alike (`Refusals`). The calls run in another thread than the one that takes their results. The calls' thread
    writes the counts.
    """

    def __init__(self, server: str, max_in_row: int) -> None:
        self._server, self._max_in_row = server, max_in_row
        self._reached = self._any_answer = self._fails_otherwise = False
        self._is_first = True
        self._n_in_row = 0
        self._firsts: list[CallFailed] = []
        """The failures before any answer that may be everyone's."""
        self._refusals = Refusals(max_in_row)
        self._over: str | None = None

    def answered(self) -> None:
        """Count a call that was answered."""
        self._reached = self._any_answer = True
        self._n_in_row = 0
        self._refusals.answered()

    def failed(self, call: CallFailed, index: int, prompt: Hashable) -> None:
        """Count the call with `index`, which failed after all its attempts. `prompt` is its prompt."""
        self._reached |= call.status is not None
        for_all = call.status in HINTS or _moved(call)
        if not for_all:
            self._fails_otherwise = True
        elif not self._any_answer:
            self._firsts.append(call)
        if for_all or call.may_pass:
            self._n_in_row += 1
        if _is_of_what_was_sent(call):
            self._refusals.add(call, index, prompt)
        if call.unreachable and not self._reached:
            self._over = self._wrong_for_all(call)
        elif self._max_in_row and self._n_in_row >= self._max_in_row and self._over is None:
            self._over = (
                f"{self._server}: {self._n_in_row} calls in a row failed, the last with: {call.reason}. What is done "
                "is kept: the same command goes on once the server answers (--max-failures-in-row sets the limit)"
            )
        elif self._refusals.are_of_all and self._over is None:
            self._over = f"{self._server}: {self._refusals.told(call)}"

    def is_over(self) -> bool:
        """Return whether no further attempt is to be made."""
        return self._over is not None or (not self._is_known and len(self._firsts) >= FIRST_CALLS)

    def watched(
        self,
        todo: Iterator[int],
        results: Callable[[Iterator[int]], Iterator[T]],
        *,
        resumed: bool = False,
        answered: bool = False,
    ) -> Iterator[T]:
        """Yield the `results` of `todo`. Raises EngineError once it is over, after all calls that were under way.

        The first failures are held back until it is known whether every call fails. `resumed` means that others of
        these calls are left out, and `answered` that those were answered at an earlier start.
        """
        self._any_answer |= resumed
        if answered and self._is_first:  # what was left out later was asked by this program, and is counted
            self._refusals.answered()
        self._is_first = False
        rest, held = Rest(todo, self._refusals), list[T]()
        while not rest.ended and self._over is None:
            for result in results(rest.until(self.is_over)):
                held.append(result)
                if self._is_known:
                    yield from held
                    held.clear()
            if self.is_over() and self._over is None:  # and no call that was under way had an answer
                self._over = self._wrong_for_all(self._firsts[0])
        if self._over is None and self._firsts and not self._is_known and self._firsts[0].status is not None:
            self._over = self._wrong_for_all(self._firsts[0])  # fewer calls than FIRST_CALLS, and all were refused
        if self._over is None or self._is_known:
            yield from held
        if self._over is not None:
            over, self._over = self._over, None
            self._firsts, self._n_in_row = [], 0  # a later call of the same program tries again
            self._refusals.begin_anew()
            raise EngineError(over)

    @property
    def _is_known(self) -> bool:
        """Return whether the first failures are known not to be those of every call."""
        return self._any_answer or self._fails_otherwise

    def _wrong_for_all(self, call: CallFailed) -> str:
        if _moved(call):
            return f"{self._server}: {call.reason}"
        hint = HINTS[call.status]
        if call.status is not None:
            return f"{self._server}: {call.reason}; {hint}"
        what = "no server answers there" if call.unreachable else "no call gets an answer"
        return f"{self._server}: {what}; {hint} ({call.reason})"


def _is_of_what_was_sent(call: CallFailed) -> bool:
    """Return whether a status blames the call itself, so that another attempt would not help."""
    status = call.status
    return status is not None and 400 <= status < 500 and status not in HINTS and not may_pass(status)


def _moved(call: CallFailed) -> bool:
    return call.status is not None and 300 <= call.status < 400
