"""A model in training whose texts vLLM draws: run by `make test-vllm`."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.errors import EngineError
from engines.likelihood import token_logprobs
from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm.live import LiveVllm, checkpoint_tensors
from engines.local.vllm.memory import KV_SPACE, Memory
from engines.protocol import Sampling
from tests.tiny import save_tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

MEMORY = Memory(max_model_len=256, beside_training=True, n_rows=16)
SEQUENCES = [list(range(5, 25 + n)) for n in range(6)]
GREEDY, DRAWN = Sampling(12, 0.0, 1.0), Sampling(12, 1.0, 1.0)


@pytest.fixture(scope="module", autouse=True)
def little_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KV_SPACE, "1")
        yield


def load_live(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    engine = TransformersEngine.of_live(model, AutoTokenizer.from_pretrained(folder), "policy", 16)
    return model, LiveVllm.load(engine, folder, MEMORY, "float32")


def train_a_step(model: Any, rate: float = 0.05) -> None:
    import torch

    ids = torch.arange(5, 45)[None]
    model(ids, labels=ids).loss.backward()
    torch.optim.SGD(model.parameters(), rate).step()
    model.zero_grad()


def drawn(engine: Any, sampling: Sampling, seeds: list[int] | None = None) -> list[tuple[list[int], str]]:
    rows = engine.sample(SEQUENCES, seeds or list(range(len(SEQUENCES))), sampling)
    return [(row.tokens, row.finish_reason) for row in sorted(rows, key=lambda row: row.index)]


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_live(save_tiny_model(tmp_path_factory.mktemp("live") / "tied", head_dim=32))


def probabilities(live: Any) -> list[float]:
    [of_probe] = token_logprobs(live.live, [(live.probe, len(live.probe) - 1)])
    return of_probe.logprobs


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [("llama", {"tie_word_embeddings": False, "attention_bias": True}), ("qwen3", {}), ("gemma3_text", {})],
    ids=["untied, with biases", "with norms of keys", "with a scaled embedding"],
)
def test_after_each_step_vllm_writes_what_the_model_of_then_writes(
    architecture: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    model, live = load_live(save_tiny_model(tmp_path / "m", head_dim=32, architecture=architecture, **settings))
    for _ in range(3):
        before = probabilities(live)
        train_a_step(model)
        moved = [abs(now - then) for now, then in zip(probabilities(live), before, strict=True)]
        assert sum(moved) / len(moved) > 10 * live.tolerance, "so that old weights would be seen"
        assert drawn(live, GREEDY) == drawn(live.live, GREEDY)


def test_with_a_tied_head_too(tied: Any) -> None:
    model, live = tied
    before = drawn(live, GREEDY)
    train_a_step(model)
    assert before != drawn(live, GREEDY) == drawn(live.live, GREEDY)


def test_an_answer_has_its_end_token_and_the_reason_that_transformers_gives(tied: Any) -> None:
    _, live = tied
    whole = drawn(live.live, GREEDY)
    end = whole[0][0][3]
    first = next(n for n, token in enumerate(whole[0][0]) if token == end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(live.live), "ends", frozenset({end}))
        stopped = drawn(live, GREEDY)
        assert stopped == drawn(live.live, GREEDY)
        assert stopped[0] == (whole[0][0][: first + 1], "stop")
        at_the_limit = Sampling(first + 1, 0.0, 1.0)
        assert drawn(live, at_the_limit)[0] == stopped[0], "its last token is the end, and the limit too"
    assert drawn(live, Sampling(first + 1, 0.0, 1.0))[0] == (whole[0][0][: first + 1], "length")


def test_a_rows_draws_are_fixed_by_its_seed_and_not_by_its_neighbours(tied: Any) -> None:
    _, live = tied
    whole = drawn(live, DRAWN)
    assert drawn(live, DRAWN) == whole
    assert drawn(live, DRAWN, [9, 1, 2, 9, 4, 9])[1:3] == whole[1:3]
    [alone] = live.sample([SEQUENCES[4]], [4], DRAWN)
    assert (alone.tokens, alone.finish_reason) == whole[4]


def test_tokens_are_drawn_with_the_live_models_probabilities(tied: Any) -> None:
    import torch

    model, live = tied
    train_a_step(model)
    n, prompt, temperature = 2000, SEQUENCES[0], 1.5
    rows = live.sample([prompt] * n, list(range(n)), Sampling(1, temperature, 1.0))
    counts = Counter(row.tokens[0] for row in rows)
    with torch.no_grad():
        probs = (model(torch.tensor([prompt])).logits[0, -1] / temperature).softmax(-1)
    likely = probs.topk(8)
    for prob, token in zip(likely.values.tolist(), likely.indices.tolist(), strict=True):
        spread = (prob * (1 - prob) / n) ** 0.5
        assert abs(counts[token] / n - prob) < 4.5 * spread


def test_a_tensor_that_vllm_did_not_get_is_named(tied: Any) -> None:
    model, live = tied
    tensors = checkpoint_tensors(model, live.stored)
    name = "model.layers.1.mlp.down_proj.weight"
    with pytest.raises(EngineError, match=rf"vLLM would compute with old weights: it got none for {name} \(1 in all\)"):
        live.vllm.loaded.replace_weights({key: tensor for key, tensor in tensors.items() if key != name})
    with pytest.raises(EngineError, match="vLLM cannot load the new weights: .*no module or parameter named 'other'"):
        live.vllm.loaded.replace_weights(tensors | {"other.weight": tensors[name]})
    live.follow()


def test_weights_that_did_not_arrive_are_seen_in_what_vllm_computes(tied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, live = tied
    monkeypatch.setattr(live.vllm.loaded, "replace_weights", lambda _: None)
    live.follow()
    train_a_step(model, rate=1e-3)
    with pytest.raises(EngineError, match="policy: vLLM reads a fixed prompt with log-probabilities that differ by"):
        live.follow()
    monkeypatch.undo()
    live.follow()
