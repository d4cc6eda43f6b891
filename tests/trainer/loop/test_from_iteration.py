"""A run that begins with the iterations of another one: nothing of that one changes, and no prompt is learnt twice."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from engines.models import model_digest
from tests.trainer.loop.test_loop_variants import ledger, loop, recipe, rows  # noqa: F401  a fixture
from tests.trainer.loop.test_recipes import PROMPTS, SMALL
from trainer.loop.plan.workload import stages
from trainer.loop.recipe import named_iteration
from trainer.loop.splits import split_prompts
from trainer.runs import taking

OTHER = ("--name", "other", "--from-iteration", "tiny/iter1", "--dpo.learning-rate", "3e-3")


def contents(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_run_goes_on_from_an_iteration_of_another_with_other_settings(
    recipe: Path,  # noqa: F811
    finished: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny, other = finished, Path("runs/other")
    before = contents(tiny)

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(taking, "relinked", stopped)
        with pytest.raises(KeyboardInterrupt):
            loop(recipe, *OTHER)
    loop(recipe, *OTHER)
    assert "runs/other: iter1 is that of runs/tiny" in capsys.readouterr().err
    lines = ledger(other)
    assert (
        lines["iter1"] == ledger(tiny)["iter1"] | {"taken_from": "runs/tiny"} and lines["iter2"]["taken_from"] is None
    )
    first, second = (run / "iter1" / "model" / "model.safetensors" for run in (tiny, other))
    assert first.samefile(second), "the weights take no more space"
    for name in ("eval/prompts.jsonl", "iter2/prompts.jsonl", "iter2/responses.jsonl"):
        assert rows(tiny / name) == rows(other / name), "the same but for the settings that differ"
    assert model_digest(tiny / "iter2" / "model") != model_digest(other / "iter2" / "model")
    assert (other / "iter1" / "metrics.json").exists() and contents(tiny) == before
    with pytest.raises(InputError, match="made with other settings: .*from_iteration was 'tiny/iter1', now None"):
        loop(recipe, *OTHER[:2], *OTHER[4:])
    shutil.rmtree(tiny)
    loop(recipe, *OTHER, "--iterations", "3")
    assert ledger(other)["iter3"]["parent"] == "iter2"


def test_an_iteration_that_cannot_be_taken_is_named(recipe: Path, finished: Path) -> None:  # noqa: F811
    for flags, wrong in {
        ("--name", "other", "--from-iteration", "iter1"): "name a run and an iteration after iter0, as in demo/iter1",
        ("--name", "other", "--from-iteration", "tiny/iter0"): "an iteration after iter0",
        ("--name", "other", "--from-iteration", "nowhere/iter1"): "no run 'nowhere'",
        ("--name", "other", "--from-iteration", "tiny/iter2"): "nothing is left to make up to --iterations 2: raise it",
        ("--name", "other", "--from-iteration", "tiny/iter7"): "iter7 is not in .*Finished: iter1, iter2$",
        ("--name", "other", "--from-iteration", "tiny/best"): "name the iteration, as in tiny/iter1",
        ("--name", "other", "--iterations", "5", "--from-iteration", "tiny/iter3"): "iter3 is not in .*iter1, iter2$",
        ("--name", "tiny", "--fresh", "--from-iteration", "tiny/iter1"): "that is this run",
        (*OTHER, "--model", "smollm2"): "began with .*, and --model is smollm2",
    }.items():
        with pytest.raises(InputError, match=wrong):
            loop(recipe, *flags)
    assert not Path("runs/other").exists()
    (Path("runs/tiny/iter1/model") / "config.json").write_text("{}")
    with pytest.raises(InputError, match="iter1/model is incomplete: config.json has 2 of"):
        loop(recipe, *OTHER)


def test_no_prompt_is_learnt_again_and_the_held_out_ones_stay() -> None:
    first = split_prompts(PROMPTS, SMALL)
    learnt = {str(prompt.prompt) for prompt in first.rounds[2]}
    after = split_prompts(PROMPTS, replace(SMALL, from_iteration="a/iter2"), learnt)
    assert after.held_out == first.held_out and after.rounds == {3: first.rounds[3]}
    fewer = replace(SMALL, from_iteration="a/iter2", seed=1)
    other = split_prompts(PROMPTS, fewer, learnt)
    kept = [str(prompt.prompt) for prompt in (*other.held_out, *other.rounds[3], *other.seeds)]
    assert not learnt & set(kept) and len(kept) == len(PROMPTS) - len(learnt)
    with pytest.raises(InputError, match="22 unseen prompts, but 1 rounds of 20"):
        split_prompts(PROMPTS, replace(fewer, candidates=replace(SMALL.candidates, prompts=20)), learnt)


def test_a_plan_leaves_out_what_is_taken() -> None:
    plan = [work.stage for work in stages(replace(SMALL, from_iteration="a/iter2"), PROMPTS, [])]
    assert not [stage for stage in plan if "candidates" in stage and not stage.startswith("iter3")]
    assert "iter1 SFT" not in plan and "iter0 held-out answers" in plan
    assert named_iteration("runs/a/iter12") == ("runs/a", 12)
