"""A training writes its figures while it runs and a picture at the end, and no tracker can end it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from tests.trainer.ppo.test_ppo import PROMPTS, SMALL, save_nine, source
from tests.trainer.training.test_resume import SHARED, dpo, killed_after, sft
from trainer.ppo.trainer import train_ppo
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.metrics import recording, tracking
from trainer.training.metrics.curves import draw
from trainer.training.metrics.recording import row_of
from trainer.training.outcome import claim_folder, curves_path, metrics_path


@pytest.fixture(autouse=True)
def really_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of their own, where other tests share one."""
    monkeypatch.setattr(recording.Recorder, "draw", getattr(recording, "drawn"))  # noqa: B009  set by tests.kept


CHATS = [[{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"point {n}"}] for n in range(10)]


def rows_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in metrics_path(out).read_text().splitlines()]


def is_picture(path: Path) -> bool:
    return bool(matplotlib.image.imread(path).std() > 0)


def test_a_row_per_step_lies_beside_the_model_and_a_picture_at_the_end(tiny_model: Path, tmp_path: Path) -> None:
    trained = dpo(tiny_model, tmp_path / "model")
    rows = rows_of(tmp_path / "model")
    assert [row["step"] for row in rows] == list(range(1, trained.n_steps + 1))
    assert all({"loss", "rewards/margins", "learning_rate"} <= row.keys() for row in rows)
    assert sum(row["loss"] for row in rows) / len(rows) == pytest.approx(trained.loss)
    assert is_picture(curves_path(tmp_path / "model"))


def test_a_resumed_training_has_the_rows_of_an_uninterrupted_one(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sft(tiny_model, tmp_path / "whole")
    killed_after(3, sft, tiny_model, tmp_path / "cut", monkeypatch)
    assert [row["step"] for row in rows_of(tmp_path / "cut")] == [1, 2, 3], "it is written while it is trained"
    with metrics_path(tmp_path / "cut").open("a") as file:
        file.write('{"step": 4, "lo')  # a torn line of a step that is made again
    sft(tiny_model, tmp_path / "cut")
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")


def test_ppo_writes_the_same(tmp_path: Path) -> None:
    train_ppo(save_nine(tmp_path / "nine"), tmp_path / "ppo", PROMPTS, source(lambda text: len(text)), SMALL, seed=0)
    rows = rows_of(tmp_path / "ppo")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all({"reward", "kl", "length", "policy_loss"} <= row.keys() for row in rows)
    assert is_picture(curves_path(tmp_path / "ppo"))


def test_fresh_sets_the_figures_aside_with_the_model(tiny_model: Path, tmp_path: Path) -> None:
    sft(tiny_model, tmp_path / "model")
    claim_folder(tmp_path / "model", fresh=True)
    names = ("model.1", "model.metrics.jsonl.1", "model.curves.png.1")
    assert all((tmp_path / name).exists() for name in names) and not metrics_path(tmp_path / "model").exists()


def test_a_row_has_numbers_alone() -> None:
    figures = {"loss": 1, "kl": None, "reward": float("nan"), "name": "x", "step": 9, "length": 2.5}
    assert row_of(3, figures) == {"step": 3, "loss": 1.0, "length": 2.5}


def test_curves_are_drawn_of_what_has_two_steps() -> None:
    assert draw([]) is None and draw([{"step": 1, "loss": 2.0}]) is None
    rows = [{"step": n, "loss": 1 / n, **({"reward": n} if n % 2 else {})} for n in range(1, 101)]
    assert draw(rows) == draw(rows)
    assert draw(rows) != draw(rows[:50])


class FakeTracker:
    """Stands for a tracker of accelerate."""

    made: "list[FakeTracker]"
    fails_at = ""

    def __init__(self, *names: Any, **more: Any) -> None:
        self.rows: list[tuple[int, Mapping[str, float]]] = []
        self.is_finished = False
        self._may_fail("init")
        FakeTracker.made.append(self)

    def _may_fail(self, what: str) -> None:
        if FakeTracker.fails_at == what:
            raise RuntimeError("not logged in,\nrun login")

    def start(self) -> None:
        self._may_fail("start")

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._may_fail("log")
        self.rows.append((step, row))

    def finish(self) -> None:
        self._may_fail("finish")
        self.is_finished = True


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> type[FakeTracker]:
    FakeTracker.made, FakeTracker.fails_at = [], ""
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "trackio", FakeTracker)
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    return FakeTracker


def tracked(parent: Path, out: Path) -> list[dict[str, float]]:
    train_sft(parent, out, CHATS, SFTOptions(**SHARED, report_to="trackio"), seed=1)
    return rows_of(out)


def test_a_tracker_gets_what_the_file_has(tracker: type[FakeTracker], tiny_model: Path, tmp_path: Path) -> None:
    rows = tracked(tiny_model, tmp_path / "model")
    [made] = tracker.made
    assert [{"step": step, **row} for step, row in made.rows] == rows and made.is_finished


@pytest.mark.parametrize("where", ["init", "start", "log", "finish"])
def test_a_tracker_that_fails_is_said_once_and_the_training_goes_on(
    where: str, tracker: type[FakeTracker], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.fails_at = where
    assert len(tracked(tiny_model, tmp_path / "model")) == 6 and (tmp_path / "model").exists()
    said = [line for line in capsys.readouterr().err.splitlines() if "--report-to" in line]
    assert len(said) == 1 and "RuntimeError: not logged in" in said[0] and "goes on without it" in said[0]


def test_a_tracker_that_is_not_installed_is_said_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    tracked(tiny_model, tmp_path / "model")
    assert capsys.readouterr().err.count("trackio is not installed (pip install trackio)") == 1


def test_another_tracker_goes_on_from_the_same_state(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_after(3, sft, tiny_model, tmp_path / "cut", monkeypatch)
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    monkeypatch.setattr("tests.trainer.training.test_resume.SHARED", SHARED | {"report_to": "wandb"})
    sft(tiny_model, tmp_path / "cut")
    assert "set aside" not in capsys.readouterr().err
