"""In a column of preferences from 1 to 2 the whole numbers are preferences too, the surest ones."""

from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.audit.stored import stored_verdicts, unlabelled_verdicts
from judges.labelled.cells import winner_of
from judges.labelled.columns import Columns, columns_of
from judges.labelled.readers.formats import read_labelled
from records.fields.labels import CODES
from records.files import BadRows
from tests.verdict_tables import joined, jsonl, pairs

CELLS = [1.0, 2.0, 1.2, 1.8, 1.5, 0]
EXPECTED = [0.0, 1.0, 0.2, 0.8, 0.5, 0.5]
SIDES = ["a", "b", "a", "b", "tie", "tie"]


def table(cells: list[Any], column: str = "preference") -> list[dict[str, Any]]:
    return [{"id": n, column: cell} for n, cell in enumerate(cells)]


@pytest.mark.parametrize("cells", [CELLS, [str(cell) for cell in CELLS], [1, "2", "1.20", 1.8, 1.5, "0.0"]])
@pytest.mark.parametrize("column", ["preference", "verdict", "gpt4_preference"])
def test_whole_preferences_keep_their_probability(tmp_path: Path, cells: list[Any], column: str) -> None:
    named = columns_of(column if column == "gpt4_preference" else None, None, None, None)
    found = joined(tmp_path, pairs(id=lambda i: i), table(cells, column), named)
    assert [verdict.winner for verdict in found.verdicts] == SIDES
    assert [verdict.preference_b for verdict in found.verdicts] == pytest.approx(EXPECTED)


def test_they_do_in_the_labelled_file_itself_and_in_a_file_without_labels(tmp_path: Path) -> None:
    rows = [{**row, "human": row.pop("label"), **one} for row, one in zip(pairs(), table(CELLS), strict=True)]
    path = jsonl(tmp_path / "own.jsonl", rows)
    labelled = read_labelled(path, None, Columns(), BadRows(strict=True))
    own = stored_verdicts(path, labelled, Columns(), BadRows(), own=True)
    assert [verdict.preference_b for verdict in own.verdicts] == pytest.approx(EXPECTED)
    test, _ = unlabelled_verdicts(jsonl(tmp_path / "test.jsonl", table(CELLS)), Columns(), BadRows())
    assert [verdict.preference_b for verdict in test] == pytest.approx(EXPECTED)


def test_turned_sides_turn_a_whole_preference_too(tmp_path: Path) -> None:
    labels = pairs(model_a=lambda i: "m", model_b=lambda i: "base", id=lambda i: i)
    turned = [{**row, "model_a": "base", "model_b": "m"} for row in table(CELLS)]
    found = joined(tmp_path, labels, turned)
    assert [verdict.preference_b for verdict in found.verdicts] == pytest.approx([1 - p for p in EXPECTED])


@pytest.mark.parametrize("cells", [[1, 2, 0, 1, 2, 0], [1.0, 2.0, 1.5, 1.0, 2.0, 1.5]])
def test_codes_alone_are_no_probabilities(tmp_path: Path, cells: list[Any]) -> None:
    found = joined(tmp_path, pairs(id=lambda i: i), table(cells))
    assert [verdict.preference_b for verdict in found.verdicts] == [None] * 6
    assert [verdict.winner for verdict in found.verdicts] == ["a", "b", "tie"] * 2


def test_codes_that_are_given_stay_codes(tmp_path: Path) -> None:
    given = columns_of(None, None, None, "a=a,b=b,1=b,2=a")
    found = joined(tmp_path, pairs(id=lambda i: i), table([1, 2, 1.2, 1, 2, 1]), given)
    assert [verdict.winner for verdict in found.verdicts] == ["b", "a", None, "b", "a", "b"]
    assert {verdict.preference_b for verdict in found.verdicts} == {None}


def test_a_word_among_preferences_is_a_word() -> None:
    assert [winner_of(cell, CODES, graded=True) for cell in ("a", "tie", None, "?")] == [
        ("a", None), ("tie", None), (None, None), (None, None),
    ]  # fmt: skip


# -- another reader that takes 1 for the first answer


def vote(winner: Any, question: int = 1) -> dict[str, Any]:
    return {"question_id": question, "model_a": "m", "model_b": "n", "winner": winner, "judge": "h", "turn": 1}


@pytest.mark.parametrize("winners", [[0, 1], ["1", "1"], [0, 0], [1, "tie"]])
def test_winners_of_0_and_1_ask_for_codes_and_follow_them(tmp_path: Path, winners: list[Any]) -> None:
    path = jsonl(tmp_path / "x.jsonl", [vote(winner, n) for n, winner in enumerate(winners)])
    with pytest.raises(InputError, match="cannot be told; say it with --codes"):
        read_labelled(path, None, Columns(), BadRows())
    labelled = read_labelled(path, None, columns_of(None, None, None, "0=a,1=b"), BadRows(strict=True))
    meant = {0: "a", 1: "b", "1": "b", "tie": "tie"}
    assert [pair.label for pair in labelled.pairs] == [meant[winner] for winner in winners]


def test_winners_with_a_2_or_words_are_read(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [vote(winner, n) for n, winner in enumerate([1, 2, 0, "model_a"])])
    labelled = read_labelled(path, None, Columns(), BadRows(strict=True))
    assert [pair.label for pair in labelled.pairs] == ["a", "b", "tie", "a"]
