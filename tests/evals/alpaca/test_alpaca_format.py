import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, RowError
from evals.alpaca.format import Annotation, annotation_row, output_row, read_annotations, write_json
from evals.alpaca.metrics import win_rates, write_leaderboard
from records import Comparison, Prompt, Response, Usage
from records.files import BadRows
from records.shapes import read_responses

PROMPT = Prompt(id="p", prompt="How far is the moon?", source="koala")
BASELINE = Response(id="b", prompt_id="p", prompt="How far is the moon?", response="Far.", model="base")


def comparison(preference_b: float | None, error: str | None = None) -> Comparison:
    return Comparison(
        id="c",
        prompt_id="p",
        prompt=PROMPT.prompt,
        response_a="Far.",
        response_b="384,400 km.",
        model_a="base",
        model_b="new",
        winner=None,
        first_order=None,
        second_order=None,
        flipped=None,
        preference_b=preference_b,
        replies=["Better: B", "Better: A"],
        error=error,
        rubric="pairwise",
        judge="0123456789abcdef",
        usage=Usage(),
    )


def written(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_annotations_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        annotation_row(PROMPT, BASELINE, "new", comparison(0.75), "judge-1"),
        annotation_row(PROMPT, BASELINE, "new", comparison(None, "no verdict"), "judge-1"),
        annotation_row(PROMPT, BASELINE, "new", None, "judge-1"),
    ]
    write_json(tmp_path / "annotations.json", rows)
    assert read_annotations(tmp_path / "annotations.json", BadRows(strict=True)) == rows


def test_an_annotation_has_alpaca_evals_fields(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [annotation_row(PROMPT, BASELINE, "new", comparison(0.75), "judge-1")])
    assert json.loads((tmp_path / "a.json").read_text()) == [
        {
            "instruction": "How far is the moon?",
            "output_1": "Far.",
            "generator_1": "base",
            "output_2": "384,400 km.",
            "generator_2": "new",
            "dataset": "koala",
            "annotator": "judge-1",
            "preference": 1.75,
            "raw_completion": ["Better: B", "Better: A"],
        }
    ]


def test_no_verdict_is_null_with_its_reason_and_never_a_draw() -> None:
    row = annotation_row(PROMPT, BASELINE, "new", comparison(None, "truncated"), "judge-1")
    assert (row.preference, row.error) == (None, "truncated")
    found = win_rates([row, annotation_row(PROMPT, BASELINE, "new", comparison(1.0), "judge-1")])
    assert (found.win_rate, found.n_total, found.n_draws) == (100, 1, 0)


def test_model_outputs_are_read_as_responses_again(tmp_path: Path) -> None:
    write_json(tmp_path / "model_outputs.json", [output_row(PROMPT, BASELINE)])
    assert json.loads((tmp_path / "model_outputs.json").read_text()) == [
        {"dataset": "koala", "instruction": "How far is the moon?", "output": "Far.", "generator": "base"}
    ]
    (row,) = read_responses(tmp_path / "model_outputs.json", BadRows(strict=True))
    assert (row.prompt, row.response, row.model) == (PROMPT.prompt, "Far.", "base")


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_null_or_nan_preference_is_no_verdict(tmp_path: Path, value: float | None) -> None:
    path = written(tmp_path / "a.json", [{"preference": value}, {"preference": 2}])
    assert [row.preference for row in read_annotations(path, BadRows(strict=True))] == [None, 2]


def test_annotations_may_be_gzipped_or_csv(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b'[{"preference": 1.25}]'))
    (tmp_path / "a.csv").write_text("output_2,preference\nyes,1.25\nno,\n", encoding="utf-8")
    assert [row.preference for row in read_annotations(tmp_path / "a.json.gz", BadRows())] == [1.25]
    assert [row.preference for row in read_annotations(tmp_path / "a.csv", BadRows())] == [1.25, None]


@pytest.mark.parametrize("value", [3, 0.5, -1, "b", True, [1]])
def test_a_preference_out_of_range_is_named_and_counts_as_no_verdict(
    tmp_path: Path, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.json", [{"preference": value}, {"preference": 2}])
    first, second = read_annotations(path, BadRows())
    assert (first.preference, second.preference) == (None, 2)
    assert "row 1" in capsys.readouterr().err
    with pytest.raises(RowError, match="row 1.*preference"):
        read_annotations(path, BadRows(strict=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("{}", "expected a JSON list"),
        ("[]", "no rows"),
        ('[{"instruction": "x", "output": "y"}]', "no row has a 'preference'"),
        ('[{"preference": 1, "generator_2": "a"}, {"preference": 1, "generator_2": "b"}]', "names 2 models"),
    ],
)
def test_a_file_that_holds_no_annotations_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_annotations(tmp_path / "a.json", BadRows())


def test_a_missing_file_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(InputError, match="owner/name: no such file"):
        read_annotations(Path("owner/name"), BadRows())


def test_no_verdict_at_all_has_no_win_rate() -> None:
    row = Annotation(
        instruction="x", output_1="a", generator_1="g", output_2="b", generator_2="h", dataset=None, annotator="j",
        preference=None, raw_completion=None,
    )  # fmt: skip
    assert (win_rates([row]).win_rate, win_rates([row]).n_total) == (None, 0)


def test_the_leaderboard_file_has_the_packages_columns(tmp_path: Path) -> None:
    rows = [annotation_row(PROMPT, BASELINE, "new", comparison(value), "judge-1") for value in (0.0, 1.0)]
    write_leaderboard(tmp_path / "leaderboard.csv", "new", win_rates(rows))
    header, line = (tmp_path / "leaderboard.csv").read_text().splitlines()
    assert header == (
        ",win_rate,standard_error,n_wins,n_wins_base,n_draws,n_total,discrete_win_rate,mode,avg_length,"
        "length_controlled_winrate,lc_standard_error"
    )
    assert line == "new,50.0,50.0,1,1,0,2,50.0,community,11,,"
