"""An engine behind a server that is opened anew after an outage, because this process outlives it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from console.errors import EngineError
from engines.options import EngineOptions, is_served
from engines.protocol import Choice, Completion, Engine, NoLogprobsError, Request, Sampling


@dataclass
class Seat:
    """Stands for an engine. Once a served one fails as a whole, the next call goes to a new one."""

    options: EngineOptions
    opened: Callable[[], Engine]
    """Opens the engine anew."""
    engine: Engine
    name: str

    @property
    def digest(self) -> str:
        """The engine's digest."""
        return self.engine.digest

    def __getattr__(self, name: str) -> Any:
        """Return what else the engine has, such as its room for reasoning."""
        return getattr(self.engine, name)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield what the engine does."""
        try:
            yield from self.engine.generate(requests, sampling, done)
        except EngineError:
            self._open_again()
            raise

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield what the engine does."""
        try:
            yield from self.engine.choose(requests, choices, done)
        except NoLogprobsError:
            raise
        except EngineError:
            self._open_again()
            raise

    def _open_again(self) -> None:
        if is_served(self.options):  # a model in this process is loaded, and has no outage to forget
            self.engine = self.opened()
