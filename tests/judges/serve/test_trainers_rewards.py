from typing import Any

import pytest

from judges.serve.inputs import chat_of
from tests.fences import plain
from tests.judges.serve.conftest import LengthJudge, Serve

CHATML = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nQ?<|im_end|>\n<|im_start|>assistant\n"
GYM: dict[str, Any] = {
    "responses_create_params": {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Q?"}]}]},
    "response": {
        "id": "resp_1",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "xx"}]},
        ],
    },
    "verifier_metadata": {"kept": True},
}


def test_openrlhf_gets_the_reward_of_the_answer_after_its_prompt(serve: Serve, engine: LengthJudge) -> None:
    body = {"query": [f"{CHATML}xxx<|im_end|>", "Q: x"], "prompts": [CHATML, "Q: "], "labels": ["", None]}
    status, reply = serve().post("/reward", body)
    assert (status, reply) == (200, {"rewards": [3.0, 1.0], "scores": [3.0, 1.0], "extra_logs": {}})
    shown = plain(engine.asked[0].messages[0]["content"])
    assert "system: Be kind.\n\nuser: Q?" in shown and "im_end" not in shown


def test_a_decoded_query_may_begin_with_a_token_that_its_prompt_lacks(serve: Serve) -> None:
    reply = serve().post("/reward", {"query": ["<s>Q? xx</s>"], "prompts": ["Q? "], "labels": [None]})[1]
    assert reply["rewards"] == [2.0]


def test_verl_gets_the_score_of_one_answer(serve: Serve) -> None:
    server = serve()
    sample = {"data_source": "gsm8k", "solution_str": "xx", "ground_truth": "4"}
    assert server.post("/reward", {**sample, "extra_info": {"question": "Q?"}}) == (200, {"score": 2.0})
    assert server.post("/reward", {**sample, "prompt": [{"role": "user", "content": "Q?"}]}) == (200, {"score": 2.0})
    status, reply = server.post("/reward", sample)
    assert status == 400 and "extra_info.question" in reply["error"]["message"]


def test_nemo_gym_gets_its_request_back_with_the_reward(serve: Serve) -> None:
    server = serve()
    assert server.post("/seed_session", {}) == (200, {})
    assert server.post("/verify", GYM) == (200, {**GYM, "reward": 2.0})


def test_nemo_gyms_group_comparison_gets_a_reward_for_each_answer(serve: Serve) -> None:
    answers = [{"output": [{"type": "message", "content": text}]} for text in ("x", "xxx", "xx")]
    body = {"conversation_history": [{"role": "user", "content": "Q?"}], "response_objs": answers}
    status, reply = serve().post("/compare", body)
    assert status == 200 and reply["rewards"] == [-1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "body",
    [
        {"query": ["Q"], "prompts": ["Q"], "labels": [None]},
        {"solution_str": "", "prompt": "Q"},
        {**GYM, "response": {"output": []}},
    ],
)
def test_a_trainer_that_takes_only_numbers_gets_an_error_for_no_verdict(serve: Serve, body: dict[str, Any]) -> None:
    status, reply = serve().post("/reward", body)
    assert status == 422 and reply["error"]["code"] == "no_verdict"
    assert reply["error"]["message"].startswith("1 of 1 answers have no verdict, the first 0: the response is empty")


def test_a_call_that_failed_may_be_asked_again(serve: Serve) -> None:
    assert serve().post("/reward", {"solution_str": "down", "prompt": "Q"})[0] == 503


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"query": ["Q"], "prompts": ["R"], "labels": []}, r"query[0] does not begin with prompts[0]"),
        ({"query": ["Q", "R"], "prompts": ["R"]}, "one of each is needed: 2 query, 1 prompts, 2 labels"),
        ({"query": "Q", "prompts": ["Q"]}, "'query' must be a list of texts"),
        ({"query": 5}, "'query' must be a list of texts"),
        ({"query": ["Q"], "prompts": [""]}, "'prompts' must be a list of texts, at least one and none of them empty"),
        ({"query": ["Q"], "prompts": ["Q"], "labels": 5}, "'labels' must be a list"),
        ({"solution_str": "x", "extra_info": ["Q"]}, "the prompt is looked for in 'prompt' and extra_info.question"),
        ({**GYM, "responses_create_params": {}}, "'responses_create_params.input', the prompt, must be text or a list"),
        ({**GYM, "responses_create_params": {"input": 5}}, "'responses_create_params.input', the prompt"),
        ({"response": {"output": []}}, "'responses_create_params' and 'response' must be objects"),
        ({**GYM, "response": {}}, "response.output must be a list of items"),
        ({"rows": [{"prompt": "Q", "response": "x"}, {"prompt": "Q"}]}, "rows[1]: no response"),
        ({"rows": []}, "'rows' is empty"),
        ({"rows": "x"}, "'rows' must be a list of objects"),
        ({}, "no response"),
    ],
)
def test_another_form_is_refused_by_name(serve: Serve, body: dict[str, Any], said: str) -> None:
    status, reply = serve().post("/reward", body)
    assert status == 400 and said in reply["error"]["message"]


def test_a_groups_rewards_are_wins_minus_losses_over_the_others(serve: Serve, engine: LengthJudge) -> None:
    status, reply = serve().post("/group", {"prompt": "Q", "responses": ["xxx", "x", "xx", "x"]})
    assert status == 200 and reply["rewards"] == [
        1.0,
        pytest.approx(-2 / 3),
        pytest.approx(1 / 3),
        pytest.approx(-2 / 3),
    ]
    counts = [(one["wins"], one["losses"], one["ties"]) for one in reply["standings"]]
    assert counts == [(3, 0, 0), (0, 2, 1), (2, 1, 0), (0, 2, 1)]
    assert len(engine.asked) == 6  # three different pairs in both orders: equal answers tie unasked


def test_an_answer_whose_pair_has_no_verdict_has_no_reward(serve: Serve) -> None:
    server = serve()
    _, reply = server.post("/group", {"prompt": "Q", "responses": ["xx", "x", "down"]})
    assert reply["rewards"] == [None, None, None] and "against answer 2" in reply["standings"][0]["error"]
    counts = [(one["wins"], one["losses"], one["ties"]) for one in reply["standings"]]
    assert counts == [(1, 0, 0), (0, 1, 0), (0, 0, 0)]
    answers = [{"output": [{"type": "message", "content": text}]} for text in ("x", "down")]
    body = {"conversation_history": [{"role": "user", "content": "Q?"}], "response_objs": answers}
    assert server.post("/compare", body)[0] == 503


def test_a_reference_that_is_no_text_is_refused(serve: Serve) -> None:
    status, reply = serve().post("/group", {"prompt": "Q", "responses": ["x", "xx"], "reference": 5})
    assert status == 400 and "'reference' must be text" in reply["error"]["message"]


@pytest.mark.parametrize(
    "rendered",
    [
        CHATML,
        f"{CHATML}<think>\n\n</think>\n\n",
        "<bos><start_of_turn>system\nBe kind.<end_of_turn>\n<start_of_turn>user\nQ?<end_of_turn>\n"
        "<start_of_turn>model\n",
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nQ?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ],
    ids=["chatml", "qwen without reasoning", "gemma", "llama"],
)
def test_a_rendered_prompt_is_read_as_its_turns(rendered: str) -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Q?"}]
    assert chat_of(rendered) == turns


@pytest.mark.parametrize("around", ["Explain this:\n{}", "{}\nWhat does it mean?"])
def test_a_prompt_that_quotes_a_turn_is_shown_whole(around: str) -> None:
    quoted = around.format("<|im_start|>user\nhi<|im_end|>")
    assert chat_of(quoted) == quoted


@pytest.mark.parametrize("answers", [[], ["x"], ["x", 5], "xx", [f"x{n}" for n in range(47)]])
def test_a_group_of_too_few_or_too_many_answers_is_refused(serve: Serve, answers: Any) -> None:
    assert serve().post("/group", {"prompt": "Q", "responses": answers})[0] == 400
