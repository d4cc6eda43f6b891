from pathlib import Path

import pytest

from engines.likelihood import Likelihood
from records import Pair, Response
from tests.tiny import save_tiny_model
from trainer.pairs.consistency import (
    Consistency,
    consistency_of,
    implicit_rewards,
    measure_consistency,
    with_consistency,
)


def likely(*values: float | None, n_tokens: int = 2) -> list[Likelihood]:
    return [Likelihood(id=str(n), logprob=value, n_tokens=n_tokens) for n, value in enumerate(values)]


def test_the_implicit_reward_is_the_log_ratio_of_the_whole_answer() -> None:
    assert implicit_rewards(likely(-1.0, -2.0, None), likely(-1.5, None, -1.0)) == [1.0, None, None]
    assert implicit_rewards(likely(-1.0, None), None) == [-1.0, None]


def test_consistency_is_kendalls_tau_from_0_to_1() -> None:
    ids = ["same"] * 3 + ["reversed"] * 3 + ["one swap"] * 4 + ["alone", "flat", "flat"]
    now = [1.0, 2, 3, 1, 2, 3, 1, 2, 3, 4, 1, 5, 5]
    before = [10.0, 20, 30, 30, 20, 10, 1, 2, 4, 3, 7, 1, 2]
    found = consistency_of(ids, now, before)
    # One of six pairs of four is the other way: tau = (5 - 1) / 6, C = 5 / 6.
    assert found.by_prompt == pytest.approx({"same": 1.0, "reversed": 0.0, "one swap": 5 / 6})
    assert found.mean == pytest.approx((1 + 0 + 5 / 6) / 3) and found.n_unranked == 2


def test_an_answer_without_a_reward_is_left_out_of_the_ranking() -> None:
    found = consistency_of(["p"] * 3, [1.0, None, 3.0], [1.0, 9.0, 3.0])
    assert found == Consistency({"p": 1.0}, 1.0, 0)
    assert consistency_of(["p", "p"], [None, 1.0], [1.0, None]) == Consistency({}, None, 1)


def pair(prompt_id: str) -> Pair:
    return Pair(prompt=[], chosen=[], rejected=[], prompt_id=prompt_id, confidence=0.1)


def test_pairs_get_the_consistency_of_the_set_or_of_their_prompt() -> None:
    found = Consistency({"p": 0.9, "q": 0.5}, 0.7, 1)
    pairs = [pair("p"), pair("q"), pair("r")]
    assert [one.confidence for one in with_consistency(pairs, found)] == [0.7, 0.7, 0.7]
    per_prompt = with_consistency(pairs, found, "prompt")
    assert [(one.prompt_id, one.confidence) for one in per_prompt] == [("p", 0.9), ("q", 0.5)]
    assert with_consistency(pairs, Consistency({}, None, 3)) == []


def test_three_models_are_measured_and_their_numbers_stored(tiny_model: Path, tmp_path: Path) -> None:
    before, reference = (save_tiny_model(tmp_path / name, seed=seed) for name, seed in (("before", 1), ("ref", 2)))
    texts = ["Yes.", "No, it is not so.", "Perhaps it is.", "I do not know that."]
    responses = [
        Response(id=f"{prompt}{n}", prompt_id=prompt, prompt=f"Is {prompt} it?", response=text, model="m")
        for prompt in ("p", "q")
        for n, text in enumerate(texts)
    ]
    found = measure_consistency(responses, tiny_model, before, reference, tmp_path / "out")
    assert found.by_prompt.keys() == {"p", "q"} and len(list((tmp_path / "out").glob("likelihoods-*.jsonl"))) == 3
    by_likelihood = measure_consistency(responses, tiny_model, reference, reference, tmp_path / "out")
    assert by_likelihood.n_unranked == 0  # the reference ranks by likelihood: its log-ratio is 0 for all
    assert len(list((tmp_path / "out").glob("likelihoods-*.jsonl"))) == 3
