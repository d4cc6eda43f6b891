"""What the tests of every engine in this process ask it."""

from collections.abc import Iterator
from typing import Any

from engines.protocol import Engine, Request, Sampling

RUBRIC = "The answer gives one point to the request. " * 4
SCORES = ["0", "1", "2", "3", "4", "5"]
TEN = [str(number) for number in range(1, 11)]
ARENA = ["A>>B", "A>B", "A=B", "B>A", "B>>A", "tie", "not enough"]
GREEDY = Sampling(12, 0.0)


def requests(n: int, prefix: str = RUBRIC, prefill: str = "", **more: Any) -> list[Request]:
    texts = [f"{prefix}request {'point ' * (index % 5)}number {index}" for index in range(n)]
    return [
        Request([{"role": "user", "content": text}], seed=index, prefill=prefill, **more)
        for index, text in enumerate(texts)
    ]


def in_order(results: Iterator[Any]) -> list[Any]:
    return sorted(results, key=lambda result: result.index)


def texts(engine: Engine, asked: list[Request], sampling: Sampling) -> list[str]:
    return [completion.text for completion in in_order(engine.generate(asked, sampling))]


def assert_rows_stand_alone(engine: Engine) -> None:
    """Check that a row's text is the same in another call, and alone."""
    asked = requests(10)
    sampling = Sampling(16, 1.0, 0.95)
    together = texts(engine, asked, sampling)
    assert together == texts(engine, asked, sampling)
    assert [texts(engine, [request], sampling)[0] for request in asked] == together
    assert len(set(together)) > 5
