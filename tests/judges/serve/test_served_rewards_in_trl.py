"""A served judge as the reward of TRL's trainers."""

from pathlib import Path
from typing import Any

import pytest

from console.errors import EngineError, InputError, JudgeError
from judges.trl import served_reward_func
from tests.judges.serve.conftest import Serve
from tests.openai_server import Raw, Server


def test_completions_are_rewarded_as_by_a_judge_in_the_process(serve: Serve) -> None:
    url = serve().url
    reward = served_reward_func(url)
    chat = [{"role": "user", "content": "Q"}]
    answers: Any = [[{"role": "assistant", "content": "xx"}], "x", ""]
    assert reward([chat, "Q", "Q"], answers, completion_ids=[[1]] * 3) == [2, 1, None]
    assert served_reward_func(url, missing="mean")(["Q", "Q", "Q"], ["x", "", "xxx"]) == [1, 2, 3]
    with pytest.raises(JudgeError, match="the response is empty"):
        served_reward_func(url, missing="raise")(["Q"], [""])


def test_many_completions_are_sent_in_several_requests(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judges.trl.ROWS", 2)
    server, answers = serve(), ["x", "xx", "x", "", "xx"]
    assert served_reward_func(server.url)(["Q"] * 5, answers) == [1, 2, 1, None, 2]
    assert 'judgeloop_requests_total{path="/reward",status="200"} 3.0' in server.get("/metrics")[1]
    with pytest.raises(JudgeError, match="1 of 5 completions have no verdict: the response is empty"):
        served_reward_func(server.url, missing="raise")(["Q"] * 5, answers)


def test_a_column_reaches_the_judge(serve: Serve) -> None:
    reward = served_reward_func(serve().url)
    assert reward(["Q"], ["x"], reference=["R"]) == [1]
    with pytest.raises(InputError, match="one of each is needed: 1 completions, 2 'reference'"):
        reward(["Q"], ["x"], reference=["R", "S"])


def test_a_server_that_refuses_or_is_not_there_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(key="secret")
    with pytest.raises(EngineError, match="401: .*this server has a key"):
        served_reward_func(server.url)(["Q"], ["x"])
    monkeypatch.setenv("JUDGE_KEY", "secret")
    assert served_reward_func(server.url, "JUDGE_KEY")(["Q"], ["x"]) == [1]
    with pytest.raises(EngineError, match="cannot be reached: .*is judges.serve running there"):
        served_reward_func("http://127.0.0.1:9")(["Q"], ["x"])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"<html>", "the reply has no rewards .*; is it judges.serve"),
        ({"score": 1.0}, "the reply has no rewards .*; is it judges.serve"),
        ({"rewards": ["x"], "errors": {}}, "the reply has no rewards .*; is it judges.serve"),
        ({"rewards": [1.0], "errors": {}}, "1 rewards for 2 completions"),
    ],
)
def test_another_servers_reply_is_no_reward(server: Server, reply: Any, said: str) -> None:
    server.answer = lambda _: Raw(reply) if isinstance(reply, bytes) else (200, reply)
    with pytest.raises(EngineError, match=said):
        served_reward_func(server.url)(["Q", "Q"], ["x", "xx"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_grpo_trains_on_the_rewards_of_a_served_judge(serve: Serve, tiny_model: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    server = serve()
    config = GRPOConfig(
        str(tmp_path / "out"),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=24,
        max_steps=2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
    )
    rows = Dataset.from_list([{"prompt": f"Say x {n} times."} for n in range(8)])
    rewards = served_reward_func(server.url)
    trainer = GRPOTrainer(str(tiny_model), reward_funcs=rewards, args=config, train_dataset=rows)
    trainer.train()
    logged = [entry["rewards/judge_served/mean"] for entry in trainer.state.log_history if "reward" in entry]
    assert len(logged) == 2 and all(0 <= mean <= 5 for mean in logged)
    assert 'judgeloop_requests_total{path="/reward",status="200"} 2.0' in server.get("/metrics")[1]
