"""Difficulties of the prompts from other models, and which numbers may have the name of AlpacaEval's own."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from console.command import parse
from console.errors import InputError
from evals.alpaca.__main__ import main
from evals.alpaca.difficulty import Measured, difficulties, fitted, read_others
from evals.alpaca.format import read_annotations, write_json
from evals.alpaca.length import FILE, at_equal_lengths
from evals.alpaca.options import Config
from evals.alpaca.package import package_folder
from evals.alpaca.published import FOLDERS
from evals.alpaca.rows import Annotation
from evals.results.official import BASELINE_OF
from records.files import BadRows

GAMED = "df_gamed.RECONSTRUCTED.csv"


def annotation(model: str, number: int, longer: int, preference: float) -> Annotation:
    return Annotation(
        instruction=f"question {number}", output_1="x" * 100, generator_1="base", output_2="y" * (100 + longer),
        generator_2=model, dataset=None, annotator="mine", preference=preference, raw_completion=None,
    )  # fmt: skip


def world(model: str, strength: float, hard_K: Sequence[float], seed: int) -> list[Annotation]:
    """Return the verdicts of a judge who follows the model of the regression without noise."""
    # the model writes more where it wins anyway
    longer_K = (10 * np.array(hard_K) + np.random.default_rng(seed).integers(-40, 41, len(hard_K))).astype(int)
    deviation = float(np.std(longer_K, ddof=1))
    shares = [
        1 / (1 + math.exp(-(strength + 0.8 * math.tanh(longer / deviation) + hard)))
        for longer, hard in zip(longer_K, hard_K, strict=True)
    ]
    verdicts = zip(longer_K, shares, strict=True)
    return [annotation(model, n, int(longer), 1 + share) for n, (longer, share) in enumerate(verdicts)]


def annotations_of(data: Path, model: str) -> list[Annotation]:
    return read_annotations(data / "alpaca_eval" / "ae2_annotations" / f"{model}.json.gz", BadRows(strict=True))


def score(*words: Any) -> None:
    main(parse(Config, [str(word) for word in words], "evals.alpaca"))


def test_two_prompts_that_two_models_win_and_lose_have_the_difficulties_worked_out_by_hand() -> None:
    # equal lengths and equal models: 2 (1 - sigmoid(g)) = g for the prompt that both win, g = 0.6748
    one = Measured(["won", "lost"], np.zeros(2), np.array([1.0, 0.0]))
    found = fitted([one, one])
    assert found["won"] == pytest.approx(0.6748, abs=1e-4) and found["lost"] == pytest.approx(-0.6748, abs=1e-4)


def test_with_difficulties_the_rate_at_equal_lengths_is_the_true_one() -> None:
    hard_K = np.random.default_rng(5).normal(0, 2, 300).tolist()
    others = [world(name, strength, hard_K, seed) for name, strength, seed in (("a", -1, 1), ("b", 0, 2), ("c", 1, 3))]
    mine = world("mine", -0.5, hard_K, 4)
    truth = 100 * np.mean([1 / (1 + math.exp(-(-0.5 + hard))) for hard in hard_K])
    plain, refitted = at_equal_lengths(mine), at_equal_lengths(mine, difficulties(others, mine[0]))
    assert refitted == pytest.approx(truth, abs=1)
    assert plain is not None and refitted is not None and 3 * abs(refitted - truth) < abs(plain - truth)


def test_on_published_annotations_difficulties_bring_the_rate_nearer_to_alpaca_evals_own(data: Path) -> None:
    with (data / "alpaca_eval" / "lc_check.csv").open(encoding="utf-8") as file:
        published = {row["model"]: float(row["lc_leaderboard"]) for row in csv.DictReader(file)}
    others = [annotations_of(data, model) for model in ("vicuna-13b-v1.5", "gpt-3.5-turbo-1106")]
    mine = annotations_of(data, "alpaca-7b")
    plain, refitted = at_equal_lengths(mine), at_equal_lengths(mine, difficulties(others, mine[0]))
    assert plain is not None and refitted is not None
    assert published["alpaca-7b"] < refitted < plain - 2


def test_prompts_without_a_difficulty_are_left_out() -> None:
    hard_K = np.random.default_rng(5).normal(0, 2, 60).tolist()
    mine = world("mine", 0.0, hard_K, 4)
    known = difficulties([world("a", 0, hard_K, 1)[:30], world("b", 0, hard_K, 2)[:30]], mine[0])
    assert len(known) == 30
    assert at_equal_lengths(mine, known) == pytest.approx(at_equal_lengths(mine[:30], known), abs=1)
    assert at_equal_lengths(mine, {key: known[key] for key in list(known)[:19]}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator_2": "mine"}, "annotations of mine itself: give those of other models"),
        ({"annotator": "other"}, "is judged by other against base, and mine by mine against base"),
        ({"generator_1": "old"}, "difficulties are those of one judge and one baseline"),
    ],
)
def test_annotations_of_another_measure_give_no_difficulty(changes: dict[str, str], message: str) -> None:
    rows = [world(name, 0, [0.0, 1.0, 2.0], 1) for name in "ab"]
    rows[1] = [msgspec.structs.replace(row, **changes) for row in rows[1]]
    with pytest.raises(InputError, match=message):
        difficulties(rows, annotation("mine", 0, 0, 1.0))


def test_one_other_model_is_too_few(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", world("a", 0, [0.0, 1.0], 1))
    for paths in ([tmp_path / "a.json"], [tmp_path / "a.json"] * 2):
        with pytest.raises(InputError, match="--difficulty-from needs annotations of 2 or more models"):
            read_others(paths, BadRows())


def test_the_command_prints_and_stores_both_rates_under_their_own_names(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data / "alpaca_eval" / "ae2_annotations"
    others = [folder / f"{name}.json.gz" for name in ("alpaca-7b", "vicuna-13b-v1.5")]
    score("--annotations", folder / "gemma-7b-it.json.gz", "--difficulty-from", *others, "--out", tmp_path, "--json")
    shown = json.loads(capsys.readouterr().out)
    stored = json.loads((tmp_path / FILE).read_text())
    for name in ("win_rate_at_equal_lengths", "win_rate_at_equal_lengths_and_difficulty"):
        assert shown[name] == stored[name] and 10 < stored[name] < 14
    assert stored["difficulty_from"] == ["alpaca-7b", "vicuna-13b-v1.5"] and stored["n"] == 805
    assert "at_equal_lengths" not in (tmp_path / "leaderboard.csv").read_text()


@pytest.mark.parametrize("changes", [{"annotator": "my-judge"}, {"generator_1": "my-baseline"}])
def test_another_judge_or_baseline_has_no_length_controlled_win_rate_even_with_the_hub_file(
    data: Path, tmp_path: Path, changes: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [msgspec.structs.replace(row, **changes) for row in annotations_of(data, "gemma-7b-it")]
    write_json(tmp_path / "a.json", rows)
    gamed = data / "alpaca_eval" / GAMED
    score("--annotations", tmp_path / "a.json", "--df-gamed", gamed, "--out", tmp_path, "--json")
    told = capsys.readouterr()
    shown = json.loads(told.out)
    assert shown["length_controlled_winrate"] is None
    assert shown["win_rate_at_equal_lengths"] == pytest.approx(13, abs=0.1)
    assert "no length-controlled win rate: it is AlpacaEval's own, by weighted_alpaca_eval_gpt4_turbo" in told.err
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8") as file:
        assert [row["length_controlled_winrate"] for row in csv.DictReader(file)] == [""]


def test_the_annotators_with_a_length_controlled_win_rate_are_those_of_the_package_s_leaderboards() -> None:
    found = {}
    for baseline, folder in FOLDERS.items():
        for path in (package_folder() / "leaderboards" / folder).glob("*_leaderboard.csv"):
            if "length_controlled_winrate" in path.read_text(encoding="utf-8").splitlines()[0]:
                found[path.name.removesuffix("_leaderboard.csv")] = baseline
    assert found == BASELINE_OF
