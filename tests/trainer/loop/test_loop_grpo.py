"""Loops whose rounds learn by GRPO: the parent judges, a kill changes nothing, and what does not fit is refused."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, JudgeError, TrainingError
from engines.adapters import is_adapter, weights_folder
from engines.models import model_digest
from judges.options import PanelOptions
from records import Judgment, read_rows
from tests.trainer.loop.checked import checked_recipe
from tests.trainer.loop.test_loop import SECONDS, loops, recipe, run_loops  # noqa: F401  a fixture
from tests.trainer.loop.test_loop_variants import ledger
from trainer.early_stop.options import EarlyStopOptions
from trainer.loop.grpo_round import rewarded_work
from trainer.loop.plan.course import steps_of
from trainer.loop.plan.work import Lengths
from trainer.loop.recipe import CandidateOptions, Config, RoundGRPOOptions, RoundOptions, as_grpo, check
from trainer.monitors.gates import Gate
from trainer.pairs.options import PairOptions
from trainer.sft.options import SFTOptions
from trainer.training.launch import LaunchOptions

ROUNDS = """
[round]
learn = "grpo"
[grpo]
learning_rate = 1e-3
batch_size = 6
micro_batch_size = 3
epochs = 2
save_minutes = 1e-9
"""
KILLS = [("append", 45)]
"""Among the judgments of iter2, after three saved states."""
LEARNS = Config(
    round=RoundOptions(learn="grpo"),
    grpo=RoundGRPOOptions(batch_size=8),
    candidates=CandidateOptions(prompts=6, n=4, max_new_tokens=50),
)


@pytest.fixture(scope="module")
def runs(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:  # noqa: F811
    folder = tmp_path_factory.mktemp("recipes")
    rounds, checked = folder / "rounds.toml", checked_recipe(folder, recipe.parent / "base")
    rounds.write_text(recipe.read_text().replace("iterations = 3", "iterations = 2") + ROUNDS)
    checked.write_text(f"{checked.read_text()}{ROUNDS}method = 'rloo'\n[lora]\nr = 4\n")
    plan = loops(rounds, ["one"], KILLS) | loops(checked, ["checked"], [])
    return run_loops(tmp_path_factory.mktemp("runs"), plan)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_round_learns_by_grpo_from_the_parents_own_verdicts(runs: dict[str, Path]) -> None:
    run = runs["one"]
    line, judgments = ledger(run)["iter2"], list(read_rows(run / "iter2" / "judgments.jsonl", Judgment))
    # 4 prompts in groups of 3 answers, two groups a step, two epochs
    assert line["training"]["steps"] == 4 and line["counts"]["responses"] == 24 and line["counts"]["prompts"] == 4
    assert line["counts"]["judged"] == len({(row.prompt_id, row.response) for row in judgments}) <= 24
    assert line["parent"] == line["reference_model"] == "iter1" and line["judge"] == judgments[0].judge
    assert line["n_tokens"] <= 24 * 8 and line["training"]["kl"] >= 0
    assert line["mean_score"] == pytest.approx(sum(row.score or 0 for row in judgments) / len(judgments))
    assert model_digest(run / "iter1" / "model") != model_digest(run / "iter2" / "model")
    hashed = json.loads((run / "iter2" / "hashes.json").read_text())["files"]
    assert {"prompts.jsonl", "judgments.jsonl"} <= hashed.keys()
    assert not (run / "iter2" / "pairs.jsonl").exists() and (run / "iter2" / "metrics.json").exists()
    assert tomllib.loads((run / "run.toml").read_text())["settings"]["round"]["learn"] == "grpo"


@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in KILLS])
def test_a_killed_round_ends_with_the_same_rows_and_the_same_model(runs: dict[str, Path], kill: str) -> None:
    one, other = runs["one"], runs[kill]
    for name in ("iter2/judgments.jsonl", "iter2/prompts.jsonl", "eval/iter2.jsonl", "iter2/model/model.safetensors"):
        assert SECONDS.sub(b"", (one / name).read_bytes()) == SECONDS.sub(b"", (other / name).read_bytes()), name
    assert ledger(one)["iter2"] | {"seconds": 0} == ledger(other)["iter2"] | {"seconds": 0}


def test_a_round_by_rloo_trains_an_adapter_on_the_base(runs: dict[str, Path]) -> None:
    run = runs["checked"]
    assert is_adapter(run / "iter2" / "model")
    assert weights_folder(run / "iter2" / "model") == (run / "iter0" / "model").resolve()
    assert ledger(run)["iter2"]["adapter"]["r"] == 4


def test_constraints_alone_reward_a_round(runs: dict[str, Path]) -> None:
    judgments = list(read_rows(runs["checked"] / "iter2" / "judgments.jsonl", Judgment))
    assert judgments and {row.usage.n_calls for row in judgments} == {0}
    assert {row.score for row in judgments} <= {0.0, 5 / 3, 10 / 3, 5.0}


def test_the_answers_of_a_round_are_those_of_the_candidates() -> None:
    options = as_grpo(LEARNS)
    assert (options.group_size, options.response_length, options.temperature, options.top_p) == (4, 50, 0.7, 0.9)
    with pytest.raises(InputError, match=r"\[grpo\] group_size: the answers of a round are set in \[candidates\]"):
        check(replace(LEARNS, grpo=RoundGRPOOptions(batch_size=8, group_size=4)))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"round": RoundOptions(learn="grpo", rejected="iter0")}, "--round.rejected iter0"),
        ({"round": RoundOptions(learn="grpo", reference="iter0")}, "--round.reference iter0"),
        ({"round": RoundOptions(learn="grpo", consistency="set")}, "--round.consistency"),
        ({"round": RoundOptions(learn="grpo", perfect_score=4.0)}, "--round.perfect-score"),
        ({"pairs": PairOptions(votes=Path(__file__))}, "--pairs.votes"),
        ({"early_stop": EarlyStopOptions()}, r"\[early_stop\]"),
        ({"gates": {"pairs_right": Gate(min=0.5)}}, "the gate pairs_right"),
        ({"launch": LaunchOptions()}, r"leave out \[launch\]"),
        ({"panel": PanelOptions(judge=("parent", "iter1"))}, "asks one judge"),
        ({"candidates": replace(LEARNS.candidates, temperature=0.0)}, "the answers of a group would be equal"),
        (
            {"grpo": RoundGRPOOptions(batch_size=10, micro_batch_size=2)},
            r"^--grpo.batch-size \(10\) must be a multiple of --candidates.n \(4\), .*; try --grpo.batch-size 8$",
        ),
        # six prompts are no more than 24 answers
        ({"grpo": RoundGRPOOptions(batch_size=66, micro_batch_size=2)}, "; try --grpo.batch-size 24$"),
        ({"grpo": RoundGRPOOptions(batch_size=8, micro_batch_size=3)}, "multiple of --grpo.micro-batch-size"),
        ({"sft": SFTOptions(optim="nope")}, "^--sft.optim nope: no such optimizer"),
        (
            {"candidates": replace(LEARNS.candidates, prompts=1)},
            "a step needs 2 prompts .*: lower --grpo.batch-size, or raise --candidates.prompts",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(changed: dict[str, Any], named: str) -> None:
    check(LEARNS)
    with pytest.raises((InputError, JudgeError, TrainingError), match=named):
        check(replace(LEARNS, **changed))


def test_a_plan_counts_what_a_round_answers_judges_and_learns_and_shows_it_as_one_stage() -> None:
    works = {work.stage: work for work in rewarded_work(2, Lengths(prompt=20, answer=50, rows=8), LEARNS)}
    # 3 steps of 8 answers: 6 prompts of 4 answers
    assert works["iter2 answers"].n_written == 24 * 50 and works["iter2 answers"].n_read == 24 * 20
    assert works["iter2 judging"].n_calls == 24
    training = works["iter2 GRPO"]
    assert (training.n_steps, training.n_trained, training.n_reference) == (3, 24 * 70, 24 * 70)
    assert training.n_beside == 2, "the judge and the reference"
    [step] = steps_of(list(works.values()), [1.0, 2.0, 4.0])
    assert (step.title, step.kind, step.guess_s) == ("iter2 GRPO", "train", 7.0)
