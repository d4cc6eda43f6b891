import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import judges.judging.reward_model
from console.command import parse
from engines.reward_model import RewardModel
from evals.reward_model.__main__ import main
from evals.reward_model.metrics import BEST, TIE_WRONG
from evals.reward_model.options import Config
from records import Judgment, read_rows
from tests.engines.test_reward_scoring import save_reward_model
from tests.evals.reward_model.test_reward_model import KilledError, report, scored, value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reward_model(tmp_path_factory.mktemp("reward") / "model")


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> Callable[..., Path]:
    """Run the command on four prompts whose answers are ranked as the reward model scores them."""
    model, rows = RewardModel.load(folder, "m"), []
    for n in range(4):
        texts = [f"{word} {n}" for word in ("good", "fair", "poor")]
        rewards = model.score([f"Question {n}"] * 3, texts)
        ranks = [sorted(rewards, reverse=True).index(one) for one in rewards]  # type: ignore[type-var]
        rows.append({"prompt": f"Question {n}", "responses": texts, "ranks": ranks})
    path = tmp_path / "ranked.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def run(*argv: str, out: str = "out") -> Path:
        engine = scored("m", good=5, fair=2, poor=1)
        monkeypatch.setattr("evals.reward_model.judging.open_engine", lambda options: engine)
        main(parse(Config, [str(path), "--out", str(tmp_path / out), *argv], "reward_model"))
        return tmp_path / out

    return run


def test_a_reward_model_is_a_judge_without_a_best_score(measure: Callable[..., Path], folder: Path) -> None:
    result = report(measure("--judge", str(folder)))
    name = str(folder)
    assert value(result, name, TIE_WRONG) == value(result, name, BEST) == 1.0
    assert "5-best" not in {row["name"] for row in result["measures"]["unscored wrong"][name]}
    [judge] = result["judges"]
    assert judge["rubric"] == judge["read"] == "reward" and judge["unscored"] == 0


@pytest.mark.parametrize("order", [0, 1])
def test_it_stands_beside_a_judge_that_is_asked(order: int, measure: Callable[..., Path], folder: Path) -> None:
    judges = [str(folder), "m"][:: 1 if order else -1]
    result = report(measure("--judge", judges[0], "--judge", judges[1], "--read", "text"))
    assert [judge["name"] for judge in result["judges"]] == judges
    assert value(result, str(folder), TIE_WRONG) == 1.0
    assert f"{judges[1]} less {judges[0]}" in result["differences"]


def test_stored_rewards_measure_as_the_model_did(measure: Callable[..., Path], folder: Path) -> None:
    first = measure("--judge", str(folder))
    [stored] = first.glob("*.jsonl")
    again = report(measure("--judgments", str(stored), out="again"))
    assert again["measures"]["unscored wrong"][stored.stem] == report(first)["measures"]["unscored wrong"][str(folder)]


def test_a_killed_run_scores_only_what_is_missing_and_ends_as_an_uninterrupted_one(
    measure: Callable[..., Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judges.judging.reward_model, "CHUNK", 5)
    whole = measure("--judge", str(folder), out="whole")
    rewards, n_scored = RewardModel.rewards, [0]

    def counted(self: RewardModel, prompts: Sequence[Any], responses: Sequence[str]) -> Any:
        if n_scored[0] >= 5:
            raise KilledError
        n_scored[0] += len(responses)
        return rewards(self, prompts, responses)

    monkeypatch.setattr(RewardModel, "rewards", counted)
    with pytest.raises(KilledError):
        measure("--judge", str(folder), out="resumed")
    n_scored[0] = -100
    resumed = measure("--judge", str(folder), out="resumed")
    assert n_scored[0] == -100 + 12 - 5
    one, other = (list(read_rows(next(path.glob("*.jsonl")), Judgment)) for path in (whole, resumed))
    assert one == other and len(one) == 12


def test_a_dry_run_says_that_it_asks_nobody(measure: Callable[..., Path], folder: Path, capsys: Any) -> None:
    assert not measure("--judge", str(folder), "--dry-run").exists()
    assert "a reward model, no calls" in capsys.readouterr().out


def test_a_finished_run_loads_no_reward_model(
    measure: Callable[..., Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = report(measure("--judge", str(folder)))

    def fails(*_: Any, **__: Any) -> Any:
        raise AssertionError("all rewards are stored")

    monkeypatch.setattr(RewardModel, "load", fails)
    assert report(measure("--judge", str(folder)))["measures"] == first["measures"]
