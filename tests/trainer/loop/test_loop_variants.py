"""Other ways through the loop: what a round learns from, where its prompts come from, what stops it."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError, TrainingError
from tests.trainer.loop.test_loop import SHORT
from trainer.loop.__main__ import main
from trainer.loop.recipe import Config

RECIPE = """
name = "tiny"
iterations = 2
[engine]
model = "{model}"
batch_size = 8
[seeds]
ift = "{ift}"
judging = false
[candidates]
prompts = 3
n = 3
max_new_tokens = 6
temperature = 1.0
[sft]
learning_rate = 1e-3
warmup_share = 0.0
batch_size = 2
[dpo]
learning_rate = 1e-3
warmup_share = 0.0
batch_size = 1
micro_batch_size = 1
[judge]
rubric = "{short}/short.toml"
[eval]
prompts = 2
rubric = "{short}/short_pair.toml"
[monitors]
kl = false
"""


def recipe_of(model: Path, ift: Path) -> str:
    return RECIPE.format(model=model, ift=ift, short=SHORT)


def write_recipe(folder: Path, model: Path) -> Path:
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(2)))
    path = folder / "tiny.toml"
    path.write_text(recipe_of(model, folder / "ift.jsonl"))
    return path


@pytest.fixture
def recipe(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_recipe(tmp_path, tiny_model)


def loop(recipe: Path, *flags: str) -> Path:
    main(parse(Config, ["--config", str(recipe), *flags], "loop"))
    return Path("runs/tiny")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ledger(run: Path) -> dict[str, Any]:
    return {line["id"]: line for line in rows(run / "ledger.jsonl")}


def test_a_round_can_learn_from_perfect_answers_alone(recipe: Path) -> None:
    run = loop(recipe, "--round.learn", "perfect", "--round.perfect-score", "0.1")
    line, chats = ledger(run)["iter2"], rows(run / "iter2" / "chats.jsonl")
    assert line["reference_model"] is None and line["counts"]["perfect"] == len(chats) > 0
    assert not (run / "iter2" / "pairs.jsonl").exists()
    answers = {row["response"] for row in rows(run / "iter2" / "judgments.jsonl") if row["score"] >= 0.1}
    assert {chat["messages"][-1]["content"] for chat in chats} == answers


def test_no_perfect_answer_stops_the_round_with_what_to_try(recipe: Path) -> None:
    with pytest.raises(TrainingError, match=r"no answer has a perfect score.*--round\.perfect-score"):
        loop(recipe, "--round.learn", "perfect")


def test_rejected_answers_can_be_those_of_the_first_model(recipe: Path) -> None:
    run = loop(recipe, "--round.rejected", "iter0", "--round.reference", "iter0")
    first = {row["response"] for row in rows(run / "iter2" / "initial_responses.jsonl")}
    own = {row["response"] for row in rows(run / "iter2" / "responses.jsonl")}
    pairs = rows(run / "iter2" / "pairs.jsonl")
    assert pairs and {pair["rejected"][0]["content"] for pair in pairs} <= first
    assert {pair["chosen"][0]["content"] for pair in pairs} <= own
    assert ledger(run)["iter2"]["reference_model"] == "iter0"


def test_pairs_can_carry_the_consistency_of_two_models(recipe: Path) -> None:
    run = loop(recipe, "--round.consistency", "set")
    [confidence] = {pair["confidence"] for pair in rows(run / "iter2" / "pairs.jsonl")}
    assert 0 <= confidence <= 1


def test_the_checkpoint_that_won_becomes_the_model(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "[early_stop]\nevery_n_steps = 1\npatience = 9\n")
    run = loop(recipe)
    steps = sorted(path.name for path in (run / "iter2" / "checkpoints").iterdir())
    assert steps[:2] == ["step-000001", "step-000002"]
    compared = {row["prompt_id"] for row in rows(run / "iter2" / "early_stop" / "comparisons.jsonl")}
    reported = {row["id"] for row in rows(run / "eval" / "prompts.jsonl")}
    learnt = {row["id"] for row in rows(run / "iter2" / "prompts.jsonl")}
    assert compared == {row["id"] for row in rows(run / "iter2" / "early_stop" / "prompts.jsonl")} != set()
    assert not compared & (reported | learnt)
    weights = (run / "iter2" / "model" / "model.safetensors").read_bytes()
    assert weights in [(run / "iter2" / "checkpoints" / step / "model.safetensors").read_bytes() for step in steps]
    assert not (run / "iter2" / "last_model").exists()
    assert ledger(run)["iter2"]["training"]["steps"] == len(rows(run / "iter2" / "pairs.jsonl"))


def test_a_gate_stops_the_run_and_may_be_moved(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "[gates]\nmean_tokens = {max = 2.0}\n")
    with pytest.raises(TrainingError, match=r"iter1 is stopped by a gate: mean_tokens is .* at most 2"):
        loop(recipe)
    assert list(ledger(Path("runs/tiny"))) == ["iter1"]
    recipe.write_text(recipe.read_text().replace("max = 2.0", "max = 20.0"))
    assert list(ledger(loop(recipe))) == ["iter1", "iter2"]


def test_files_edited_by_hand_are_named_on_going_on(recipe: Path, finished: Path) -> None:
    pairs = finished / "iter2" / "pairs.jsonl"
    pairs.write_text(pairs.read_text().replace("chosen_score", "chosen_score ", 1))
    with pytest.raises(InputError, match=r"iter2/pairs\.jsonl was changed after iter2 was done: its hash was"):
        loop(recipe)


def test_what_a_run_was_measured_on_is_named_where_it_was_edited(recipe: Path, finished: Path) -> None:
    comparisons = finished / "eval" / "comparisons.jsonl"
    comparisons.write_text(comparisons.read_text().replace('"flipped":', '"flipped": ', 1))
    with pytest.raises(InputError, match=r"eval/comparisons\.jsonl was changed after it was measured with"):
        loop(recipe)
    (finished / "run.toml").write_text("[settings]\nname = \n")
    with pytest.raises(InputError, match=r"runs/tiny/run\.toml: .*line 2"):
        loop(recipe)


def test_a_finished_run_can_be_made_longer_and_not_shorter(
    recipe: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished
    before = {path: path.read_bytes() for path in [*run.glob("iter[12]/*.json*"), *run.glob("eval/*.jsonl")]}
    versions = tomllib.loads((run / "run.toml").read_text())["versions"]
    capsys.readouterr()
    loop(recipe, "--iterations", "3")
    found = capsys.readouterr()
    assert "runs/tiny: continues with iterations 3, before 2" in found.err and "resuming" not in found.err
    assert "iter3" in found.out
    assert list(ledger(run)) == ["iter1", "iter2", "iter3"] and ledger(run)["iter3"]["parent"] == "iter2"
    assert all(path.read_bytes().startswith(text) for path, text in before.items())
    table = tomllib.loads((run / "run.toml").read_text())
    assert table["settings"]["iterations"] == 3 and table["versions"] == versions
    assert table["changed"][0]["now"] == {"iterations": 3} and table["changed"][0]["before"] == {"iterations": 2}
    with pytest.raises(InputError, match=r"has 3 iterations already, and --iterations 2 is fewer"):
        loop(recipe, "--iterations", "2")
    with pytest.raises(InputError, match=r"made with other settings: candidates\.prompts was 3, now 2"):
        loop(recipe, "--iterations", "4", "--candidates.prompts", "2")
    assert tomllib.loads((run / "run.toml").read_text()) == table


@pytest.mark.parametrize("name", ["../../escape", "", ".", "a/b", "x\0y"])
@pytest.mark.parametrize("flags", [[], ["--fresh"], ["--dry-run"]])
def test_a_name_that_leads_elsewhere_touches_nothing(recipe: Path, name: str, flags: list[str]) -> None:
    Path("runs/other").mkdir(parents=True)
    Path("runs/other/kept").touch()
    with pytest.raises(InputError, match="plain folder name|character that is not text"):
        loop(recipe, "--name", name, *flags)
    assert sorted(str(path) for path in Path().rglob("*")) == [
        "ift.jsonl",
        "runs",
        "runs/other",
        "runs/other/kept",
        "tiny.toml",
    ]


def test_a_folder_that_is_no_run_is_not_set_aside(recipe: Path) -> None:
    Path("runs/other").mkdir(parents=True)
    Path("runs/other/kept").touch()
    with pytest.raises(InputError, match="runs/other exists and is no run"):
        loop(recipe, "--name", "other", "--fresh")
    assert Path("runs/other/kept").exists() and not Path("runs/other.1").exists()


def test_a_parent_that_was_deleted_is_named(recipe: Path) -> None:
    import shutil

    with pytest.raises(TrainingError):
        loop(recipe, "--pairs.min-margin", "99")
    shutil.rmtree("runs/tiny/iter1/model")
    with pytest.raises(InputError, match="iter1/model.*gone"):
        loop(recipe, "--pairs.min-margin", "99")


def test_a_judge_that_gives_one_score_to_everything_stops_the_run(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.local.transformers_engine import TransformersEngine

    real = TransformersEngine.choose

    def always_five(self: Any, requests: Any, choices: Any, done: Any = ()) -> Iterator[Any]:
        for choice in real(self, requests, choices, done):
            yield replace(choice, logprobs=(*[-50.0] * (len(choices) - 1), -0.01))

    monkeypatch.setattr(TransformersEngine, "choose", always_five)
    with pytest.raises(JudgeError, match="tells no two answers apart: all 3 prompts"):
        loop(recipe)
    assert not Path("runs/tiny/iter2/model").exists()


def test_meta_rewarding_needs_judgments_with_words(recipe: Path) -> None:
    with pytest.raises(InputError, match=r"--round\.meta compares written judgments"):
        loop(recipe, "--round.meta")
