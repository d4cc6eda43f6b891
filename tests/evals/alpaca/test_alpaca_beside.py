"""What stands beside the leaderboard's numbers: a length control for any judge, and published models."""

import json
import math
from pathlib import Path
from typing import Any

import pandas
import pytest

from console.command import parse
from console.errors import InputError
from evals.alpaca.__main__ import main
from evals.alpaca.format import read_annotations
from evals.alpaca.length import at_equal_lengths
from evals.alpaca.options import Config
from evals.alpaca.package import quietly
from evals.alpaca.published import leaderboard, neighbours
from evals.alpaca.rows import Annotation
from records.files import BadRows


def annotation(number: int, lengths: tuple[int, int], preference: float | None) -> Annotation:
    return Annotation(
        instruction=f"question {number}", output_1="x" * lengths[0], generator_1="base", output_2="y" * lengths[1],
        generator_2="model", dataset=None, annotator="mine", preference=preference, raw_completion=None,
    )  # fmt: skip


@pytest.mark.parametrize("model", ["alpaca-7b", "gpt-3.5-turbo-1106", "FuseChat-Gemma-2-9B-Instruct"])
def test_the_rate_at_equal_lengths_is_the_package_s_minimal_one(
    data: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "alpaca_eval" / "ae2_annotations" / f"{model}.json.gz"
    annotations = read_annotations(path, BadRows(strict=True))
    frame = pandas.DataFrame(
        [{name: getattr(row, name) for name in Annotation.__struct_fields__} for row in annotations]
    )
    frame = frame.drop(columns=["index"])
    with quietly("metrics", "metrics.glm_winrate") as package:
        gamed = str(data / "alpaca_eval" / "df_gamed.RECONSTRUCTED.csv")
        monkeypatch.setattr(package, "hf_hub_download", lambda **call: gamed)
        theirs = package.get_length_controlled_winrate(
            frame, glm_name="length_controlled_minimal", save_weights_dir=None, is_add_glm_preference_inplace=False,
            is_warn_extreme_changes=False,
        )  # fmt: skip
    assert at_equal_lengths(annotations) == pytest.approx(theirs["length_controlled_winrate"], abs=1e-6)


def test_a_judge_that_goes_by_length_is_near_a_half_at_equal_lengths() -> None:
    lengths = [(n % 41) - 10 for n in range(400)]
    rows = [annotation(n, (100, 100 + more), 1 + 1 / (1 + math.exp(-more / 8))) for n, more in enumerate(lengths)]
    assert sum((row.preference or 0) - 1 for row in rows) / 400 > 0.65
    assert at_equal_lengths(rows) == pytest.approx(50, abs=3)


def test_no_rate_at_equal_lengths_without_enough_to_tell() -> None:
    assert at_equal_lengths([annotation(n, (5, 6), 2.0) for n in range(100)]) is None  # one difference
    assert at_equal_lengths([annotation(n, (5, n), 2.0) for n in range(10)]) is None  # few rows
    assert at_equal_lengths([annotation(n, (5, n), None) for n in range(100)]) is None
    assert at_equal_lengths([]) is None


def test_published_models_stand_beside_one_s_own_only_if_the_measure_is_the_same(data: Path, capsys: Any) -> None:
    path = data / "alpaca_eval" / "ae2_annotations" / "gemma-7b-it.json.gz"
    annotations = read_annotations(path, BadRows(strict=True))
    rows = leaderboard(annotations)
    above, below = neighbours(rows, 6.937)
    assert len(rows) > 200 and "gemma-7b-it" in {row.model for row in rows}
    assert len(above) == len(below) == 2 and above[-1].win_rate > 6.937 >= below[0].win_rate
    assert leaderboard(annotations[:-1]) == []  # a prompt is missing
    other = [annotation(n, (1, 2), 1.0) for n in range(3)]
    assert leaderboard(other) == []
    main(parse(Config, ["--annotations", str(path)], "evals.alpaca"))
    printed = capsys.readouterr().out
    assert "published models of weighted_alpaca_eval_gpt4_turbo" in printed and "> gemma-7b-it" in printed
    assert "at equal lengths" in printed
    main(parse(Config, ["--annotations", str(path), "--limit", "100", "--json"], "evals.alpaca"))
    shown = json.loads(capsys.readouterr().out)
    assert shown["published"] == [] and shown["win_rate_at_equal_lengths"] is not None


def test_workers_have_nothing_to_do_with_stored_annotations(data: Path) -> None:
    path = data / "alpaca_eval" / "ae2_annotations" / "gemma-7b-it.json.gz"
    with pytest.raises(InputError, match="--annotations asks no model, so --workers has nothing to do"):
        main(parse(Config, ["--annotations", str(path), "--workers", "2"], "evals.alpaca"))
