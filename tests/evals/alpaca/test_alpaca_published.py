"""Stored annotations of AlpacaEval's leaderboards, scored again: the published numbers come out."""

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from evals.alpaca.format import Annotation, alpaca_index, read_annotations
from evals.alpaca.metrics import Metrics, score, win_rates
from evals.alpaca.sources import LengthFiles
from records.files import BadRows
from tests.conftest import DATA, ROOT

AE2, AE1 = "weighted_alpaca_eval_gpt4_turbo_leaderboard.csv", "alpaca_eval_gpt4_leaderboard.csv"
FILES = sorted((DATA / "alpaca_eval").glob("ae*_annotations/*.json.gz"))
"""Every annotation file there is: another one that is put there is tested too."""
UNPUBLISHED = {"ae2_annotations": {"text_davinci_003"}}
"""Models without a row in the leaderboard."""
LC_TOLERANCE = 0.2  # the published values come from several versions of scikit-learn


def annotations_of(data: Path, version: int, model: str) -> list[Annotation]:
    path = data / "alpaca_eval" / f"ae{version}_annotations" / f"{model}.json.gz"
    return read_annotations(path, BadRows(strict=True))


def published(data: Path, leaderboard: str, model: str) -> dict[str, str]:
    with (data / "alpaca_eval" / leaderboard).open(encoding="utf-8") as file:
        row = next((row for row in csv.DictReader(file) if row[""] == model), None)
    assert row is not None, f"{leaderboard} has no row for {model}"
    return row


def assert_published(found: Metrics, row: dict[str, str]) -> None:
    for name in ("win_rate", "standard_error", "discrete_win_rate"):
        assert getattr(found, name) == pytest.approx(float(row[name]), abs=1e-8), name
    for name in ("n_wins", "n_wins_base", "n_draws", "n_total"):
        assert getattr(found, name) == int(row[name]), name


def model_of(file: Path) -> str:
    return file.name.removesuffix(".json.gz")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{model_of(file)}")
def test_every_file_has_the_win_rate_error_and_counts_of_its_leaderboard(data: Path, file: Path) -> None:
    annotations = read_annotations(file, BadRows(strict=True))
    found = win_rates(annotations)
    leaderboard = AE2 if file.parent.name == "ae2_annotations" else AE1
    if model_of(file) in UNPUBLISHED.get(file.parent.name, ()):
        with pytest.raises(AssertionError, match="has no row"):
            published(data, leaderboard, model_of(file))
        return
    assert_published(found, published(data, leaderboard, model_of(file)))
    assert found.n_total == len(annotations) - sum(row.preference is None for row in annotations)


def test_version_1_counts_draws_and_leaves_null_preferences_out(data: Path) -> None:
    n_nulls = {
        model: sum(row.preference is None for row in annotations_of(data, 1, model))
        for model in ("claude-2", "zephyr-7b-beta", "alpaca-7b")
    }
    assert n_nulls == {"claude-2": 1, "zephyr-7b-beta": 2, "alpaca-7b": 0}
    assert win_rates(annotations_of(data, 1, "claude-2")).n_draws > 0


def test_the_mean_length_is_that_of_the_leaderboard(data: Path) -> None:
    assert win_rates(annotations_of(data, 2, "alpaca-7b")).avg_length == 396


QUICK = ("alpaca-7b", "gpt-3.5-turbo-1106", "gpt4_1106_preview")


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=model_of(file), marks=() if model_of(file) in QUICK else pytest.mark.slow)
        for file in FILES
        if file.parent.name == "ae2_annotations"
    ],
)
def test_the_length_controlled_win_rate_is_the_package_s_and_near_the_leaderboard(data: Path, file: Path) -> None:
    found = score(read_annotations(file, BadRows(strict=True)), LengthFiles(), [file]).length_controlled_winrate
    with (data / "alpaca_eval" / "lc_check.csv").open(encoding="utf-8") as checks:
        checked = {row["model"]: row for row in csv.DictReader(checks)}
    if row := checked.get(model_of(file)):
        assert found == pytest.approx(float(row["lc_alpaca_eval_sklearn1.9.1"]), abs=1e-6), "that of the pinned version"
        assert found == pytest.approx(float(row["lc_leaderboard"]), abs=LC_TOLERANCE)
    else:
        assert model_of(file) in ("gpt4_1106_preview", "text_davinci_003"), "the baseline, and one without a row"


def test_version_1_has_a_length_controlled_win_rate_too(data: Path) -> None:
    found = score(annotations_of(data, 1, "claude-2"), LengthFiles(), [data / "alpaca_eval" / "ae1_annotations" / "x"])
    expected = float(published(data, AE1, "claude-2")["length_controlled_winrate"])
    assert found.length_controlled_winrate == pytest.approx(expected, abs=LC_TOLERANCE)


def test_rows_that_carry_their_index_may_come_in_any_order(data: Path) -> None:
    import msgspec

    files = LengthFiles(data / "alpaca_eval" / "df_gamed.RECONSTRUCTED.csv")
    annotations = annotations_of(data, 2, "alpaca-7b")
    shuffled = [msgspec.structs.replace(row, index=alpaca_index(row.instruction)) for row in reversed(annotations)]
    expected = score(annotations, files, []).length_controlled_winrate
    assert score(shuffled, files, []).length_controlled_winrate == pytest.approx(expected, abs=1e-6)


def test_rows_out_of_their_place_are_named_with_the_value_they_would_have(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = LengthFiles(data / "alpaca_eval" / "df_gamed.RECONSTRUCTED.csv")
    score(annotations_of(data, 2, "text_davinci_001"), files, [])  # two rows are missing in the published file
    message = capsys.readouterr().err
    assert "556 of 803 rows are not where AlpacaEval has their instruction" in message
    assert "by instruction it would be 6.48" in message


def test_without_the_hub_file_there_is_no_length_controlled_win_rate_and_the_reason_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    found = score(annotations_of(data, 2, "alpaca-7b"), LengthFiles(), [tmp_path / "a" / "annotations.json"])
    assert found.length_controlled_winrate is None
    assert found.win_rate is not None
    assert (
        "no length-controlled win rate: df_gamed.csv is not available: HF_HUB_OFFLINE is set" in capsys.readouterr().err
    )


def test_too_few_rows_warn_that_the_regression_may_have_failed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import msgspec

    files = LengthFiles(data / "alpaca_eval" / "df_gamed.RECONSTRUCTED.csv")
    rows = [msgspec.structs.replace(row, preference=1.5) for row in annotations_of(data, 2, "alpaca-7b")[:3]]
    score(rows, files, [])
    assert "is far from the raw 50.0" in capsys.readouterr().err


def test_scoring_leaves_logging_and_scikit_learn_as_they_were(data: Path) -> None:
    import logging

    import sklearn

    before = (logging.getLogger().level, sklearn.get_config()["enable_metadata_routing"])
    score(annotations_of(data, 2, "alpaca-7b"), LengthFiles(), [data / "alpaca_eval" / "ae2_annotations" / "x"])
    assert (logging.getLogger().level, sklearn.get_config()["enable_metadata_routing"]) == before


def test_the_command_prints_nothing_but_json(data: Path) -> None:
    path = data / "alpaca_eval" / "ae2_annotations" / "alpaca-7b.json.gz"
    command = [sys.executable, "-m", "evals.alpaca", "--annotations", str(path), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found, row = json.loads(done.stdout), published(data, AE2, "alpaca-7b")
    assert found["win_rate"] == pytest.approx(float(row["win_rate"]), abs=1e-8)
    assert found["standard_error"] == pytest.approx(float(row["standard_error"]), abs=1e-8)
    assert found["length_controlled_winrate"] == pytest.approx(
        float(row["length_controlled_winrate"]), abs=LC_TOLERANCE
    )
    assert (found["model"], found["baseline"], found["n_unscored"]) == ("alpaca-7b", "gpt4_1106_preview", 0)


def test_every_instruction_of_alpaca_eval_is_known_by_its_row(data: Path) -> None:
    with gzip.open(data / "alpaca_eval" / "model_outputs" / "gpt4_1106_preview.json.gz") as file:
        instructions = [row["instruction"] for row in json.load(file)]
    assert [alpaca_index(instruction) for instruction in instructions] == list(range(805))
    assert alpaca_index(instructions[0] + ".") is None
