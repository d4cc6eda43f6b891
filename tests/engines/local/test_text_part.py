"""A model that also takes images keeps the settings of its layers in a config of its text part."""

from pathlib import Path

import pytest

from engines.likelihood import token_logprobs
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling

CONTEXT = 256


@pytest.fixture(scope="module")
def engine(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    """Load a random Gemma 3 whose first layer sees 8 tokens back."""
    import torch
    from transformers import AutoTokenizer, Gemma3Config, Gemma3ForConditionalGeneration

    folder, tokenizer = tmp_path_factory.mktemp("gemma3"), AutoTokenizer.from_pretrained(tiny_model)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "eos_token_id": 2,
    }
    images = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = Gemma3Config(text_config=text, vision_config={**images, "image_size": 28, "patch_size": 14})
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TransformersEngine.load(folder, "gemma3", batch_size=4)


def test_a_sliding_window_of_the_text_part_is_kept_to(engine: TransformersEngine) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    asked = [Request([{"role": "user", "content": f"{'point ' * 20}number {n}"}]) for n in range(3)]
    reference = AutoModelForCausalLM.from_pretrained(engine.model.name_or_path, dtype=torch.float32).eval()
    ids_of = [engine.tokenizer.convert_tokens_to_ids(choice) for choice in "012345"]
    for choice in engine.choose(asked, list("012345")):
        ids = engine._encode([asked[choice.index]], "")[0]
        with torch.inference_mode():
            expected = reference(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[ids_of]
        assert choice.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_text_over_the_context_of_the_text_part_has_an_error(engine: TransformersEngine) -> None:
    asked = [Request([{"role": "user", "content": "point " * CONTEXT}])]
    for found in (*engine.generate(asked, Sampling(2)), *engine.choose(asked, ["0", "1"])):
        assert found.error is not None and f"over the model's context of {CONTEXT}" in found.error
    [long] = token_logprobs(engine, [([5] * (CONTEXT + 1), 4)])
    assert (long.logprobs, long.error) == ([], f"too long: {CONTEXT + 1} tokens")
