"""A conversation that a model's chat template refuses is that row's error; the others are answered."""

from pathlib import Path
from typing import Any

import pytest

from engines.answers import answer_into
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling
from engines.served.openai_engine import open_openai
from records import Message, Prompt, Response, Store
from tests.openai_server import Server

REFUSES = (
    "{% for m in messages %}{% if 'REFUSED' in m.content %}{{ raise_exception('no such turn') }}{% endif %}{% endfor %}"
)
BAD = (1, 4)
WHY = "its chat template refuses a conversation of the turns user: no such turn; change the turns of the rows"


def chat(number: int) -> list[Message]:
    return [{"role": "user", "content": f"question {number}{' REFUSED' if number in BAD else ''}"}]


ASK = [Request(chat(number), seed=number) for number in range(6)]
GOOD = [request for number, request in enumerate(ASK) if number not in BAD]
SAMPLING = Sampling(4, 0.0)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> TransformersEngine:
    found = TransformersEngine.load(tiny_model, "tiny", batch_size=2)
    found.tokenizer.chat_template = REFUSES + str(found.tokenizer.chat_template)
    return found


@pytest.mark.parametrize("done", [set(), {0, 1}, {2, 4, 5}, {1, 4}], ids=str)
def test_texts_are_written_for_the_others_as_if_it_were_not_there(engine: TransformersEngine, done: set[int]) -> None:
    found = {one.index: one for one in engine.generate(ASK, SAMPLING, done)}
    assert found.keys() == set(range(6)) - done
    expected = {GOOD[one.index].seed: one for one in engine.generate(GOOD, SAMPLING)}
    for index, one in found.items():
        if index in BAD:
            assert WHY in str(one.error) and (one.text, one.n_calls) == ("", 0)
        else:
            assert one.error is None and (one.text, one.n_tokens) == (expected[index].text, expected[index].n_tokens)


@pytest.mark.parametrize("done", [set(), {0, 1}, {2, 4, 5}, {1, 4}], ids=str)
def test_choices_are_read_for_the_others_as_if_it_were_not_there(engine: TransformersEngine, done: set[int]) -> None:
    choices = ["1", "2", "10"]
    found = {one.index: one for one in engine.choose(ASK, choices, done)}
    assert found.keys() == set(range(6)) - done
    expected = {GOOD[one.index].seed: one.logprobs for one in engine.choose(GOOD, choices)}
    for index, one in found.items():
        assert (WHY in str(one.error), one.logprobs) == ((True, ()) if index in BAD else (False, expected[index]))


def test_where_all_are_refused_each_says_why(engine: TransformersEngine) -> None:
    refused = [ASK[number] for number in BAD]
    for found in (list(engine.generate(refused, SAMPLING)), list(engine.choose(refused, ["1", "2"]))):
        assert [one.index for one in found] == [0, 1] and all(WHY in str(one.error) for one in found)


def test_a_prompt_that_is_refused_is_named_and_the_others_are_answered(
    engine: TransformersEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [Prompt(id=f"p{number}", prompt=chat(number)) for number in range(6)]
    with Store(tmp_path / "responses.jsonl", Response) as store:
        found = answer_into(store, engine, prompts, SAMPLING)
    assert [row.prompt_id for row in found] == ["p0", "p2", "p3", "p5"]
    said = capsys.readouterr().err
    assert all(f"no answer to prompt p{number}: " in said for number in BAD) and said.count(WHY) == 2


def test_an_answer_to_a_prompt_that_is_refused_has_no_likelihood(engine: TransformersEngine) -> None:
    from engines.likelihood import likelihood_id, likelihoods_of

    answers: list[Any] = [(chat(number), "an answer") for number in range(6)]
    ids = [likelihood_id(*answer) for answer in answers]
    found = {row.id: row for row in likelihoods_of(engine, answers, {ids[4], ids[5]})}
    assert found.keys() == set(ids[:4])
    for number, row_id in enumerate(ids[:4]):
        row = found[row_id]
        assert (row.logprob is None, WHY in str(row.error)) == (number in BAD, number in BAD)


def test_the_divergence_of_two_models_leaves_it_out(engine: TransformersEngine) -> None:
    from trainer.monitors.kl import _likelihoods

    rows = [
        Response(id=f"r{n}", prompt_id=f"p{n}", prompt=chat(n), response="an answer", model="m", finish_reason="stop")
        for n in range(6)
    ]
    found = {row.response_id: row for row in _likelihoods(engine, rows, set())}
    assert len(found) == 6
    for number in range(6):
        row = found[f"r{number}"]
        assert (row.logprobs == []) == (WHY in str(row.error)) == (number in BAD)


def test_an_answer_to_a_prompt_that_is_refused_has_no_reward(tmp_path: Path) -> None:
    from engines.reward_model import RewardModel
    from tests.engines.test_reward_scoring import save_reward_model

    model = RewardModel.load(save_reward_model(tmp_path / "rm"), "rm")
    prompts: list[Any] = [chat(number) for number in range(6)]
    whole = model.score(prompts, ["an answer"] * 6)
    model.tokenizer.chat_template = REFUSES + str(model.tokenizer.chat_template)
    found = model.rewards(prompts, ["an answer"] * 6)
    for number, reward in enumerate(found):
        assert (reward.value is None) == (number in BAD) == ("no such turn" in str(reward.error))
        assert number in BAD or reward.value == pytest.approx(whole[number], abs=1e-5)


@pytest.mark.parametrize("place", [0, 2])
def test_a_turn_of_no_known_role_is_that_calls_error_at_a_server_too(server: Server, place: int) -> None:
    ask = [Request([{"role": "Human" if n == place else "user", "content": f"q{n}"}]) for n in range(4)]
    found = {one.index: one for one in open_openai("m", server.url, "NO_KEY", 1).generate(ask, SAMPLING)}
    assert "a turn has the role 'Human'" in str(found[place].error) and found[place].n_calls == 0
    assert all(one.text == "ok" for n, one in found.items() if n != place) and len(server.asked) == 3
