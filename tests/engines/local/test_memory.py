"""Batches that do not fit the memory. What fails is the model's own forward pass, as it does where memory ends."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from console.errors import EngineError
from engines.likelihood import token_logprobs
from engines.local import decoding
from engines.local.memory import is_out_of_memory
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling

ASKED = [Request([{"role": "user", "content": f"{'point ' * (n % 3)}request {n}"}], seed=n) for n in range(14)]
SAMPLING = Sampling(10, 1.0, 1.0)
CPU_ERROR = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.")
GPU_ERROR = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
ERRORS = pytest.mark.parametrize("error", [CPU_ERROR, GPU_ERROR, MemoryError()], ids=["cpu", "gpu", "python"])


@pytest.fixture
def engine(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_model, "tiny", batch_size=8)


@pytest.fixture
def with_room(engine: TransformersEngine) -> Iterator[Callable[[int, BaseException], list[int]]]:
    """Let the model fail above some token places at a time, and return the sizes of the passes that it made."""
    forward = engine.model.forward

    def limit(most: int, error: BaseException) -> list[int]:
        sizes: list[int] = []

        def limited(*args: Any, input_ids: torch.Tensor, **kwargs: Any) -> Any:
            if input_ids.numel() > most:
                raise error
            sizes.append(input_ids.numel())
            return forward(*args, input_ids=input_ids, **kwargs)

        engine.model.forward = limited  # type: ignore[method-assign]
        return sizes

    yield limit
    engine.model.forward = forward  # type: ignore[method-assign]


def texts(engine: TransformersEngine) -> dict[int, Any]:
    found = [replace(answer, seconds=0.0) for answer in engine.generate(ASKED, SAMPLING)]
    assert len(found) == len(ASKED), "each row comes once"
    return {answer.index: answer for answer in found}


@ERRORS
def test_a_batch_that_does_not_fit_is_written_in_halves(
    engine: TransformersEngine, with_room: Any, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = texts(engine)
    sizes = with_room(40, error)  # eight prompts have 60 tokens
    assert texts(engine) == whole and sizes
    assert "out of memory with 8 rows at a time: going on with 4 (--batch-size 4 starts with as many)" in (
        capsys.readouterr().err
    )


def test_a_batch_that_no_longer_fits_while_it_is_written_goes_on_from_what_is_unfinished(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = texts(engine)
    step, n_steps = decoding.Forward.step, 0

    def fails_once(self: Any, tokens_B: torch.Tensor, *rest: Any) -> torch.Tensor:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 5:
            raise MemoryError
        return step(self, tokens_B, *rest)

    monkeypatch.setattr(decoding.Forward, "step", fails_once)
    assert texts(engine) == whole


def test_batches_side_by_side_go_on_one_at_a_time(
    engine: TransformersEngine, with_room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = texts(engine)
    monkeypatch.setattr(decoding, "SIDE_ROWS", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with_room(40, CPU_ERROR)
    assert texts(engine) == whole


@ERRORS
def test_choices_and_likelihoods_are_read_in_halves(
    engine: TransformersEngine, with_room: Any, error: BaseException
) -> None:
    answers = [([20 + n] * 8 + list(range(3, 12)), 5) for n in range(6)]
    choices = {choice.index: choice.logprobs for choice in engine.choose(ASKED, ["1", "2"])}
    logprobs = {answer.index: answer.logprobs for answer in token_logprobs(engine, answers)}
    with_room(36, error)
    halved = {choice.index: choice.logprobs for choice in engine.choose(ASKED, ["1", "2"])}
    assert halved.keys() == choices.keys()
    assert all(halved[index] == pytest.approx(choices[index], abs=1e-5) for index in choices)
    again = {answer.index: answer.logprobs for answer in token_logprobs(engine, answers)}
    assert again.keys() == logprobs.keys()
    assert all(again[index] == pytest.approx(logprobs[index], abs=1e-5) for index in logprobs)


def test_a_row_that_does_not_fit_alone_is_one_clear_line(engine: TransformersEngine, with_room: Any) -> None:
    with_room(5, CPU_ERROR)
    for call in (engine.generate(ASKED, SAMPLING), engine.choose(ASKED, ["1", "2"])):
        with pytest.raises(EngineError, match="out of memory with a single row of .* tokens: use a smaller model"):
            list(call)


@ERRORS
def test_a_shared_beginning_that_does_not_fit_alone_is_one_clear_line(
    engine: TransformersEngine, with_room: Any, error: BaseException
) -> None:
    with_room(40, error)
    asked = [Request([{"role": "user", "content": f"{'point ' * 30}request {n}"}]) for n in range(4)]
    for call in (engine.generate(asked, SAMPLING), engine.choose(asked, ["1", "2"])):
        with pytest.raises(EngineError, match="out of memory with a single row of .* tokens: use a smaller model"):
            list(call)


def test_other_errors_are_not_taken_for_a_lack_of_memory(engine: TransformersEngine, with_room: Any) -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with_room(5, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(engine.choose(ASKED, ["1", "2"]))
