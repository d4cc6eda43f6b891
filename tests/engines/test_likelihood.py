from pathlib import Path

import pytest

from engines.likelihood import TokenLogprobs, answer_tokens, token_logprobs
from engines.local.transformers_engine import TransformersEngine

ANSWERS: list[tuple[str | list[dict[str, str]], str]] = [
    ("Which is better?", "The first answer is."),
    ("Which is better?", "The second."),
    ("Grade this answer, and say how you came to your grade.", "It is a good answer: five points of five, I think."),
    ("Grade it.", "5"),
    ([{"role": "user", "content": "q"}], "a <|im_end|> b"),
]


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_model, "tiny", batch_size=3)


def logprobs(engine: TransformersEngine, answers: list[tuple[list[int], int]]) -> dict[int, TokenLogprobs]:
    return {found.index: found for found in token_logprobs(engine, answers)}


def tokens_of(engine: TransformersEngine) -> list[tuple[list[int], int]]:
    return [answer_tokens(engine, *answer) for answer in ANSWERS]


def test_a_batch_gives_the_numbers_of_one_at_a_time(engine: TransformersEngine) -> None:
    tokens = tokens_of(engine)
    together = logprobs(engine, tokens)
    assert sorted(together) == [0, 1, 2, 3, 4]
    for index, one in enumerate(tokens):
        alone = logprobs(engine, [one])[0].logprobs
        assert len(alone) == one[1] and together[index].logprobs == pytest.approx(alone, abs=1e-4)


def test_a_model_with_its_own_attention_gives_the_same(tiny_model: Path, engine: TransformersEngine) -> None:
    from transformers import AutoModelForCausalLM

    own = TransformersEngine.load(tiny_model, "tiny", batch_size=3)
    own.model, own.shares_prefix = AutoModelForCausalLM.from_pretrained(tiny_model).eval(), False
    tokens = tokens_of(engine)
    for index, found in logprobs(own, tokens).items():
        assert found.logprobs == pytest.approx(logprobs(engine, tokens)[index].logprobs, abs=1e-4)


def test_a_resumed_call_gives_the_same_rows_and_no_other(engine: TransformersEngine) -> None:
    tokens = tokens_of(engine)
    whole = logprobs(engine, tokens)
    rest = {found.index: found for found in token_logprobs(engine, tokens, {0, 3})}
    assert rest == {index: whole[index] for index in (1, 2, 4)}


def test_an_empty_or_too_long_answer_has_none_and_the_others_have(engine: TransformersEngine) -> None:
    asked = [("q", ""), ("q", "word " * 3000), ("q", "x")]
    empty, long, usual = logprobs(engine, [answer_tokens(engine, *one) for one in asked]).values()
    assert (empty.logprobs, empty.error) == ([], "the response is empty")
    assert long.logprobs == [] and (long.error or "").startswith("too long")
    assert usual.error is None and usual.logprobs
