import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from math import log
from pathlib import Path
from typing import Any

import pytest

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.options import JudgeOptions
from judges.serve.options import Config
from tests.fences import plain
from tests.judges.opened import patch_open_engine
from tests.judges.serve.running import Running, running

Serve = Callable[..., Running]


class LengthJudge(ScriptedEngine):
    """Scores an answer by its number of x, and prefers the answer with more of them; `open` and `end` hold it back."""

    def __init__(self) -> None:
        super().__init__(reply=self._reply, logprobs=self._logprobs, name="length")
        self.open = threading.Event()
        self.open.set()
        self.end = threading.Event()
        self.end.set()
        self.fails: Exception | None = None
        self.batches: list[int] = []

    def generate(self, requests: Sequence[Request], *how: Any) -> Iterator[Any]:
        self._begin(requests)
        yield from super().generate(requests, *how)
        self.end.wait(10)

    def choose(self, requests: Sequence[Request], *how: Any) -> Iterator[Any]:
        self._begin(requests)
        yield from super().choose(requests, *how)

    def _begin(self, requests: Sequence[Request]) -> None:
        self.open.wait(10)
        self.batches.append(len(requests))
        if self.fails is not None:
            raise self.fails

    def _reply(self, request: Request) -> str:
        content = plain(request.messages[0]["content"])
        if "down" in content:
            raise RuntimeError("call failed: down")
        if "<answer_a>" in content:
            a, b = (content.rsplit(f"<answer_{s}>\n", 1)[1].split("\n<")[0].count("x") for s in "ab")
            return "Better: tie" if a == b else f"Better: {'A' if a > b else 'B'}"
        if "<input>" in content:
            return "Answer: B" if "Options" in content else "Answer: yes"
        return f"Score: {content.rsplit('<answer>', 1)[1].count('x')}"

    def _logprobs(self, request: Request, choices: Sequence[str]) -> list[float]:
        shares = [place + 1 for place in range(len(choices))]  # the last is the most likely; a half is on none
        return [log(share / sum(shares) / 2) for share in shares]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> LengthJudge:
    engine = LengthJudge()
    patch_open_engine(monkeypatch, lambda _: engine)
    return engine


@pytest.fixture
def serve(engine: LengthJudge, tmp_path: Path) -> Iterator[Serve]:
    """Start a server of the length judge, which reads one text unless told otherwise."""
    with ExitStack() as stack:

        def start(key: str | None = None, **settings: Any) -> Running:
            judge = settings.pop("judge", JudgeOptions(read="text", samples=1))
            config = Config(judge=judge, out=tmp_path / "out", **settings)
            return stack.enter_context(running(config, key))

        yield start
