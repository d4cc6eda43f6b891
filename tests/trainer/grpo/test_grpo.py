"""GRPO and RLOO on a model of nine tokens, rewarded by programs and by judges with scripted replies."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from console.command import parse
from console.errors import InputError, JudgeError, TrainingError
from engines.scripted import ScriptedEngine
from judges.tools.options import EvidenceOptions
from records import Comparison, Judgment, Prompt, read_rows
from records.rows import Constraint
from tests.trainer.ppo.test_ppo import save_nine, save_reward_model
from trainer.grpo import rewards as rewards_module
from trainer.grpo.__main__ import Config, main
from trainer.grpo.options import GRPOOptions
from trainer.grpo.reward_options import JudgingOptions, RewardOptions, RewardWeights
from trainer.grpo.rewards import GroupReward, Weighted, open_rewards
from trainer.grpo.train import train_grpo, train_rewarded
from trainer.ppo.rewards import RewardSource
from trainer.training.outcome import report_of

ASKS = Constraint(kind="judgeloop:contains", kwargs={"text": "a"})
PROMPTS = [Prompt(id=str(n), prompt=f"ask {word}", constraints=[ASKS]) for n, word in enumerate("abcd")]
SMALL = GRPOOptions(
    learning_rate=2e-2, epochs=8, batch_size=16, micro_batch_size=8, group_size=4, response_length=3, max_length=16,
    beta=0.0, warmup_share=0.0,
)  # fmt: skip
CHECKS = RewardOptions(evidence=EvidenceOptions(tool="constraints", verify="share"))
FUNCTION = RewardOptions(reward="rewarding:words")
MODULE = """
def words(prompts, texts):
    return [float(text.count("a")) for text in texts]

def nothing(prompts, texts):
    return [None for _ in texts]

def equal(prompts, texts):
    return [1.0 for _ in texts]

def some(prompts, texts):
    return [float(text.count("a")) if "b" not in text else None for text in texts]
"""


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_nine(tmp_path_factory.mktemp("nine") / "model")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rewarding.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def same(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(bool((a[name] == b[name]).all()) for name in a)


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_a_reward_that_a_program_knows_goes_up(method: Any, nine: Path, folder: Path) -> None:
    trained = train_grpo(nine, folder / "out", PROMPTS, CHECKS, replace(SMALL, method=method), seed=0)
    figures = trained.metrics
    assert trained.n_steps == 8 and figures["null_share"] == 0
    assert figures["reward_last"] > figures["reward_first"] + 1.5
    judged = list(read_rows(folder / "out.checks-0.jsonl", Judgment))
    assert judged and {row.score for row in judged} == {0.0, 5.0}, "on the rubric's scale"


def test_the_divergence_from_the_first_model_is_known_with_a_beta(nine: Path, folder: Path) -> None:
    loose = train_grpo(nine, folder / "loose", PROMPTS, FUNCTION, replace(SMALL, beta=0.001), seed=0)
    tight = train_grpo(nine, folder / "tight", PROMPTS, FUNCTION, replace(SMALL, beta=2.0), seed=0)
    assert 0 < tight.metrics["kl"] < loose.metrics["kl"]


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_answers_without_a_verdict_teach_nothing_and_do_not_count(
    method: Any, nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.grpo.train.MOST_UNREWARDED", 99)
    steps: list[Path] = []
    from trainer.grpo import train

    fit = train.fit

    def kept(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        trainer.model.save_pretrained(folder / "before")
        try:
            return fit(trainer, *args, **kwargs)
        finally:
            trainer.model.save_pretrained(folder / "after")
            steps.append(folder / "after")

    monkeypatch.setattr(train, "fit", kept)
    options = replace(SMALL, method=method, beta=0.5)
    with pytest.raises(TrainingError, match="no answer of any step got a reward"):
        train_grpo(nine, folder / "out", PROMPTS, RewardOptions(reward="rewarding:nothing"), options, seed=0)
    assert steps and same(folder / "before", folder / "after") and not (folder / "out").exists()


def test_a_training_whose_answers_get_no_reward_stops(nine: Path, folder: Path) -> None:
    with pytest.raises(TrainingError, match="no answer got a reward in 5 steps in a row, up to step 5"):
        train_grpo(nine, folder / "out", PROMPTS, RewardOptions(reward="rewarding:nothing"), SMALL, seed=0)


def test_a_training_whose_rewards_are_all_equal_saves_nothing(nine: Path, folder: Path) -> None:
    rewards = RewardOptions(reward="rewarding:equal")
    with pytest.raises(TrainingError, match="the answers to each prompt got equal rewards in all steps"):
        train_grpo(nine, folder / "out", PROMPTS, rewards, replace(SMALL, epochs=1), seed=0)
    assert not (folder / "out").exists()


def test_too_few_verdicts_in_a_training_of_one_step_save_nothing(nine: Path, folder: Path) -> None:
    opened = partial(open_rewards, RewardOptions(reward="rewarding:some"), folder / "out", PROMPTS, 4, 0)
    with pytest.raises(JudgeError, match="got a verdict up to step 1, less than 100%"):
        train_rewarded(nine, folder / "out", PROMPTS, opened, 1.0, replace(SMALL, epochs=1), 0, "GRPO")
    assert not (folder / "out").exists()


def test_some_nulls_are_counted_and_the_others_learned_from(nine: Path, folder: Path) -> None:
    trained = train_grpo(nine, folder / "out", PROMPTS, RewardOptions(reward="rewarding:some"), SMALL, seed=0)
    assert 0 < trained.metrics["null_share"] < 1
    assert trained.metrics["reward_last"] > trained.metrics["reward_first"]


def test_a_null_has_no_part_in_the_loss_of_grpo(nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.grpo import train

    seen: list[dict[str, Any]] = []
    scored = train.NullMaskingGRPOTrainer._generate_and_score_completions

    def kept(self: Any, inputs: Any) -> Any:
        batch = scored(self, inputs)
        seen.append({**batch, "is_null": torch.tensor(self.reward_funcs[0].is_null)})
        return batch

    monkeypatch.setattr(train.NullMaskingGRPOTrainer, "_generate_and_score_completions", kept)
    train_grpo(nine, folder / "out", PROMPTS, RewardOptions(reward="rewarding:some"), SMALL, seed=0)
    assert any(bool(batch["is_null"].any()) for batch in seen)
    for batch in seen:
        nulls = batch["is_null"]
        assert not batch["completion_mask"][nulls].any() and not batch["advantages"][nulls].any()
        assert batch["completion_mask"][~nulls].any(1).all()
        assert batch["num_items_in_batch"] == batch["completion_mask"].sum()


def test_an_answer_that_lacks_one_of_its_rewards_has_none() -> None:
    def source(scores: Sequence[float | None]) -> RewardSource:
        return RewardSource("test", lambda prompts, texts: scores)

    two = [Weighted("one", 2.0, source([1.0, None, 3.0])), Weighted("other", 0.5, source([4.0, 4.0, None]))]
    reward = GroupReward(two, PROMPTS)
    logged: dict[str, float] = {}
    chats = [[{"role": "assistant", "content": word}] for word in "abc"]
    assert reward(completions=chats, place=[0, 1, 2], log_metric=logged.__setitem__) == [4.0, None, None]
    assert reward.is_null == [False, True, True]
    assert logged == {"null_share": pytest.approx(2 / 3), "rewards/one": 1.0, "rewards/other": 4.0}


class Killed(BaseException):
    """What no except clause of a library catches."""


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_a_killed_training_ends_with_the_model_of_an_uninterrupted_one(
    method: Any, nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainerCallback

    from trainer.training import fit as fitting

    six = [Prompt(id=str(n), prompt=f"ask {word}") for n, word in enumerate("abcdea")]
    options = replace(SMALL, method=method, epochs=3, batch_size=8, micro_batch_size=4, save_minutes=1e-9, beta=0.1)
    whole = train_grpo(nine, folder / "whole", six, FUNCTION, options, seed=1)
    watch = fitting.Watch

    class Killer(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 5:  # in the second epoch
                raise Killed

    def watched(made: Any, *rest: Any) -> Any:
        made.add_callback(Killer())
        return watch(made, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "Watch", watched)
        with pytest.raises(Killed):
            train_grpo(nine, folder / "cut", six, FUNCTION, options, seed=1)
    assert (folder / "cut.state").exists() and not (folder / "cut").exists()
    resumed = train_grpo(nine, folder / "cut", six, FUNCTION, options, seed=1)
    assert whole.n_steps == resumed.n_steps == 9 and resumed.metrics == whole.metrics
    assert same(folder / "whole", folder / "cut") and report_of(folder / "cut") == report_of(folder / "whole")


def test_another_reward_does_not_go_on_from_the_state_of_the_first(
    nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.training import fit as fitting

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    options = replace(SMALL, save_minutes=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "write_weights", killed)
        with pytest.raises(Killed):
            train_grpo(nine, folder / "out", PROMPTS, FUNCTION, options, seed=1)
    train_grpo(nine, folder / "out", PROMPTS, RewardOptions(reward="rewarding:some"), options, seed=1)
    assert "out.state: set aside, it is the state of another training" in capsys.readouterr().err


def scripted(monkeypatch: pytest.MonkeyPatch, reply: Any) -> ScriptedEngine:
    engine = ScriptedEngine(reply)
    monkeypatch.setattr(rewards_module, "open_engine", lambda given: engine)
    return engine


TEXT = JudgingOptions(read="text", samples=1)


def test_a_judge_scores_and_its_verdicts_are_kept(nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda request: f"Score: {request.messages[-1]['content'].count(' a') % 6}")
    chosen = RewardOptions(judge="smollm2", judging=TEXT)
    train_grpo(nine, folder / "out", PROMPTS, chosen, replace(SMALL, epochs=2), seed=0)
    judged = list(read_rows(folder / "out.judgments-0.jsonl", Judgment))
    assert len({row.id for row in judged}) == len(judged) > 0


def test_a_judge_with_too_few_verdicts_stops_the_training(
    nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, lambda request: "Score: 3" if "b" in request.messages[-1]["content"][-60:] else "Hm.")
    chosen = RewardOptions(judge="smollm2", judging=TEXT)
    with pytest.raises(JudgeError, match=r"only \d+% of the answers got a verdict up to step 5, less than 90%"):
        train_grpo(nine, folder / "out", PROMPTS, chosen, SMALL, seed=0)
    lower = replace(chosen, judging=replace(TEXT, min_coverage=0.0))
    trained = train_grpo(nine, folder / "out", PROMPTS, lower, SMALL, seed=0)
    assert 0.1 < trained.metrics["null_share"] < 1


def test_a_tournament_rewards_an_answer_by_its_wins_in_both_orders(
    nine: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def better(request: Any) -> str:
        answers = re.findall(r"<answer_[ab]\S*>\n(.*?)\n</answer", request.messages[-1]["content"], re.DOTALL)
        first, second = (answer.count("a") for answer in answers[-2:])
        return "Better: A" if first > second else "Better: B"

    scripted(monkeypatch, better)
    chosen = RewardOptions(judge="smollm2", tournament="pairwise", judging=TEXT)
    trained = train_grpo(nine, folder / "out", PROMPTS, chosen, replace(SMALL, epochs=2), seed=0)
    compared = list(read_rows(folder / "out.comparisons-0.jsonl", Comparison))
    assert compared and all(row.first_order and row.second_order for row in compared)
    assert trained.metrics["reward_last"] == pytest.approx(0, abs=1e-6), "what one answer wins another loses"


def test_several_rewards_are_summed_with_their_weights(nine: Path, folder: Path) -> None:
    chosen = RewardOptions(
        evidence=CHECKS.evidence, reward="rewarding:words",
        reward_model=save_reward_model(nine, folder / "rm"), weights=RewardWeights(function=0.5, reward_model=0.1),
    )  # fmt: skip
    trained = train_grpo(nine, folder / "out", PROMPTS, chosen, replace(SMALL, epochs=1), seed=0)
    parts = trained.metrics
    whole = parts["rewards/constraints"] + 0.5 * parts["rewards/function"] + 0.1 * parts["rewards/reward_model"]
    assert parts["reward_last"] == pytest.approx(whole, abs=1e-4)


def save_prompts(nine: Path) -> None:
    rows = [{"prompt": f"ask {word}", "constraints": [{"kind": ASKS.kind, "kwargs": ASKS.kwargs}]} for word in "abcd"]
    Path("prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("nine").symlink_to(nine)
    lines = [f"{name} = {json.dumps(value)}" for name, value in vars(SMALL).items() if isinstance(value, int | float)]
    Path("grpo.toml").write_text("[training]\n" + "\n".join(lines) + "\n")


def grpo(*flags: str) -> None:
    shared = ["prompts.jsonl", "--config", "grpo.toml", "--model", "nine", "--out", "out/model"]
    main(parse(Config, [*shared, *flags], "trainer.grpo"))


def test_the_command_prints_one_row_and_saves_the_model_whole(nine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_prompts(nine)
    grpo("--tool", "constraints", "--verify", "share", "--beta", "0.01", "--json")
    [row] = json.loads(capsys.readouterr().out)
    assert row["steps"] == 8 and row["no verdict, share"] == 0 and row["reward, last"] > row["reward, first"]
    assert row["kl"] is not None and 1 <= row["length"] <= 3
    with pytest.raises(InputError, match="give another --out, or --fresh"):
        grpo("--reward", "rewarding:words")
    assert not Path("out/model.state").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "name a reward: --judge MODEL, --reward-model FOLDER"),
        (("--tool", "constraints"), "--verify cap changes a judge's score: give --judge MODEL"),
        (("--tournament", "pairwise"), "--tournament needs --judge MODEL"),
        (("--judge", "nine", "--rubric", "pairwise"), "--rubric pairwise: use one that scores one answer"),
        (("--judge", "nine", "--tournament", "additive"), "--tournament additive: use one that compares two"),
        (("--judge", "nowhere"), "no model 'nowhere'"),
        (("--reward-model", "nowhere"), "nowhere: no such folder"),
        (("--reward-model", "nine"), "not a reward model"),
        (("--reward", "rewarding:no"), "has no function 'no'"),
        (("--reward", "rewarding:words", "--group-size", "3"), r"multiple of --group-size \(3\), because a step"),
        (("--reward", "rewarding:words", "--batch-size", "32"), "a step needs 8 prompts .* and there are 4"),
        (("--reward", "rewarding:words", "--micro-batch-size", "3"), "multiple of --micro-batch-size"),
        (("--reward", "rewarding:words", "--response-length", "16"), "must be below --max-length"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_before_anything_is_loaded(
    flags: tuple[str, ...], named: str, nine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_prompts(nine)
    monkeypatch.setattr("trainer.grpo.command.importlib", None)
    with pytest.raises(InputError, match=named) as caught:
        grpo(*flags)
    assert "\n" not in str(caught.value) and not Path("out").exists()


def test_a_group_is_never_split_between_processes(nine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_prompts(nine)
    for module in ("trainer.grpo.options", "trainer.training.options"):
        monkeypatch.setattr(f"{module}.n_processes", lambda: 2)
    with pytest.raises(InputError, match=r"--batch-size \(4\) must be a multiple of --group-size \(4\) times 2 .* 8$"):
        grpo("--reward", "rewarding:words", "--batch-size", "4", "--micro-batch-size", "2")


def test_a_plan_counts_steps_answers_and_calls(nine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_prompts(nine)
    grpo("--judge", "nine", "--rubric", "additive", "--tournament", "pairwise", "--dry-run", "--json")
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] == 8 and plan["answers"] == plan["judgments"] == 128 and plan["comparisons"] == 192
    assert plan["rewards"] == ["judge", "tournament"]
    grpo("--tool", "constraints", "--verify", "strict", "--method", "rloo", "--dry-run")
    assert "by RLOO on 4 prompts of prompts.jsonl: 8 steps of 16 answers" in capsys.readouterr().out
    assert not Path("out").exists()


def test_prompts_that_leave_no_room_for_an_answer_are_left_out(
    nine: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = Prompt(id="long", prompt=" ".join("ask" for _ in range(40)))
    trained = train_grpo(nine, folder / "out", [*PROMPTS, long], FUNCTION, replace(SMALL, epochs=1), seed=0)
    assert trained.n_left_out == 1 and "1 of 5 prompts left out" in capsys.readouterr().err


def test_prompts_without_constraints_are_refused_or_counted_before_a_model_is_loaded(
    nine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_prompts(nine)
    with_some = Path("prompts.jsonl").read_text().splitlines()
    words = ("--tool", "constraints", "--verify", "share", "--epochs", "1", "--dry-run")
    bare = json.dumps({"prompt": "ask b"})
    Path("prompts.jsonl").write_text(f"{with_some[0]}\n{bare}\n" + "\n".join(with_some[2:]))
    grpo(*words)
    told = capsys.readouterr()
    assert "1 of 4 prompts have no constraints" in told.err and ": 1 step of 16 answers" in told.out
    Path("prompts.jsonl").write_text(f"{bare}\n" * 4)
    with pytest.raises(InputError, match="none of the prompts has constraints.*--constraints ask"):
        grpo(*words)
