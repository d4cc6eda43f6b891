"""The type in which a model computes."""

from pathlib import Path

import pytest
import torch

from console.errors import InputError
from engines.likelihood import token_logprobs
from engines.local.transformers_engine import TransformersEngine
from engines.local.waiting import local_engine
from engines.options import EngineOptions, check_engine, open_engine
from engines.protocol import Request, Sampling

ASKED = [Request([{"role": "user", "content": f"{'point ' * n}request {n}"}], seed=n) for n in range(5)]


def test_a_model_in_bfloat16_reads_nearly_the_same_and_writes(tiny_model: Path) -> None:
    usual, short = (TransformersEngine.load(tiny_model, "tiny", dtype=dtype) for dtype in ("auto", "bfloat16"))
    assert (usual.model.dtype, short.model.dtype) == (torch.float32, torch.bfloat16)
    for one, other in zip(usual.choose(ASKED, ["1", "10"]), short.choose(ASKED, ["1", "10"]), strict=True):
        assert other.logprobs != one.logprobs and other.logprobs == pytest.approx(one.logprobs, abs=0.3)
    [one], [other] = (token_logprobs(engine, [(list(range(3, 20)), 5)]) for engine in (usual, short))
    assert other.logprobs == pytest.approx(one.logprobs, abs=0.3)
    assert len(list(short.generate(ASKED, Sampling(6, 1.0, 0.9)))) == 5


def test_a_type_that_changes_verdicts_is_part_of_the_digest(tiny_model: Path) -> None:
    digests = {dtype: local_engine(tiny_model, "m", 4, dtype=dtype).digest for dtype in ("auto", "float32", "bfloat16")}
    assert digests["auto"] == digests["float32"] != digests["bfloat16"]  # on a processor, where auto is float32
    assert TransformersEngine.load(tiny_model, "m", dtype="bfloat16").digest == digests["bfloat16"]


def test_the_flag_reaches_the_model(tiny_model: Path) -> None:
    engine = open_engine(EngineOptions(model=str(tiny_model), engine="transformers", dtype="bfloat16"))
    assert engine.loaded.model.dtype == torch.bfloat16  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ["openai", "vllm"])
def test_a_type_is_refused_for_another_engine(engine: str) -> None:
    with pytest.raises(InputError, match="--dtype bfloat16 goes with --engine transformers"):
        check_engine(EngineOptions(engine=engine, base_url=None, dtype="bfloat16"))  # type: ignore[arg-type]


def test_a_plan_too_refuses_a_type_where_auto_picks_vllm(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.options.why_not_alone", lambda: None)
    options = EngineOptions(str(tiny_model), dtype="bfloat16")
    for begin in (check_engine, open_engine):
        with pytest.raises(InputError, match="--dtype bfloat16 goes with --engine transformers"):
            begin(options)
