"""Tells settings that a server refuses from prompts that it refuses."""

import re
from collections.abc import Callable, Hashable, Iterator

from engines.served.http_call import CallFailed

FIRST_CALLS = 5
"""So many failures of one kind, with no answer before them, are the server's and not those of a few prompts."""
GOLDEN = 0.6180339887498949
"""Its multiples, without their whole part, are spread evenly, however many of them are taken."""
VARYING = re.compile(r"\S*\d\S*")
"""Varying parts of equal messages: a count of tokens, the id of a request."""


class Refusals:
    """Counts the prompts that are refused alike, as long as none is answered and none refused otherwise.

    One prompt may be at fault itself, and so may its neighbours, such as one question's many answers. So after the
    first few the next ones are taken from all over the input. If all of these are refused in the same words, the
    reason is a setting of every call.
    """

    def __init__(self, enough: int) -> None:
        """Take so many different prompts to be everyone (0: never)."""
        self._enough = enough
        self._is_of_prompts = False
        self._said: str | None = None
        self._few = min(FIRST_CALLS, enough // 2)
        self._prompts: set[Hashable] = set()
        self._elsewhere: set[Hashable] = set()
        """Those of them that were taken from all over the input."""
        self.spread: set[int] = set()
        """Which calls are about such prompts."""

    def answered(self) -> None:
        """Count an answer: what is refused is refused for the prompt's sake."""
        self._is_of_prompts = True

    def add(self, call: CallFailed, index: int, prompt: Hashable) -> None:
        """Count a refusal of the call with `index`. `prompt` is its prompt."""
        reason = f"{call.status} {VARYING.sub('#', call.reason)}"
        self._is_of_prompts |= self._said not in (None, reason)
        self._said = reason
        self._prompts.add(prompt)
        if index in self.spread:
            self._elsewhere.add(prompt)

    def begin_anew(self) -> None:
        """Forget what was counted."""
        self._said = None
        for counted in (self._prompts, self._elsewhere, self.spread):
            counted.clear()

    @property
    def are_of_all(self) -> bool:
        """Return whether enough prompts were refused alike."""
        if self._is_of_prompts or len(self._elsewhere) < self._few:
            return False
        return 0 < self._enough <= len(self._prompts)

    @property
    def are_open(self) -> bool:
        """Return whether a few were refused alike for a reason that is not known yet."""
        return self._enough > 0 and len(self._prompts) >= max(1, self._few) and not self._is_of_prompts

    def told(self, call: CallFailed) -> str:
        """Return the problem and the settings to check."""
        return (
            f"all of {len(self._prompts)} prompts are refused alike: {call.reason}; look at --model and at what each "
            "call is sent (--max-new-tokens, --temperature, --omit). What is done is kept: the same command asks again "
            "for what was refused (--max-failures-in-row sets the limit, 0 asks for all)"
        )


class Rest:
    """The calls that are left, in order or spread over the input. A stopped iteration can be continued."""

    def __init__(self, todo: Iterator[int], refusals: Refusals) -> None:
        """Give out `todo`, spread while it is to be found out what the `refusals` are for."""
        self._todo, self._refusals, self.ended = todo, refusals, False
        self._place = 0.0
        refusals.spread.clear()  # of the call before

    def until(self, over: Callable[[], bool]) -> Iterator[int]:
        """Yield what is left until `over()`."""
        while not over():
            index = self._next()
            if index is None:
                self.ended = True
                return
            yield index

    def _next(self) -> int | None:
        if not self._refusals.are_open:
            return next(self._todo, None)
        left = list(self._todo)  # a generator has no middle: all that is left is listed while it is spread
        self._place = (self._place + GOLDEN) % 1
        self._todo = iter(left)
        if not left:
            return None
        index = left.pop(int(self._place * len(left)))
        self._refusals.spread.add(index)
        return index
