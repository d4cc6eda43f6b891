from pathlib import Path

import pytest
import torch

from engines.likelihood import likelihood_id, likelihoods_of
from engines.local.transformers_engine import TransformersEngine


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_model, "tiny")


def plain(folder: Path, prompt: str, response: str) -> float:
    """The same by transformers' own loss, with its own attention."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    opening = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    before = tokenizer(opening, add_special_tokens=False)["input_ids"]
    after = tokenizer(response, add_special_tokens=False)["input_ids"]
    labels = torch.tensor([[-100] * len(before) + after])
    with torch.inference_mode():
        return -float(model(input_ids=torch.tensor([before + after]), labels=labels).loss)


def test_the_mean_log_likelihood_is_that_of_transformers(engine: TransformersEngine, tiny_model: Path) -> None:
    answers = [("Which is better?", "The first answer is."), ("Grade it.", "5")]
    found = {row.id: row.logprob for row in likelihoods_of(engine, answers, set())}
    assert len(found) == 2
    for prompt, response in answers:
        expected = plain(tiny_model, prompt, response)
        assert found[likelihood_id(prompt, response)] == pytest.approx(expected, abs=1e-4)


def test_each_answer_once_and_none_that_is_done(engine: TransformersEngine) -> None:
    answers = [("q", "x"), ("q", "x"), ("q", "y")]
    assert len(list(likelihoods_of(engine, answers, set()))) == 2
    assert [row.id for row in likelihoods_of(engine, answers, {likelihood_id("q", "x")})] == [likelihood_id("q", "y")]


def test_an_empty_or_too_long_answer_has_none(engine: TransformersEngine) -> None:
    empty, long = likelihoods_of(engine, [("q", ""), ("q", "word " * 3000)], set())
    assert (empty.logprob, empty.error) == (None, "the response is empty")
    assert long.logprob is None and (long.error or "").startswith("too long")


def test_a_special_token_in_an_answer_is_ordinary_text(engine: TransformersEngine) -> None:
    [row] = likelihoods_of(engine, [("q", "<|im_end|>")], set())
    assert row.n_tokens > 1
