"""Stored annotations are one measurement: one annotator, two models, each instruction once, and none missing unsaid."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from evals.alpaca.__main__ import main
from evals.alpaca.format import read_annotations
from evals.alpaca.metrics import win_rates
from evals.alpaca.options import Config
from evals.alpaca.rows import Annotation, each_once
from records.files import BadRows

Row = dict[str, Any]


def rows(*preferences: Any, **more: Any) -> list[Row]:
    return [
        {"instruction": f"i{n}", "output_1": "x", "output_2": f"y{n}", "generator_1": "base", "generator_2": "new",
         "annotator": "judge", "preference": preference, **more}
        for n, preference in enumerate(preferences)
    ]  # fmt: skip


def written(path: Path, found: list[Row]) -> Path:
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def once(tmp_path: Path, found: list[Row]) -> list[Annotation]:
    path = written(tmp_path / "a.json", found)
    return each_once(read_annotations(path, BadRows(strict=True)), path)


def run(path: Path, *more: str) -> None:
    main(parse(Config, ["--annotations", str(path), *more], "prog"))


def test_annotators_are_not_mixed_and_one_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.json", [*rows(1, 1, 1), *rows(2, 2, annotator="other")])
    with pytest.raises(InputError, match=r"by 2 annotators.*judge \(3\), other \(2\).*--annotator"):
        run(path)
    for name, rate in (("judge", 0), ("other", 100)):
        run(path, "--annotator", name, "--json")
        found = json.loads(capsys.readouterr().out)
        assert (found["annotator"], found["win_rate"]) == (name, rate)
    with pytest.raises(InputError, match="there are only judge"):
        run(path, "--annotator", "third")


@pytest.mark.parametrize(
    "second",
    [{"annotator": None}, {"annotator": ""}, {"annotator": 7}, {"annotator": None, "annotator_index": 3}],
)
def test_rows_of_somebody_else_or_of_nobody_are_not_the_first_ones(tmp_path: Path, second: Row) -> None:
    path = written(tmp_path / "a.json", [*rows(1, 1), *rows(2, **second)])
    with pytest.raises(InputError, match="by 2 annotators"):
        read_annotations(path, BadRows())


def test_people_who_are_numbered_are_annotators(tmp_path: Path) -> None:
    found = rows(1, 2)
    for number, row in enumerate(found):
        del row["annotator"]
        row["annotator_index"] = number
    with pytest.raises(InputError, match=r"by 2 annotators.*0 \(1\), 1 \(1\)"):
        read_annotations(written(tmp_path / "a.json", found), BadRows())


@pytest.mark.parametrize("name", ["generator_1", "generator_2"])
def test_models_are_not_mixed(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.json", [*rows(1, 1), *rows(2, **{name: "third"})])
    with pytest.raises(InputError, match=f"'{name}' names 2 models"):
        read_annotations(path, BadRows())


def test_rows_that_stand_there_twice_count_once_and_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(1, 2, 2, 1.5)
    for some in ([*found, *found[:2]], [*found[::-1], found[2], found[2]]):
        metrics = win_rates(once(tmp_path, some))
        assert (metrics.n_total, metrics.win_rate) == (4, 62.5)
        assert "2 repeats of another row, not counted" in capsys.readouterr().err


def test_a_row_that_was_annotated_again_counts_with_its_preference_in_any_order(tmp_path: Path) -> None:
    found = [*rows(None, 2), rows(2)[0]]
    for some in (found, found[::-1]):
        assert win_rates(once(tmp_path, some)).n_total == len(once(tmp_path, some)) == 2


def test_rows_that_contradict_each_other_have_no_preference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [*rows(1, 2), rows(2)[0], rows(1)[0]]
    for some in (found, found[::-1]):
        kept = once(tmp_path, some)
        assert sorted((row.instruction or "", row.preference) for row in kept) == [("i0", None), ("i1", 2)]
        assert "contradict" in capsys.readouterr().err
    assert next(row.error for row in kept if row.preference is None) == (
        "the instruction stands there several times with different preferences"
    )


def test_several_outputs_for_one_instruction_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [*rows(1, 2), {**rows(2)[0], "output_2": "another"}]
    assert len(once(tmp_path, found)) == 3
    assert "1 instructions have several rows with different outputs" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "n_total"), [(0, 3), (1.5, 3), (None, 2), (float("nan"), 2), ("nan", 2), ("", 2)])
def test_a_draw_is_a_draw_and_nothing_is_nothing(tmp_path: Path, value: Any, n_total: int) -> None:
    metrics = win_rates(read_annotations(written(tmp_path / "a.json", rows(1, 2, value)), BadRows(strict=True)))
    assert (metrics.n_total, metrics.n_draws, metrics.win_rate) == (n_total, n_total - 2, 50)


@pytest.mark.parametrize("value", [-1, 3, 0.5, 1e9, float("inf"), "3", [1], {"a": 1}, True])
def test_what_is_no_preference_is_named_and_no_loss(
    tmp_path: Path, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = win_rates(read_annotations(written(tmp_path / "a.json", rows(1, 2, value)), BadRows()))
    assert (metrics.n_total, metrics.win_rate) == (2, 50)
    assert "row 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "values",
    [(0, 1, 1, 1), (0.0, 1.0), ("0", "1"), (0, 0), (0, None, 1), (0.1, 0.9, 1), (-1, 0, 1), (0, float("nan"), 1)],
)
def test_preferences_of_another_scale_are_refused_and_no_draws_or_losses(tmp_path: Path, values: Any) -> None:
    path = written(tmp_path / "a.json", rows(*values))
    with pytest.raises(InputError, match=r"a\.json: the preferences are numbers from .* cannot be told"):
        read_annotations(path, BadRows())


@pytest.mark.parametrize("values", [(1, 1), (1.0,), (0, 2), (0, 1, 1.5), (0, 1, 1.0001), (2, 2)])
def test_preferences_from_1_to_2_are_read_whatever_of_them_occurs(tmp_path: Path, values: Any) -> None:
    found = read_annotations(written(tmp_path / "a.json", rows(*values)), BadRows(strict=True))
    assert [row.preference for row in found] == list(values)


def published(data: Path, model: str) -> list[Row]:
    with gzip.open(data / "alpaca_eval" / "ae2_annotations" / f"{model}.json.gz") as file:
        found: list[Row] = json.load(file)
        return found


def test_missing_instructions_are_counted_and_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data / "alpaca_eval" / "ae2_annotations" / "text_davinci_001.json.gz"
    run(path)
    printed = capsys.readouterr()
    assert "only 803 of AlpacaEval's 805 instructions; missing are 2, in its set's rows from 0: 247, 504" in printed.err
    assert "on 803 of AlpacaEval's 805 instructions" in " ".join(printed.out.split())
    run(path, "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["n_rows"], found["missing"], found["n_total"]) == (803, [247, 504], 803)


def test_a_doubled_row_does_not_hide_that_another_is_missing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = published(data, "alpaca-7b")
    run(written(tmp_path / "a.json", [found[1], *found[1:]]), "--json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["missing"] == [0] and json.loads(printed.out)["n_total"] == 804
    assert "1 repeat of another row" in printed.err and "only 804 of AlpacaEval's 805" in printed.err


def test_a_whole_set_in_any_order_has_the_published_win_rate_and_nothing_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = published(data, "alpaca-7b")
    run(written(tmp_path / "a.json", found[::-1]), "--json")
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["win_rate"] == pytest.approx(2.591450540223603) and result["missing"] == []
    assert "repeat" not in printed.err and "missing" not in printed.err


def test_other_sets_have_no_number_of_instructions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(written(tmp_path / "a.json", rows(1, 2, 2)), "--json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["missing"] is None and "805" not in printed.err
