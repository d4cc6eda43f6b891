"""An engine that answers from a function, for tests, demonstrations and timing all but the model."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import log

from engines.protocol import Choice, ChoicesFrom, Completion, Request, Sampling


def _nothing(_: Request) -> str:
    return ""


def _even(_: Request, choices: Sequence[str]) -> Sequence[float]:
    return [-log(len(choices))] * len(choices)


@dataclass
class ScriptedEngine:
    """Answers each request with `reply(request)`. An exception's text becomes the row's error."""

    reply: Callable[[Request], str] = _nothing
    logprobs: Callable[[Request, Sequence[str]], Sequence[float]] = _even
    name: str = "scripted"
    digest: str = "scripted"
    finish_reason: str = "stop"
    choosing: ChoicesFrom | None = None
    """Where the engine that it stands for takes choices from (`engines.protocol.choosing_key`)."""
    asked: list[Request] = field(default_factory=list)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield the scripted replies in order."""
        for index, request in enumerate(requests):
            if index in done:
                continue
            self.asked.append(request)
            try:
                text = self.reply(request)
            except RuntimeError as error:
                yield Completion(index, "", None, error=str(error), n_failed=1)
                continue
            yield Completion(index, text, self.finish_reason, n_tokens=len(text.split()))

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield the scripted log-probabilities in order."""
        for index, request in enumerate(requests):
            if index not in done:
                self.asked.append(request)
                yield Choice(index, tuple(self.logprobs(request, choices)))
