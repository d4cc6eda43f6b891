"""`judges.calibrate --fit`: weights, a temperature and ties are learned from labels, and commands use them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from console.command import parse
from console.errors import InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.calibrate import __main__ as calibrate
from judges.calibrate.learning import Pairs, learn, out_of_fold
from judges.compare import __main__ as compare
from judges.rubrics.calibration import Calibration, load_calibration, log_odds, rubric_digest, write_calibration
from judges.rubrics.rubric import load_rubric
from judges.score import __main__ as score
from records import Comparison, Judgment, read_rows
from tests.fences import plain
from tests.judges.opened import patch_open_engine

CRITERIA = ("accuracy", "completeness", "relevance", "clarity")


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def drawn(n: int, coefficients: Sequence[float], seed: int = 0) -> Pairs:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, len(coefficients)))
    labels = np.where(generator.random(n) < 1 / (1 + np.exp(-features @ np.array(coefficients))), 1.0, -1.0)
    return Pairs(features, labels, [str(place // 2) for place in range(n)])


# what is learned


def test_the_coefficients_are_scikit_learns_where_none_is_negative() -> None:
    pairs = drawn(400, (2.0, 1.0, 0.5))
    learned = learn(pairs)
    deviations = np.sqrt((pairs.features**2).mean(0))
    other = LogisticRegression(C=1, fit_intercept=False, tol=1e-10).fit(pairs.features / deviations, pairs.labels)
    coefficients = other.coef_[0] / deviations
    assert coefficients.min() > 0
    assert learned.weights / learned.temperature == pytest.approx(coefficients, rel=1e-3)
    assert learned.weights.sum() == pytest.approx(1) and learned.tie == 0


def test_a_criterion_that_speaks_against_the_labels_gets_no_weight() -> None:
    learned = learn(drawn(400, (2.0, -2.0)))
    assert learned.weights.tolist() == [1.0, 0.0]


def test_scores_that_do_not_go_with_the_labels_teach_nothing() -> None:
    pairs = drawn(200, (2.0,))
    with pytest.raises(JudgeError, match="do not go with the labels at all"):
        learn(Pairs(-pairs.features, pairs.labels, pairs.groups))


def test_the_band_of_ties_is_that_with_the_most_equal_labels() -> None:
    features = np.array([[-3.0], [-2.0], [0.1], [-0.1], [0.2], [2.0], [3.0]])
    learned = learn(Pairs(features, np.array([-1.0, -1, 0, 0, 0, 1, 1]), list("abcdefg")))
    assert learned.verdicts(learned.preferences(features)).tolist() == [-1, -1, 0, 0, 0, 1, 1]
    assert learned.tie > abs(sigmoid(0.2 / learned.temperature) - 0.5)


def test_no_pair_is_predicted_from_its_own_prompt() -> None:
    pairs = drawn(60, (1.0, 1.0))
    preferences, _ = out_of_fold(pairs, 5, 0)
    changed = Pairs(pairs.features, pairs.labels * np.where(np.array(pairs.groups) == "3", -1, 1), pairs.groups)
    again, _ = out_of_fold(changed, 5, 0)
    inside = np.array(pairs.groups) == "3"
    assert preferences[inside].tolist() == again[inside].tolist() and preferences.tolist() != again.tolist()


# the command


@pytest.fixture
def grader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """A judge whose accuracy is that of the labels, and whose other criteria are noise that outweighs it."""

    def likely(request: Request, choices: Sequence[str]) -> list[float]:
        text = plain(request.messages[0]["content"])
        if "<answer_a>" in text:
            first = text.rpartition("<answer_a>\n")[2].split("\n")[0]
            return [math.log(0.6 if first.startswith("GOOD") else 0.55), *[-9.0] * (len(choices) - 2), math.log(0.4)]
        answer = text.rpartition("<answer>\n")[2].split("\n")[0]
        name = (request.prefill or "").partition(":")[0]
        grade = (5 if answer.startswith("GOOD") else 4) if name == "accuracy" else Random(name + answer).randint(1, 5)
        return [0.0 if choice == str(grade) else -20.0 for choice in choices]

    engine = ScriptedEngine(logprobs=likely)
    patch_open_engine(monkeypatch, lambda options: engine)
    monkeypatch.chdir(tmp_path)
    return engine


def labels(n: int = 60, path: str = "labels.json") -> str:
    """Pairs whose better answer says GOOD, but for every tenth."""
    rows = []
    for i in range(n):
        good, other = f"GOOD answer {i}", f"other answer {i}"
        first = i % 2 == 0
        rows.append({
            "input": f"question {i}",
            "output_1": good if first else other,
            "output_2": other if first else good,
            "label": (1 if first else 2) if i % 10 else (2 if first else 1),
        })  # fmt: skip
    Path(path).write_text(json.dumps(rows))
    return path


def fit(*arguments: str) -> dict[str, Any]:
    argv = [labels() if not Path("labels.json").exists() else "labels.json", "--fit", "--resamples", "100", *arguments]
    calibrate.main(parse(calibrate.Config, [*argv, "--out", "out"], "prog"))
    found: dict[str, Any] = json.loads(Path("out/fit.json").read_text())
    return found


def values(found: dict[str, Any], side: str) -> dict[str, float]:
    return {change[side]["name"]: change[side]["value"] for change in found["measures"] if change[side]}


def test_learned_weights_agree_better_out_of_fold_and_are_written(grader: ScriptedEngine, capsys: Any) -> None:
    found = fit("--rubric", "criteria")
    assert len(grader.asked) == 60 * 2 * 4
    before, after = values(found, "before"), values(found, "after")
    assert before["accuracy, a tie is half"] < 0.75 and after["accuracy, a tie is half"] == pytest.approx(0.9)
    assert after["Cohen's kappa"] == pytest.approx(0.8)
    [change] = [one["change"] for one in found["measures"] if one["before"]["name"] == "Cohen's kappa"]
    assert change["value"] == pytest.approx(after["Cohen's kappa"] - before["Cohen's kappa"]) and change["low"] > 0
    assert found["weights"]["accuracy"] > 0.8 and sum(found["weights"].values()) == pytest.approx(1)
    printed = capsys.readouterr().out
    assert "| accuracy, a tie is half" in printed and "| criterion" in printed and "--calibration" in printed
    again = fit("--rubric", "criteria")
    assert again == found and len(grader.asked) == 60 * 2 * 4  # nothing is asked twice


def test_every_score_of_a_calibrated_judge_is_by_the_learned_weights(grader: ScriptedEngine, tmp_path: Path) -> None:
    weights = fit("--rubric", "criteria")["weights"]
    rows = [{"prompt": "question 1", "response": text, "model": "m"} for text in ("GOOD answer 1", "other answer 1")]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = ["answers.jsonl", "--rubric", "criteria"]
    score.main(parse(score.Config, [*argv, "--out", "plain.jsonl"], "prog"))
    score.main(parse(score.Config, [*argv, "--calibration", "out/calibration.toml", "--out", "learned.jsonl"], "prog"))
    plainly, learned = (list(read_rows(Path(f"{name}.jsonl"), Judgment)) for name in ("plain", "learned"))
    assert plainly[0].judge != learned[0].judge and plainly[0].criteria == learned[0].criteria
    for judgment in learned:
        grades = judgment.criteria or {}
        assert judgment.score == pytest.approx(sum(weights[name] * (grades[name] or 0) for name in CRITERIA))
    assert plainly[0].score != learned[0].score


def test_an_audit_of_the_calibrated_judge_has_its_preferences_and_accuracy(grader: ScriptedEngine) -> None:
    fit("--rubric", "criteria")
    argv = ["labels.json", "--rubric", "criteria", "--calibration", "out/calibration.toml", "--out", "audit"]
    calibrate.main(parse(calibrate.Config, [*argv, "--resamples", "50"], "prog"))
    measures = {one["name"]: one["value"] for one in json.loads(Path("audit/audit.json").read_text())["measures"]}
    assert measures["accuracy, a tie is half"] == pytest.approx(0.9)
    assert measures["expected calibration error"] is not None and measures["expected calibration error"] < 0.15


def test_a_judge_that_names_the_first_answer_learns_to_go_by_its_mean_preference(grader: ScriptedEngine) -> None:
    found = fit("--rubric", "pairwise")
    before, after = values(found, "before"), values(found, "after")
    assert before["accuracy, a tie is half"] == 0.5 and after["accuracy, a tie is half"] == pytest.approx(0.9)
    assert found["weights"] == {}
    rows = [
        {"prompt": "question 2", "response": "GOOD answer 2", "model": "a"},
        {"prompt": "question 2", "response": "other answer 2", "model": "b"},
    ]
    for name, row in zip("ab", rows, strict=True):
        Path(f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    argv = ["a.jsonl", "b.jsonl", "--calibration", "out/calibration.toml", "--out", "c.jsonl"]
    compare.main(parse(compare.Config, argv, "prog"))
    [row] = read_rows(Path("c.jsonl"), Comparison)
    assert row.winner == "a" and row.flipped and row.preference_b is not None
    assert log_odds(row.preference_b) * found["temperature"] < 0
    with pytest.raises(InputError, match="learned from both orders"):
        compare.main(parse(compare.Config, [*argv[:-1], "d.jsonl", "--orders", "one"], "prog"))


def test_a_calibration_is_refused_for_another_judge_or_rubric(grader: ScriptedEngine, tmp_path: Path) -> None:
    fit("--rubric", "criteria")
    Path("answers.jsonl").write_text(json.dumps({"prompt": "q", "response": "a", "model": "m"}) + "\n")
    argv = ["answers.jsonl", "--calibration", "out/calibration.toml"]
    with pytest.raises(InputError, match="learned for the rubric 'criteria' .* and this one is 'additive'"):
        score.main(parse(score.Config, argv, "prog"))
    grader.digest = "other weights"
    with pytest.raises(InputError, match="learned for the judge .*: another model, reading or sampling"):
        score.main(parse(score.Config, [*argv, "--rubric", "criteria"], "prog"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "'temperature' must be above 0"),
        ({"tie": -1}, "'tie' and 'weights' at least 0"),
        ({"more": 1}, "not a calibration"),
        ({"temperature": "hot"}, "not a calibration"),
        ({"weights": {"style": 1.0}}, "learned for the rubric"),
    ],
)
def test_a_broken_calibration_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rubric = load_rubric("criteria")
    fields: dict[str, Any] = {"weights": dict.fromkeys(CRITERIA, 0.25)}
    good = Calibration(
        judge="j", rubric="criteria", rubric_digest=rubric_digest(rubric), kind="score", labels="l", temperature=1.0,
        **fields,
    )  # fmt: skip
    path = tmp_path / "c.toml"
    write_calibration(path, good)
    assert load_calibration(path, rubric) == good
    text = path.read_text()
    for name, value in change.items():
        lines = [line for line in text.splitlines() if not line.startswith(f"{name} =")]
        if isinstance(value, dict):
            lines = lines[: lines.index("[weights]") + 1] + [f"{key} = {number}" for key, number in value.items()]
        else:
            lines.insert(0, f"{name} = {json.dumps(value)}")
        text = "\n".join(lines)
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_calibration(path, rubric)


def test_bad_labels_are_refused_before_anything_is_asked(grader: ScriptedEngine) -> None:
    labels(12)
    with pytest.raises(InputError, match="12 pairs with a better answer are too few"):
        fit("--rubric", "criteria")
    rows = json.loads(Path(labels(30)).read_text())
    Path("labels.json").write_text(json.dumps([{**row, "label": 2} for row in rows]))
    with pytest.raises(InputError, match="all 30 labels are 'b', one class only"):
        fit("--rubric", "criteria")
    Path("labels.json").write_text(json.dumps([{**row, "input": "one"} for row in rows]))
    with pytest.raises(InputError, match="all pairs are of 1 prompt"):
        fit("--rubric", "criteria")
    Path("labels.json").write_text(
        "\n".join(json.dumps({"prompt": f"q{n}", "response": "a", "human": n % 5}) for n in range(40))
    )
    with pytest.raises(InputError, match="each prompt has one answer"):
        fit("--rubric", "criteria")
    assert grader.asked == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--verdicts", "labels.json"), "--fit asks a judge and learns"),
        (("--retest", "2"), "leave out --verdicts, --test, --retest"),
        (("--folds", "1"), "--folds must be at least 2"),
    ],
)
def test_flags_that_do_not_go_with_fit(grader: ScriptedEngine, flags: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit("--rubric", "criteria", *flags)


def test_missing_grades_are_counted_and_too_many_are_an_error(grader: ScriptedEngine) -> None:
    likely = grader.logprobs

    def some(request: Request, choices: Sequence[str]) -> Sequence[float]:
        text = plain(request.messages[0]["content"])
        lost = "clarity" in (request.prefill or "") and any(f"answer {n}\n" in text + "\n" for n in range(12))
        return [-math.inf] * len(choices) if lost else likely(request, choices)

    grader.logprobs = some
    with pytest.raises(JudgeError, match="only 48 of 60 labelled pairs have a verdict on every criterion"):
        fit("--rubric", "criteria")
    assert fit("--rubric", "criteria", "--min-coverage", "0.5")["pairs"] == 48


def test_a_dry_run_says_which_rows_are_there(grader: ScriptedEngine, capsys: Any) -> None:
    fit("--rubric", "criteria")
    n_asked = len(grader.asked)
    fit("--rubric", "criteria", "--dry-run")
    assert "480 calls in all; 120 rows of this judge are there already" in capsys.readouterr().out
    assert len(grader.asked) == n_asked


def test_a_fold_that_teaches_nothing_has_ties() -> None:
    features = np.array([[1.0], [1.0], [1.0], [-1.0]])
    pairs = Pairs(features, np.array([1.0, 1, -1, 1]), list("abcd"))  # without a or b it says nothing
    preferences, verdicts = out_of_fold(pairs, 4, 0)
    assert (preferences == 0.5).any() and (verdicts[preferences == 0.5] == 0).all()
