import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import EngineError
from engines.local.vllm.memory import GIB, KV_SPACE, Memory, Size, plan_cpu, plan_gpu, size_of
from tests.tiny import save_in_bfloat16

MODEL = Size(weights=2 * GIB, per_token=GIB // 8192, context=8192)
"""8,192 tokens of context are one GiB."""


@pytest.fixture(autouse=True)
def no_space_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KV_SPACE, raising=False)


def test_the_size_is_that_of_the_files_in_the_type_that_is_computed(tiny_model: Path, tmp_path: Path) -> None:
    half = save_in_bfloat16(tiny_model, tmp_path / "half")
    sizes = [size_of(tiny_model, "float32"), size_of(half, "float32"), size_of(half, "bfloat16")]
    assert sizes[1].weights == pytest.approx(sizes[0].weights, rel=0.1)
    assert sizes[2].weights == pytest.approx(sizes[0].weights / 2, rel=0.1)
    # keys and values, two layers, two heads of eight numbers
    assert [size.per_token for size in sizes] == [2 * 2 * 2 * 8 * 4, 2 * 2 * 2 * 8 * 4, 2 * 2 * 2 * 8 * 2]
    assert sizes[0].context == 2048


def saved_config(folder: Path, **settings: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({"dtype": "bfloat16", **settings}))
    return folder


def test_what_a_config_leaves_out_is_what_its_kind_has(tmp_path: Path) -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34}
    size = size_of(saved_config(tmp_path, model_type="gemma3", text_config=text), "bfloat16")
    # keys and values, 34 layers, 4 heads of 256 numbers of 2 bytes
    assert (size.per_token, size.context) == (2 * 34 * 4 * 256 * 2, 131_072)


@pytest.mark.parametrize("kind", ["mamba", "known to vLLM alone"])
def test_a_context_that_no_config_names_is_left_to_vllm(tmp_path: Path, kind: str) -> None:
    size = size_of(saved_config(tmp_path, model_type=kind), "bfloat16")
    assert plan_gpu("m", size, Memory(), 79 * GIB, 80 * GIB).max_model_len is None
    assert plan_gpu("m", size, Memory(max_model_len=4096), 79 * GIB, 80 * GIB).max_model_len == 4096


def test_a_model_that_fits_has_its_whole_context() -> None:
    assert plan_cpu("m", MODEL, Memory(), 20 * GIB).max_model_len == 8192
    plan = plan_gpu("m", MODEL, Memory(), 79 * GIB, 80 * GIB)
    assert (plan.max_model_len, plan.share_of_gpu, plan.kv_bytes) == (8192, 0.9, None)


def test_beside_another_process_on_the_gpu_only_what_is_free_is_taken() -> None:
    assert plan_gpu("m", MODEL, Memory(), 40 * GIB, 80 * GIB).share_of_gpu == pytest.approx(0.49)


@pytest.mark.parametrize("free", [GIB, 2 * GIB])
def test_weights_that_do_not_fit_are_refused_with_both_sizes(free: int) -> None:
    with pytest.raises(EngineError, match=r"m: its weights take about 2.0 GiB, and there are \d.\d GiB"):
        plan_cpu("m", MODEL, Memory(), free)
    with pytest.raises(EngineError, match="--tensor-parallel-size 2 on as many GPUs"):
        plan_gpu("m", MODEL, Memory(), free, 2 * GIB)


def test_two_gpus_hold_what_one_does_not() -> None:
    large = Size(weights=100 * GIB, per_token=MODEL.per_token, context=8192)
    with pytest.raises(EngineError, match="weights"):
        plan_gpu("m", large, Memory(), 79 * GIB, 80 * GIB)
    assert plan_gpu("m", large, Memory(n_gpus=2), 79 * GIB, 80 * GIB).max_model_len == 8192


def test_a_long_context_is_cut_to_what_fits_unless_it_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    long = Size(weights=2 * GIB, per_token=GIB // 8192, context=131_072)
    fits = plan_cpu("m", long, Memory(), 6 * GIB).max_model_len
    assert 16_000 < fits < 16_384
    assert f"m: a context of {fits:,} tokens, not 131,072, because 2.0 GiB" in capsys.readouterr().err
    with pytest.raises(EngineError, match=f"65,536 tokens takes about 8.0 GiB.*--max-model-len {fits} fits"):
        plan_cpu("m", long, Memory(max_model_len=65_536), 6 * GIB)
    assert plan_cpu("m", long, Memory(max_model_len=fits), 6 * GIB).max_model_len == fits


def test_what_is_left_for_a_context_may_be_too_little_for_any() -> None:
    with pytest.raises(EngineError, match="no useful context fits, or raise VLLM_CPU_KVCACHE_SPACE"):
        plan_cpu("m", MODEL, Memory(), 2 * GIB + 64)


def test_the_space_that_vllm_is_told_is_kept_to_and_refused_if_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KV_SPACE, "3")
    assert plan_cpu("m", MODEL, Memory(), 20 * GIB).kv_bytes == 3 * GIB
    with pytest.raises(EngineError, match="VLLM_CPU_KVCACHE_SPACE=3 asks for 3.0 GiB.*2.0 GiB are free.*SPACE=2 fits"):
        plan_cpu("m", MODEL, Memory(), 4 * GIB)
    with pytest.raises(EngineError, match="0.5 GiB are free; without VLLM_CPU_KVCACHE_SPACE half of that is taken"):
        plan_cpu("m", MODEL, Memory(), 5 * GIB // 2)
    monkeypatch.setenv(KV_SPACE, "much")
    with pytest.raises(EngineError, match="whole number of GiB"):
        plan_cpu("m", MODEL, Memory(), 20 * GIB)


def test_a_share_of_the_gpu_that_is_not_free_is_refused_with_one_that_is() -> None:
    with pytest.raises(EngineError, match=r"utilization 0.9 asks for 72.0 GiB.*40.0 GiB are free; 0.49 fits"):
        plan_gpu("m", MODEL, Memory(share_of_gpu=0.9), 40 * GIB, 80 * GIB)
    with pytest.raises(EngineError, match=r"0.0 GiB are free; end what else runs there"):
        plan_gpu("m", MODEL, Memory(share_of_gpu=0.9), 0, 80 * GIB)


def test_beside_training_only_what_a_batch_needs_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    beside, batch = Memory(beside_training=True), (8192 + 128) * MODEL.per_token
    assert plan_cpu("m", MODEL, beside, 40 * GIB).kv_bytes == batch < plan_cpu("m", MODEL, Memory(), 40 * GIB).kv_bytes
    plan = plan_gpu("m", MODEL, beside, 79 * GIB, 80 * GIB)
    assert (plan.max_model_len, plan.kv_bytes) == (8192, batch)
    assert plan.share_of_gpu == pytest.approx((2 * GIB + batch) / (80 * GIB))
    two = plan_gpu("m", MODEL, Memory(n_gpus=2, beside_training=True), 79 * GIB, 80 * GIB)
    assert two.kv_bytes == batch // 2 and two.share_of_gpu == pytest.approx(plan.share_of_gpu / 2)
    monkeypatch.setenv(KV_SPACE, "3")
    assert plan_cpu("m", MODEL, beside, 40 * GIB).kv_bytes == 3 * GIB, "what the user gives comes first"


def test_beside_training_a_share_of_the_gpu_is_taken_if_it_is_given() -> None:
    plan = plan_gpu("m", MODEL, Memory(share_of_gpu=0.25, beside_training=True), 79 * GIB, 80 * GIB)
    assert (plan.share_of_gpu, plan.kv_bytes) == (0.25, None)


def test_beside_training_a_long_context_is_cut_and_one_that_is_asked_for_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = Size(weights=2 * GIB, per_token=GIB // 8192, context=131_072)
    assert plan_gpu("m", long, Memory(beside_training=True), 79 * GIB, 80 * GIB).max_model_len == 8192
    assert "m: a context of 8,192 tokens, not 131,072" in capsys.readouterr().err
    asked = Memory(max_model_len=65_536, beside_training=True)
    assert plan_gpu("m", long, asked, 79 * GIB, 80 * GIB).max_model_len == 65_536


def test_beside_training_a_model_without_known_keys_has_the_usual_share() -> None:
    unknown = Size(weights=2 * GIB, per_token=0, context=8192)
    plan = plan_gpu("m", unknown, Memory(beside_training=True), 79 * GIB, 80 * GIB)
    assert (plan.share_of_gpu, plan.kv_bytes) == (0.9, None)


def test_a_model_in_training_that_writes_has_room_for_all_its_rows_at_once() -> None:
    rows = Memory(max_model_len=512, beside_training=True, n_rows=32)
    whole = 32 * (512 + 128) * MODEL.per_token
    assert plan_gpu("m", MODEL, rows, 79 * GIB, 80 * GIB).kv_bytes == whole
    assert plan_cpu("m", MODEL, rows, 40 * GIB).kv_bytes == min(whole, 4 * GIB)
