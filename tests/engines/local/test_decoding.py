import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.local import decoding
from engines.local.decoding import n_side_by_side, share
from engines.local.forward import Forward
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Completion, Request, Sampling

SAMPLING = Sampling(12, 1.0, 1.0)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_model, "tiny", batch_size=4)


def requests(n_prompts: int, n_each: int) -> list[Request]:
    prompts = [f"request {'point ' * (place % 5)}number {place}" for place in range(n_prompts)]
    return [
        Request([{"role": "user", "content": text}], seed=n_each * place + number)
        for place, text in enumerate(prompts)
        for number in range(n_each)
    ]


def answers(engine: TransformersEngine, asked: Sequence[Request]) -> list[Completion]:
    return [replace(answer, seconds=0.0) for answer in engine.generate(asked, SAMPLING)]


def by_index(found: list[Completion]) -> list[Completion]:
    return sorted(found, key=lambda answer: answer.index)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(decoding, "SIDE_ROWS", 4)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


def test_batches_side_by_side_write_what_they_write_alone(engine: TransformersEngine, two_cores: None) -> None:
    asked = requests(11, 2)
    together = answers(engine, asked)
    assert n_side_by_side(len(asked), "cpu") == 2
    assert by_index(together) == [replace(answers(engine, [request])[0], index=n) for n, request in enumerate(asked)]


def test_the_order_of_the_rows_is_the_same_every_time(engine: TransformersEngine, two_cores: None) -> None:
    asked = requests(11, 2)
    assert answers(engine, asked) == answers(engine, asked)


def test_rows_come_before_later_batches_are_started(
    engine: TransformersEngine, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    start = Forward.start
    monkeypatch.setattr(Forward, "start", lambda self, batch, n: sizes.append(len(batch.rows)) or start(self, batch, n))
    found = engine.generate(requests(40, 1), SAMPLING)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert sizes == [4, 4]  # the first two of ten batches


def test_an_error_beside_another_batch_is_told(
    engine: TransformersEngine, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(Forward, "step", out_of_memory)
    with pytest.raises(RuntimeError, match="no memory"):
        answers(engine, requests(11, 2))
    assert torch.get_num_threads() == 2


def test_the_seconds_of_rows_side_by_side_add_up_to_no_more_than_the_whole(
    engine: TransformersEngine, two_cores: None
) -> None:
    started = time.monotonic()
    seconds = [answer.seconds or 0 for answer in engine.generate(requests(11, 2), SAMPLING)]
    assert 0 < sum(seconds) <= time.monotonic() - started


def test_a_prompt_is_computed_once_for_all_its_answers(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    forward = Forward._forward

    def counted(self: Forward, tokens_BQ: torch.Tensor, *rest: Any) -> torch.Tensor:
        widths.append(tokens_BQ.shape[1]) if tokens_BQ.shape[1] > 1 else None
        return forward(self, tokens_BQ, *rest)

    monkeypatch.setattr(Forward, "_forward", counted)
    answers(engine, requests(3, 4))
    lengths = map(len, engine._encode(requests(3, 1), ""))
    assert widths == sorted(lengths, reverse=True)  # three batches of four answers to one prompt


def test_rows_leave_a_batch_as_they_finish_and_change_no_text(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(self: decoding.Decoder, written: list[int], token: int) -> str | None:
        written.append(token)
        return "stop" if len(written) > written[0] % 9 else None

    n_rows: list[int] = []
    step = Forward.step
    monkeypatch.setattr(decoding.Decoder, "_take", take)
    monkeypatch.setattr(
        Forward, "step", lambda self, lasts, *rest: n_rows.append(len(lasts)) or step(self, lasts, *rest)
    )
    asked = requests(20, 3)
    found = by_index(answers(replace(engine, batch_size=60), asked))
    # The first token of a row comes from its prompt.
    assert sum(n_rows) == sum(answer.n_tokens for answer in found) - len(asked), "no row is written after its end"
    assert found == [replace(answers(engine, [one])[0], index=n) for n, one in enumerate(asked)]


def test_one_batch_is_decoded_in_the_callers_thread(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    step = Forward.step
    monkeypatch.setattr(Forward, "step", lambda *given: threads.add(threading.get_ident()) or step(*given))
    answers(engine, requests(3, 2))
    assert threads == {threading.get_ident()}  # its autocast and its current GPU hold there


@pytest.mark.parametrize(("n_rows", "n_side"), [(1, 1), (63, 1), (64, 2), (1000, 4)])
def test_few_rows_are_one_batch(n_rows: int, n_side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert n_side_by_side(n_rows, "cpu") == n_side
    assert n_side_by_side(n_rows, "cuda") == 1


def test_batches_side_by_side_have_equally_many_rows() -> None:
    assert share(100, 2, 96) == 50
    assert share(1000, 2, 96) == 96
