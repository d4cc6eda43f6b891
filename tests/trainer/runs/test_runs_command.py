"""python -m trainer.runs lists what is there, and removes nothing that a resume needs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.command import parse
from console.errors import InputError
from records import Store
from records.runs import Run
from trainer.runs.__main__ import Config, main
from trainer.runs.integrity import check_hashes, write_hashes
from trainer.runs.ledger import LedgerLine
from trainer.training.checkpoints import checkpoints_in, flaw_of, seal
from trainer.training.outcome import REPORT, Trained


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_model(out: Path, **files: int) -> Path:
    """Write a whole model with files of so many bytes."""
    partial = out.with_name(f"{out.name}.tmp")
    partial.mkdir(parents=True)
    for name, n_bytes in {"model.safetensors": 1000, "config.json": 2, **files}.items():
        (partial / name).write_bytes(b"x" * n_bytes)
    (partial / REPORT).write_bytes(msgspec.json.encode(Trained(8, 2, 0.5, {})))
    seal(partial, out, 2)
    return out


def line(number: int) -> LedgerLine:
    return LedgerLine(
        id=f"iter{number}", parent=f"iter{number - 1}", reference_model=None, prompt_split=None, judge=None,
        counts={}, mean_score=None, mean_chars=None, n_tokens=0, training={}, seconds=1.0,
    )  # fmt: skip


def save_run(name: str, done: int, wanted: int) -> Run:
    run = Run(Path("runs") / name)
    run.folder.mkdir(parents=True)
    run.config.write_text(f"[settings]\niterations = {wanted}\n")
    with Store(run.ledger, LedgerLine) as ledger:
        for number in range(1, done + 1):
            save_model(run.model(number))
            share = {"following": {"follows": {"value": number / 10}}, "mean_score": 3.0, "win_rate": None}
            (run.iteration(number) / "metrics.json").write_text(json.dumps(share))
            ledger.append(line(number))
    return run


def save_state(model: Path, n_bytes: int = 5000) -> Path:
    state = model.with_name(f"{model.name}.state") / "checkpoint-2"
    state.mkdir(parents=True)
    (state / "optimizer.pt").write_bytes(b"x" * n_bytes)
    return state.parent


def listed(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, dict[str, Any]]:
    main(parse(Config, [*flags, "--json"], "trainer.runs"))
    return {Path(row["folder"]).name: row for row in json.loads(capsys.readouterr().out)["runs"]}


def test_a_run_is_listed_with_its_iterations_numbers_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    save_run("demo", 3, 3)
    [row] = listed(capsys).values()
    assert row["state"] == "finished" and (row["iterations_done"], row["iterations_wanted"]) == (3, 3)
    assert row["by_iteration"] == pytest.approx({"iter1": 10.0, "iter2": 20.0, "iter3": 30.0})
    assert row["best"] == "iter3" and row["bytes"] > 3000 and row["freeable"] == []
    main(parse(Config, [], "trainer.runs"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = " ".join(line.strip() for line in lines)
    assert "3 of 3" in shown and "does what is asked, % 30" in shown and "the best is iter3" in shown
    assert "nothing could be freed" in shown


def test_what_is_next_and_what_is_under_way_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    stopped, working = save_run("stopped", 1, 3), save_run("working", 1, 3)
    (stopped.iteration(2)).mkdir()
    (stopped.iteration(2) / "responses.jsonl").write_text("{}\n")
    with Store(working.ledger, LedgerLine):
        rows = listed(capsys)
    assert rows["stopped"]["state"] == "stopped" and rows["stopped"]["doing"] == "iter2: answering"
    assert rows["working"]["state"] == "under way" and rows["working"]["doing"] == "iter2 is next"


def test_cleaning_takes_what_finished_iterations_do_not_need_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = save_run("demo", 2, 3)
    left = save_state(run.model(1))
    checkpoints = run.iteration(2) / "checkpoints"
    best = save_model(checkpoints / "step-000002")
    other = save_model(checkpoints / "step-000004")
    (run.model(2) / "model.safetensors").unlink()
    os.link(best / "model.safetensors", run.model(2) / "model.safetensors")
    needed = save_state(run.model(3))  # iter3 is not finished
    for number in (1, 2):
        write_hashes(run, number)
    before = {path for path in run.folder.rglob("*") if path.is_file()}
    parts = {Path(part["path"]): part for part in listed(capsys)["demo"]["freeable"]}
    assert set(parts) == {left, checkpoints} and parts[left]["bytes"] == 5000
    sizes = [path.stat().st_size for path in (*best.iterdir(), *other.iterdir())]
    assert parts[checkpoints]["bytes"] == sum(sizes) - 1000, "the model has the weights of the best one"
    main(parse(Config, ["--clean", "--dry-run"], "trainer.runs"))
    assert left.exists() and "could be freed" in capsys.readouterr().out
    main(parse(Config, ["--clean"], "trainer.runs"))
    shown = capsys.readouterr().out
    assert f"{left}  state of a training" in shown and "MB freed" in shown
    gone = {path for path in before if left in path.parents or checkpoints in path.parents}
    assert {path for path in run.folder.rglob("*") if path.is_file()} == before - gone
    assert needed.exists()
    for number in (1, 2):
        check_hashes(run, number)
        assert flaw_of(run.model(number)) is None


def test_a_run_under_way_is_not_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    run = save_run("demo", 1, 3)
    state = save_state(run.model(1))
    with Store(run.ledger, LedgerLine):
        main(parse(Config, ["--clean"], "trainer.runs"))
    assert state.exists()


def test_a_training_without_its_model_keeps_its_state(capsys: pytest.CaptureFixture[str]) -> None:
    save_model(Path("runs/sft/model"))
    over, going = save_state(Path("runs/sft/model")), save_state(Path("runs/dpo/model"))
    rows = listed(capsys, "--clean")
    assert rows["sft"]["kind"] == rows["dpo"]["kind"] == "training"
    assert rows["sft"]["by_iteration"] == {"model": 0.5} and rows["dpo"]["doing"] == "model: training"
    assert not over.exists() and going.exists()


def test_of_a_finished_ppo_the_policies_on_the_way_stay(capsys: pytest.CaptureFixture[str]) -> None:
    extra = {"optimizer.safetensors": 4000, "value.safetensors": 3000, "progress.json": 10}
    for name in ("over", "going"):
        save_model(Path(f"runs/{name}/model.checkpoints/step-000002"), **extra)
    save_model(Path("runs/over/model"))
    rows = listed(capsys, "--clean")
    assert sum(part["bytes"] for part in rows["over"]["freeable"]) == 7010
    [policy] = checkpoints_in(Path("runs/over/model.checkpoints"))
    assert sorted(path.name for path in policy.iterdir()) == [
        "config.json", "manifest.json", "model.safetensors", "training.json",
    ]  # fmt: skip
    assert (Path("runs/going/model.checkpoints/step-000002") / "optimizer.safetensors").exists()


def torn_settings(run: Run) -> None:
    run.config.write_text("[settings\n")


def no_settings(run: Run) -> None:
    run.config.unlink()


def torn_ledger(run: Run) -> None:
    with run.ledger.open("ab") as file:
        file.write(b'{"id": "iter9", "pa\xff')


def torn_metrics(run: Run) -> None:
    (run.iteration(1) / "metrics.json").write_bytes(b"\xff{")
    (run.iteration(2) / "metrics.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (torn_settings, "damaged: "),
        (no_settings, "damaged: runs/torn/run.toml: the settings of the run cannot be read: no such file"),
        (torn_ledger, "finished"),
        (torn_metrics, "finished"),
    ],
)
def test_a_torn_run_is_named_and_the_others_are_listed(
    damage: Callable[[Run], None], state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_run("good", 2, 2)
    damage(save_run("torn", 2, 2))
    rows = listed(capsys)
    assert rows["torn"]["state"].startswith(state) and rows["torn"]["iterations_done"] == 2
    assert rows["good"]["state"] == "finished"


def test_empty_and_foreign_folders_are_named_and_never_touched(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs/empty").mkdir(parents=True)
    Path("runs/foreign/deep").mkdir(parents=True)
    Path("runs/foreign/notes.txt").write_text("mine")
    Path("runs/file.txt").write_text("mine")
    (folder / "outside").mkdir()
    (folder / "outside" / "data").write_text("mine")
    save_model(Path("runs/linked/model"))
    Path("runs/linked/model.state").symlink_to(folder / "outside")
    rows = listed(capsys, "--clean")
    assert rows["empty"]["kind"] == "empty" and rows["foreign"]["state"] == "no run and no model: 2 items"
    assert (folder / "outside" / "data").exists() and rows["linked"]["freeable"] == []
    assert Path("runs/foreign/notes.txt").exists()


def test_folders_of_results_are_named_with_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("evals/smollm2/alpaca", "evals/smollm2/mt_bench", "evals/mine/alpaca", "scores"):
        (Path("runs") / path).mkdir(parents=True)
    for number, name in enumerate(("old.jsonl", "new.jsonl")):
        (Path("runs/scores") / name).write_text("{}\n")
        os.utime(Path("runs/scores") / name, (number, number))
    rows = listed(capsys)
    assert rows["scores"]["kind"] == "judgments" and rows["scores"]["state"] == "2 results, the newest is new.jsonl"
    assert rows["evals"]["kind"] == "evaluations" and rows["evals"]["state"] == "alpaca, mt_bench of mine, smollm2"


def test_a_part_of_a_run_and_a_training_are_listed_as_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    run = save_run("demo", 2, 3)
    save_state(run.model(2))
    run.iteration(3).mkdir()
    (run.iteration(3) / "pairs.jsonl").write_text("{}\n")
    rows = listed(capsys, "runs/demo/iter2", "runs/demo/iter3")
    assert [row["kind"] for row in rows.values()] == ["iteration", "iteration"]
    assert rows["iter2"]["state"] == "finished" and rows["iter2"]["by_iteration"] == pytest.approx({"iter2": 20.0})
    assert [part["what"] for part in rows["iter2"]["freeable"]] == ["state of a training"]
    assert (rows["iter3"]["state"], rows["iter3"]["doing"]) == ("stopped", "iter3: training")
    [inside] = listed(capsys, "runs/demo/iter2/model").values()
    assert inside["kind"] == "model" and inside["by_iteration"] == {"model": 0.5}
    (run.folder / "eval").mkdir()
    assert listed(capsys, "runs/demo/eval")["eval"]["state"] == "part of the run runs/demo"
    save_model(Path("runs/sft/model"))
    assert listed(capsys, "runs/sft")["sft"]["kind"] == "training"


@pytest.mark.parametrize(("cwd", "names"), [(".", ["demo", "sft"]), ("runs", ["demo", "sft"]), ("runs/demo", ["demo"])])
def test_the_folder_that_one_is_in_can_be_named(
    cwd: str, names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = save_run("demo", 2, 2).folder.resolve()
    save_model(Path("runs/sft/model"))
    Path("console").mkdir()
    monkeypatch.chdir(cwd)
    assert list(listed(capsys, ".")) == names
    main(parse(Config, ["."], "trainer.runs"))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"--model {'demo' if cwd == '.' else run if cwd == 'runs/demo' else 'demo'}/best" in shown


def test_the_examples_of_a_killed_training_are_told_and_go_unless_it_may_be_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = save_run("demo", 1, 2)
    alone = Path("runs/sft/model")
    for model in (run.model(2), alone):
        examples = model.with_name("model.examples") / "0"
        examples.mkdir(parents=True)
        (examples / "examples.arrow").write_bytes(b"x" * 700)
    rows = listed(capsys)
    assert [(part["what"], part["bytes"]) for part in rows["demo"]["freeable"]] == [("examples of a training", 700)]
    assert rows["demo"]["doing"] == "iter2: training"
    assert (rows["sft"]["state"], rows["sft"]["doing"]) == ("stopped or under way", "model: training")
    with Store(run.ledger, LedgerLine):
        main(parse(Config, ["--clean"], "trainer.runs"))
    assert run.iteration(2).joinpath("model.examples").exists()
    main(parse(Config, ["--clean"], "trainer.runs"))
    assert list(run.iteration(2).iterdir()) == [] and alone.with_name("model.examples").exists()


def test_without_runs_it_says_how_to_make_one(capsys: pytest.CaptureFixture[str]) -> None:
    main(parse(Config, [], "trainer.runs"))
    assert "there is no runs/ here; make a run with: python -m trainer.loop" in capsys.readouterr().err
    with pytest.raises(InputError, match="nowhere: no such folder; name a run"):
        main(parse(Config, ["nowhere"], "trainer.runs"))
    Path("rows.jsonl").touch()
    with pytest.raises(InputError, match="rows.jsonl: a file; name a run"):
        main(parse(Config, ["rows.jsonl"], "trainer.runs"))
