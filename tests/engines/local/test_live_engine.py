"""An engine around a model in training: the same weights, another attention."""

from pathlib import Path
from typing import Any

import pytest
import torch

from console.errors import InputError
from engines.likelihood import token_logprobs
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling
from tests.tiny import save_tiny_model

PREFIX = "The answer gives one point to the request. " * 4
REQUESTS = [Request([{"role": "user", "content": f"{PREFIX}number {n}"}], seed=n) for n in range(5)]
SAMPLING = Sampling(12, 1.0, 1.0)


@pytest.fixture(params=["llama", "mistral"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, TransformersEngine]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_tiny_model(tmp_path / "model", architecture=request.param)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    return model, TransformersEngine.of_live(model, AutoTokenizer.from_pretrained(folder), "live", batch_size=3)


def train_a_step(model: Any) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    ids = torch.arange(20)[None]
    model(ids, labels=ids).loss.backward()
    optimiser.step()


def drawn(engine: TransformersEngine) -> list[str]:
    return [one.text for one in sorted(engine.generate(REQUESTS, SAMPLING), key=lambda one: one.index)]


def plain_logprobs(model: Any, tokens: list[int], n: int) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0, -n - 1 : -1]
    return logits.log_softmax(-1)[range(n), tokens[-n:]]


def test_after_a_step_the_engine_draws_and_reads_with_the_new_weights(
    live: tuple[Any, TransformersEngine], tmp_path: Path
) -> None:
    model, engine = live
    before = drawn(engine)
    train_a_step(model)
    after = drawn(engine)
    assert after != before
    model.save_pretrained(tmp_path / "new")
    engine.tokenizer.save_pretrained(tmp_path / "new")
    assert after == drawn(TransformersEngine.load(tmp_path / "new", "new", batch_size=3))
    tokens = list(range(3, 40))
    [found] = token_logprobs(engine, [(tokens, 8)])
    assert torch.allclose(torch.tensor(found.logprobs), plain_logprobs(model, tokens, 8), atol=1e-5)


def test_there_is_one_copy_of_the_weights_and_the_model_in_training_is_as_it_was(
    live: tuple[Any, TransformersEngine],
) -> None:
    model, engine = live
    both = list(zip(model.parameters(), engine.model.parameters(), strict=True))
    assert both and all(mine is its for mine, its in both)
    assert model.training and not engine.model.training
    kinds = [one.config._attn_implementation for one in (model, engine.model)]
    assert (kinds[0] != kinds[1]) == engine.shares_prefix, "mistral keeps its own attention, for its window"
    assert not any(type(module).__name__ == "SkinnyLinear" for module in model.modules())
    drawn(engine)
    train_a_step(model)  # what was drawn leaves nothing behind that a gradient would miss
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_sampled_tokens_are_those_of_the_text_with_the_one_that_ended_it(
    live: tuple[Any, TransformersEngine],
) -> None:
    _, engine = live
    sequences = engine._encode(REQUESTS, "")
    texts, seeds = drawn(engine), [request.seed for request in REQUESTS]
    [first, *_] = sorted(engine.sample(sequences, seeds, SAMPLING), key=lambda one: one.index)
    engine.model.generation_config.eos_token_id = first.tokens[4]
    ended = sorted(engine.sample(sequences, seeds, SAMPLING), key=lambda one: one.index)
    n = first.tokens.index(first.tokens[4]) + 1
    assert ended[0].tokens == first.tokens[:n] and ended[0].finish_reason == "stop"
    for one in ended:
        if one.finish_reason == "length":
            assert engine.tokenizer.decode(one.tokens, skip_special_tokens=True) == texts[one.index]
    completion = next(one for one in engine.generate(REQUESTS, SAMPLING) if one.index == 0)
    assert completion.n_tokens == n - 1 and completion.text == engine.tokenizer.decode(first.tokens[: n - 1])


def test_a_sequence_without_room_has_an_error(live: tuple[Any, TransformersEngine]) -> None:
    _, engine = live
    [one, other] = sorted(engine.sample([[5] * 2040, [5, 6]], [0, 1], SAMPLING), key=lambda one: one.index)
    assert one.error and "over the model's context" in one.error and not one.tokens and other.tokens


def test_a_model_without_a_chat_template_is_refused(live: tuple[Any, TransformersEngine]) -> None:
    model, engine = live
    engine.tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        TransformersEngine.of_live(model, engine.tokenizer, "live")
