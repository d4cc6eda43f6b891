import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, JudgeError
from judges.trl import PairwiseJudge, async_reward_func, reward_func
from tests.judges.test_library import judge_by_length


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def test_texts_and_chats_are_rewarded_alike() -> None:
    reward = reward_func(judge_by_length()[0])
    plain = reward(prompts=["Q", "Q"], completions=["x", "xxx"], completion_ids=[[1], [2]], trainer_state=None)
    asked = [{"role": "user", "content": "Q"}]
    assert plain == [1, 3] == reward([asked, asked], [chat("x"), chat("xxx")], log_metric=None)
    assert reward.__name__ == "judge_additive"


def test_no_verdict_is_none_the_mean_of_its_prompt_or_an_error() -> None:
    judge, _ = judge_by_length()
    given: dict[str, Any] = {"prompts": ["Q", "Q", "Q", "R", "R"], "completions": ["x", "", "xxx", "xxxxx", ""]}
    assert reward_func(judge)(**given) == [1, None, 3, 5, None]
    assert reward_func(judge, missing="mean")(**given) == [1, 2, 3, 5, 5]
    with pytest.raises(JudgeError, match="2 of 5 completions have no verdict: the response is empty"):
        reward_func(judge, missing="raise")(**given)


@pytest.mark.parametrize("make", [reward_func, async_reward_func])
@pytest.mark.parametrize(
    ("prompts", "completions", "n_lost"),
    [
        (["Q", "R"], ["xxxxx", ""], 1),
        (["Q", "Q", "Q", "R", "S"], ["xxxxx", "x", "", "", "xxx"], 1),
        (["Q", "Q", "R", "R"], ["xxxxx", "x", "", " "], 2),
        (["Q"], [""], 1),
    ],
)
def test_an_answer_whose_prompt_has_no_verdict_is_not_paid_with_other_prompts_mean(
    make: Any, prompts: list[str], completions: list[str], n_lost: int
) -> None:
    reward = make(judge_by_length()[0], missing="mean")
    with pytest.raises(JudgeError, match=f"^{n_lost} of {len(prompts)} completions have no verdict, nor has any other"):
        found = reward(prompts, completions)
        asyncio.run(found)


def test_the_asynchronous_reward_is_a_coroutine_function_with_the_same_result() -> None:
    reward = async_reward_func(judge_by_length()[0])
    assert inspect.iscoroutinefunction(reward)
    assert asyncio.run(reward(["Q"], ["xx"])) == [2]


def test_a_tie_and_a_missing_verdict_are_no_choice() -> None:
    judge = PairwiseJudge(judge_by_length("pairwise")[0])
    two = [["xx", "x"], ["x", "xx"], ["x", "x"], ["", ""]]
    assert judge.judge(["Q"] * 4, two) == [0, 1, -1, -1]
    assert judge.preferences(["Q"] * 4, two) == [1.0, 0.0, 0.5, None]


def test_one_text_where_several_are_meant_is_refused() -> None:
    judge, engine = judge_by_length()
    pairwise = PairwiseJudge(judge_by_length("pairwise")[0])
    prompts: Any
    completions: Any
    for prompts, completions, said in [
        (["Q"], "x", "'completions' must be a list"),
        ("Q", ["x"], "'prompts' must be a list"),
        (["Q"], [5], "a completion must be text or a list of messages, found int"),
    ]:
        with pytest.raises(InputError, match=said):
            reward_func(judge)(prompts, completions)
    two: Any
    for two in ("xy", ["xy"], [["x"]], [["x", "y", "z"]]):
        with pytest.raises(InputError, match="'completions' must be a list"):
            pairwise.judge(["Q"], two)
    assert not engine.asked


def test_a_character_that_is_no_text_stops_no_training() -> None:
    assert reward_func(judge_by_length()[0])(["Q", "Q"], ["x\ud83d", chat("xx\0")]) == [1, 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["grpo", "grpo_async", "rloo", "online_dpo"])
def test_the_reward_function_trains(name: str, tiny_model: Path, tmp_path: Path) -> None:
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    kinds: dict[str, Any] = {
        "grpo": (GRPOConfig, GRPOTrainer), "grpo_async": (GRPOConfig, GRPOTrainer),
        "rloo": (RLOOConfig, RLOOTrainer), "online_dpo": (OnlineDPOConfig, OnlineDPOTrainer),
    }  # fmt: skip
    config_type, trainer_type = kinds[name]
    group = {} if name == "online_dpo" else {"num_generations": 2}
    length = "max_new_tokens" if name == "online_dpo" else "max_completion_length"
    config = config_type(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=2, use_cpu=True, bf16=False,
        report_to=[], **{length: 8}, logging_steps=1, save_strategy="no", **group,
    )  # fmt: skip
    make = async_reward_func if name == "grpo_async" else reward_func
    reward = make(judge_by_length()[0], missing="mean")
    trainer = trainer_type(
        model=AutoModelForCausalLM.from_pretrained(tiny_model),
        reward_funcs=reward,
        args=config,
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": [{"role": "user", "content": f"x {n}"}]} for n in range(4)]
        ),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    assert trainer.train().global_step == 2
