"""Starts a command again if it learned too late what its results depend on.

A server says only on the first call that it refuses a setting, and by then the judge's fingerprint is part of the
names and rows that the command is about to write. So it drops everything and begins again with that knowledge. Rows
that were stored before are found again, as after any stop.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import TypeVar

from console import flags
from console.errors import JudgeloopError
from console.progress import say

ConfigT = TypeVar("ConfigT")
Learned = dict[str, frozenset[str]]
_DRY_RUN: ContextVar[bool] = ContextVar("dry_run", default=False)
_ASKS_NOTHING: ContextVar[bool] = ContextVar("asks_nothing", default=False)
_READS_ROWS: ContextVar[bool] = ContextVar("reads_rows", default=True)
_BY_BATCH: ContextVar[bool] = ContextVar("by_batch", default=False)
_LEARNED: ContextVar[Learned | None] = ContextVar("learned", default=None)


class StartAgain(JudgeloopError):  # noqa: N818 (nothing is wrong with the program)
    """Names and rows depend on something that was not known when they were made."""

    def __init__(self, message: str, about: str, facts: frozenset[str]) -> None:
        """Say what was learned, and the `facts` that are now known `about` something."""
        super().__init__(message)
        self.about, self.facts = about, facts


def is_dry_run() -> bool:
    """Return whether the command only prints its plan and asks nothing."""
    return _DRY_RUN.get()


def reads_rows() -> bool:
    """Return whether the command reads the rows of earlier ones: always, but in a dry run only with --shards, --scale.

    Their judge is known by what its server says of the model, so the server is asked for that.
    """
    return _READS_ROWS.get()


def asks_nothing() -> bool:
    """Return whether the command asks no model at all: in a dry run, or if it writes or reads a batch."""
    return _ASKS_NOTHING.get()


def is_by_batch() -> bool:
    """Return whether the command asks by files of calls, of its own or of the server, and not call by call."""
    return _BY_BATCH.get()


def is_again() -> bool:
    """Return whether the command has started again, and may find what it made itself a moment ago."""
    return bool(_LEARNED.get())


def learned(about: str) -> frozenset[str]:
    """Return the facts that this command learned about something before it started again."""
    return (_LEARNED.get() or {}).get(about, frozenset())


def all_learned() -> Learned:
    """Return all that this command learned, to send it to its worker processes."""
    return dict(_LEARNED.get() or {})


def know(facts: Learned) -> None:
    """Begin a worker process with what its command learned."""
    _LEARNED.set(facts)


def starts_again(main: Callable[[ConfigT], None]) -> Callable[[ConfigT], None]:
    """Return `main`, begun again as often as it raises StartAgain with facts that were not known before."""

    @wraps(main)
    def begun(config: ConfigT) -> None:
        facts: Learned = {}
        is_dry = bool(getattr(config, "dry_run", False))
        batch = getattr(config, "export_batch", None) or getattr(config, "import_batch", ())
        command = flags.begin(config)
        scale = getattr(config, "scale", None)
        reading = _READS_ROWS.set(not is_dry or bool(getattr(scale, "shards", None) or getattr(scale, "scale", False)))
        by_batch = _BY_BATCH.set(bool(batch) or getattr(config, "batch", False) is True)
        token, dry, silent = _LEARNED.set(facts), _DRY_RUN.set(is_dry), _ASKS_NOTHING.set(is_dry or bool(batch))
        try:
            while True:
                try:
                    return main(config)
                except StartAgain as again:
                    known = facts.get(again.about, frozenset())
                    if again.facts <= known:  # nothing new: it would begin again without end
                        raise
                    facts[again.about] = known | again.facts
                    say(f"{again}: starting again")
        finally:
            flags.end(command)
            _LEARNED.reset(token)
            _DRY_RUN.reset(dry)
            _READS_ROWS.reset(reading)
            _ASKS_NOTHING.reset(silent)
            _BY_BATCH.reset(by_batch)

    return begun
