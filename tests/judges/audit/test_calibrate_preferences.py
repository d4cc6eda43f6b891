"""Preference data that trainer.dpo reads are labelled sets too, and the same answer is the better one in them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import InputError
from judges.judging.contests import read_contests
from judges.labelled.columns import Columns
from judges.labelled.readers.formats import read_labelled
from judges.rubrics.rubric import load_rubric
from records import Comparison, Usage
from records.files import BadRows
from records.shapes import responses_of
from tests.records.other_peoples_rows import NECTAR, PAIRS, Bad, mt_bench, pandalm, steered
from tui.reading.table import open_files

SINGLE = {name: case for name, case in PAIRS.items() if not isinstance(case[1], Bad) and case[1]}
del SINGLE["an empty label beside one"]  # of two columns with labels an audit takes the first, empty or not


def saved(folder: Path, *rows: Any) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def better(path: Path) -> list[str]:
    first = json.loads(path.read_text().splitlines()[0])
    own = "winner" in first and "question_id" not in first  # it may be a judge's, so that it must be said whose it is
    found = read_labelled(path, None, Columns(human="winner" if own else None), BadRows(strict=True)).pairs
    sides = {"a": lambda pair: pair.response_a, "b": lambda pair: pair.response_b, "tie": lambda pair: "tie"}
    return [sides[pair.label](pair) for pair in found]


@pytest.mark.parametrize("name", SINGLE)
def test_the_same_answer_is_the_better_one_for_audit_screen_and_comparison(tmp_path: Path, name: str) -> None:
    record, meant = SINGLE[name]
    path = saved(tmp_path, record)
    assert meant[0][1] in better(path)
    table = open_files(path, strict=True)
    items = [table.body(row).item for row in range(len(table))]
    assert [item.text_a if item.winner == 1 else item.text_b for item in items] == [one[1] for one in meant]
    if len(responses_of(record)) == 2:
        [contest] = read_contests(path, None, load_rubric("pairwise"), strict=True)
        assert {contest.response_a, contest.response_b} == set(meant[0][1:])


def test_ties_are_labels_here(tmp_path: Path) -> None:
    assert better(saved(tmp_path, steered(0), steered(2), steered(-1))) == ["tie", "B", "A"]
    assert better(saved(tmp_path, pandalm(0, 1, 2), pandalm(2, 2, 0))) == ["tie", "B"]


def test_ranked_answers_are_every_two_that_are_not_tied(tmp_path: Path) -> None:
    assert better(saved(tmp_path, NECTAR)) == ["A", "A", "C"]


def test_a_vote_on_the_first_turn_of_two_is_on_that_answer(tmp_path: Path) -> None:
    [pair] = read_labelled(saved(tmp_path, mt_bench(1)), None, Columns(), BadRows(strict=True)).pairs
    assert (pair.prompt, {pair.response_a, pair.response_b}, pair.label) == ("Q", {"A", "B"}, "b")


def test_what_this_projects_judge_said_is_no_label(tmp_path: Path) -> None:
    row = Comparison(
        id="c", prompt_id="p", prompt="Q", response_a="a", response_b="b", model_a="x", model_b="y", winner="a",
        first_order="a", second_order="a", flipped=False, preference_b=0.0, replies=[], error=None, rubric="pairwise",
        judge="j", usage=Usage(),
    )  # fmt: skip
    with pytest.raises(InputError, match="match no known labelled set"):
        read_labelled(saved(tmp_path, msgspec.to_builtins(row)), None, Columns(), BadRows())


def test_more_than_two_answers_in_a_row_are_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError):
        read_contests(saved(tmp_path, NECTAR), None, load_rubric("pairwise"), strict=False)
    assert "x.jsonl:1: 3 answers, and two are compared" in capsys.readouterr().err
