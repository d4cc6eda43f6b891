"""A dry run says what the command would: the same refusals, and only the work that is left."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, StoreError, TrainingError, UnreachableError
from engines import models
from records import Store
from records.runs import Run
from tests.trainer.loop.test_loop_variants import loop, recipe  # noqa: F401  a fixture
from trainer.loop import rounds
from trainer.runs.ledger import LedgerLine

DRY = ("--dry-run", "--estimate.no-measure")
MEASURING = {"held-out answers", "held-out scores", "held-out comparisons"}


def plan(recipe: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, dict[str, Any]]:  # noqa: F811
    capsys.readouterr()
    loop(recipe, *DRY, "--json", *flags)
    return {row["stage"]: row for row in json.loads(capsys.readouterr().out)}


def stopped(*_: Any) -> None:
    raise KeyboardInterrupt


def keep_lines(path: Path, n: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:n]) + lines[n][:9])  # and a torn one


def test_a_plan_is_of_the_work_that_is_left(
    recipe: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = plan(recipe, capsys)
    assert {"iter1 SFT", "iter2 candidates", "iter2 judging", "iter2 DPO, at most 3 pairs", *MEASURING} < set(whole)
    with monkeypatch.context() as stopping:
        stopping.setattr(rounds, "train_dpo", stopped)
        with pytest.raises(KeyboardInterrupt):
            loop(recipe)
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")}
    gathered = plan(recipe, capsys)
    assert set(gathered) == {"iter2 DPO, at most 3 pairs", *MEASURING, "all"}
    assert gathered["held-out answers"]["calls"] == whole["held-out answers"]["calls"] / 3, (
        "iter0 and iter1 have theirs"
    )
    assert before == {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")}, "nothing is written"
    assert plan(recipe, capsys, "--fresh") == whole
    round_2 = Path("runs/tiny/iter2")
    (round_2 / "pairs.jsonl").unlink()
    keep_lines(round_2 / "judgments.jsonl", 4)
    judging = plan(recipe, capsys)
    assert judging["iter2 judging"]["calls"] == pytest.approx(whole["iter2 judging"]["calls"] * 5 / 9)
    assert "iter2 candidates" not in judging
    keep_lines(round_2 / "responses.jsonl", 6)
    assert plan(recipe, capsys)["iter2 candidates"]["calls"] == 3
    loop(recipe)
    assert set(plan(recipe, capsys)) == {"all"}
    loop(recipe, *DRY)
    assert "nothing is left to do in runs/tiny: iter1 to iter2 of" in capsys.readouterr().out
    for unmeasured in (round_2 / "metrics.json", Path("runs/tiny/eval/hashes.json")):
        unmeasured.unlink()
    assert plan(recipe, capsys).keys() == {"held-out scores", "held-out comparisons", "all"}


def test_a_plan_of_a_longer_run_and_of_one_from_another_names_what_is_made(
    recipe: Path,  # noqa: F811
    finished: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loop(recipe, *DRY, "--iterations", "3")
    assert "would make iter3 of" in (out := " ".join(capsys.readouterr().out.split()))
    assert "after iter1 to iter2;" in out and "iter3 candidates" in out and "iter2" not in out.partition("|")[2]
    loop(recipe, *DRY, "--name", "other", "--from-iteration", "tiny/iter1")
    assert "after iter1 as in tiny/iter1;" in " ".join(capsys.readouterr().out.split())
    loop(recipe, "--dry-run", "--iterations", "4")
    assert "iter3 to iter4" in (shown := capsys.readouterr()).out
    assert "for the models of 2 iterations" in shown.err


@pytest.mark.parametrize("dry", [(), DRY])
def test_a_dry_run_of_a_run_that_is_there_refuses_what_the_command_would(
    recipe: Path,  # noqa: F811
    finished: Path,
    dry: tuple[str, ...],
) -> None:
    for flags, message in {
        ("--dpo.learning-rate", "0.1"): "made with other settings: dpo.learning_rate was 0.001, now 0.1",
        ("--iterations", "1"): "has 2 iterations already, and --iterations 1 is fewer",
        ("--from-iteration", "tiny/iter1"): "that is this run",
        ("--from-iteration", "runs/tiny/iter1"): "that is this run",
    }.items():
        with pytest.raises(InputError, match=message):
            loop(recipe, *flags, *dry)
    for flags in ((), ("--fresh",)):
        with (
            Store(Run(Path("runs/tiny")).ledger, LedgerLine),
            pytest.raises(StoreError, match="another process is at work on this run; .* another --name"),
        ):
            loop(recipe, *flags, *dry)
    recipe.write_text(recipe.read_text() + "[gates]\nmean_chars = {max = 0.5}\n")
    with pytest.raises(TrainingError, match="mean_chars"):
        loop(recipe, *dry)
    with Path("runs/tiny/iter2/judgments.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="judgments.jsonl was changed after iter2 was done"):
        loop(recipe, *dry)
    with pytest.raises(InputError, match="judgments.jsonl was changed after iter2 was done"):
        loop(recipe, "--name", "other", "--iterations", "3", "--from-iteration", "tiny/iter2", *dry)


def test_a_plan_says_what_it_leaves_out_if_the_hub_cannot_be_reached(
    recipe: Path,  # noqa: F811
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def unreachable(name: str, files: list[str], otherwise: str) -> Path:
        raise UnreachableError(f"{otherwise}, and the hub cannot be reached")

    monkeypatch.setattr(models, "from_hub", unreachable)
    flags = ("--dry-run", "--model", "nobody/nothing")
    loop(recipe, *flags, "--estimate.gpus", "1", "--estimate.size", str(tiny_model / "config.json"))
    shown = capsys.readouterr()
    assert "leaves out the disk space, because the type of the weights is not known: no model 'nobody" in shown.err
    assert "by formula" in shown.out and "disk:" not in shown.err
    with pytest.raises(UnreachableError, match="hub cannot be reached; --estimate.no-measure plans without the model"):
        loop(recipe, *flags)
