"""A policy as a judge, by the reward that DPO trained it on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from console.command import parse
from console.errors import InputError
from engines.options import EngineOptions
from evals.reward_model.__main__ import main
from evals.reward_model.implicit import check_implicit, open_implicit
from evals.reward_model.metrics import TIE_WRONG
from evals.reward_model.options import Config, ImplicitOptions
from records import Judgment, read_rows
from tests.evals.reward_model.test_reward_model import report, value
from tests.tiny import save_tiny_model

PROMPT, ANSWERS = "Say a word.", ["a word", "score", "the best of all answers"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return save_tiny_model(folder / "policy", seed=1), save_tiny_model(folder / "reference", seed=2)


def logprob(folder: Path, answer: str) -> tuple[float, int]:
    """Return the log-probability of an answer and of its <|im_end|>, by transformers alone, and their tokens."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    opening = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    before = tokenizer(opening, add_special_tokens=False).input_ids
    after = tokenizer(f"{answer}<|im_end|>", add_special_tokens=False).input_ids
    with torch.inference_mode():
        logprobs_LV = model(torch.tensor([before + after])).logits[0].log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    return sum(float(logprobs_LV[place, token]) for place, token in zip(places, after, strict=True)), len(after)


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("with_reference", [True, False])
def test_the_reward_is_betas_share_of_the_log_ratio_over_the_answers_tokens_and_its_end(
    models: tuple[Path, Path], with_reference: bool, per_token: bool
) -> None:
    policy, reference = models
    named = str(reference) if with_reference else "none"
    model = open_implicit(EngineOptions(model=str(policy)), ImplicitOptions(named, 0.3, per_token))
    for answer, reward in zip(ANSWERS, model.rewards([PROMPT] * 3, ANSWERS), strict=True):
        (ours, n), (theirs, _) = logprob(policy, answer), logprob(reference, answer)
        expected = 0.3 * (ours - (theirs if with_reference else 0)) / (n if per_token else 1)
        assert reward.value == pytest.approx(expected, abs=1e-4)


def lora_on(base: Path, folder: Path, *, random: bool) -> Path:
    """Save an adapter, which changes nothing unless it is random."""
    lora = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=not random, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("changed", ["nothing", "tokenizer_config.json", "adapter"])
def test_a_copy_of_the_policy_is_no_reference(models: tuple[Path, Path], tmp_path: Path, changed: str) -> None:
    policy = lora_on(models[0], tmp_path / "lora", random=True) if changed == "adapter" else models[0]
    copy = shutil.copytree(policy, tmp_path / "copy")
    if changed.endswith("json"):
        settings = json.loads((copy / changed).read_text(encoding="utf-8"))
        (copy / changed).write_text(json.dumps(settings | {"unheard": 1}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"dpo:\S+ --reference {copy}: these are the same model, so that each reward"):
        check_implicit(EngineOptions(model=str(policy)), ImplicitOptions(str(copy)))


def test_models_that_say_the_same_are_told_where_every_reward_is_0(models: tuple[Path, Path], tmp_path: Path) -> None:
    untrained = lora_on(models[0], tmp_path / "lora", random=False)
    model = open_implicit(EngineOptions(model=str(untrained)), ImplicitOptions(str(models[0])))
    with pytest.raises(InputError, match="these are the same model"):
        model.rewards([PROMPT] * 3, ANSWERS)


def test_an_adapter_is_a_policy_over_its_base(models: tuple[Path, Path], tmp_path: Path) -> None:
    adapter = lora_on(models[0], tmp_path / "adapter", random=True)
    model = open_implicit(EngineOptions(model=str(adapter)), ImplicitOptions(str(models[0])))
    [reward] = model.rewards([PROMPT], ANSWERS[:1])
    assert reward.value is not None and abs(reward.value) > 1e-4


def test_answers_that_cannot_be_scored_have_the_reason(models: tuple[Path, Path], tmp_path: Path) -> None:
    short = save_tiny_model(tmp_path / "short", seed=2)
    settings = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 40}))
    model = open_implicit(EngineOptions(model=str(models[0])), ImplicitOptions(str(short)))
    long, longer = "a " * 40, "a " * 1500
    rewards = model.rewards([PROMPT] * 4, [" ", long, longer, "a word"])
    assert [reward.value is None for reward in rewards] == [True, True, True, False]
    assert rewards[0].error == "the response is empty"
    assert rewards[1].error is not None and rewards[1].error.endswith("tokens, which the reference model cannot read")
    assert rewards[2].error is not None and rewards[2].error.endswith("tokens, which the policy cannot read")


def test_models_with_other_tokens_are_refused(models: tuple[Path, Path], tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other")
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["unheard"])
    tokenizer.save_pretrained(other)
    model = open_implicit(EngineOptions(model=str(models[0])), ImplicitOptions(str(other)))
    with pytest.raises(InputError, match="have different tokens"):
        model.rewards([PROMPT], ANSWERS[:1])


@pytest.fixture
def measure(models: tuple[Path, Path], tmp_path: Path) -> Callable[..., Path]:
    """Run the command on three prompts whose answers are ranked as the policy's implicit reward does."""
    policy, reference = models
    model, rows = open_implicit(EngineOptions(model=str(policy)), ImplicitOptions(str(reference))), []
    for n in range(3):
        prompt, texts = f"Question {n}", [f"{answer} {n}" for answer in ANSWERS]
        rewards = [reward.value or 0.0 for reward in model.rewards([prompt] * 3, texts)]
        ranks = [sorted(rewards, reverse=True).index(one) for one in rewards]
        rows.append({"prompt": prompt, "responses": texts, "ranks": ranks})
    path = tmp_path / "ranked.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def run(*argv: str) -> Path:
        main(parse(Config, [str(path), "--out", str(tmp_path / "out"), *argv], "reward_model"))
        return tmp_path / "out"

    return run


def test_the_command_measures_a_policy_and_resumes(
    measure: Callable[..., Path], models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, words = f"dpo:{models[0]} against {models[1]}", ("--judge", f"dpo:{models[0]}", "--reference", str(models[1]))
    result = report(measure(*words))
    assert value(result, name, TIE_WRONG) == 1.0
    assert result["judges"][0]["rubric"] == result["judges"][0]["read"] == "reward"

    def fails(*_: Any) -> Any:
        raise AssertionError("all rewards are stored, so no model is needed")

    monkeypatch.setattr("engines.local.transformers_engine.TransformersEngine.load", fails)
    again = report(measure(*words))
    assert again["measures"] == result["measures"]


def test_other_settings_are_another_judge(measure: Callable[..., Path], models: tuple[Path, Path]) -> None:
    for words in (["--reference", str(models[1])], ["--reference", "none"], ["--reference", "none", "--per-token"]):
        folder = measure("--judge", f"dpo:{models[0]}", *words)
    stored = [list(read_rows(path, Judgment)) for path in folder.glob("*.jsonl")]
    assert len(stored) == 3 and all(len(rows) == 9 for rows in stored)


def test_a_dry_run_loads_nothing_and_says_what_it_is(
    measure: Callable[..., Path], models: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not measure("--judge", f"dpo:{models[0]}", "--reference", str(models[1]), "--dry-run").exists()
    assert f"a policy's implicit reward, reference {models[1]}, no calls" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--judge", "dpo:POLICY"], "name the model that DPO started from with --reference"),
        (["--judge", "dpo: ", "--reference", "none"], "--judge dpo: needs a model, as in dpo:iter2"),
        (["--judge", "dpo:", "--reference", "none"], "dpo: needs a model"),
        (["--judge", "dpo:POLICY", "--reference", "POLICY"], "the same model, so that each reward would be 0"),
        (["--judge", "dpo:POLICY", "--reference", "POLICY/../policy"], "the same model"),
        (["--judge", "dpo:POLICY", "--reference", "nowhere"], "no model 'nowhere'"),
        (["--judge", "dpo:nowhere", "--reference", "none"], "no model 'nowhere'"),
        (["--judge", "dpo:a@http://x/v1", "--reference", "none"], "implicit rewards go with --engine transformers"),
        (["--judge", "smollm2", "--reference", "none"], "give --judge dpo:MODEL"),
        (["--judge", "dpo:POLICY", "--judge", "smollm2", "--reference", "none", "--panel"], "a reward has no scale"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    measure: Callable[..., Path], models: tuple[Path, Path], words: list[str], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        measure(*(word.replace("POLICY", str(models[0])) for word in words))
