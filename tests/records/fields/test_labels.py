import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from records.fields.labels import parse_codes, side_of
from records.files import BadRows
from records.shapes import pairs_of, read_chats, read_pairs, read_responses

TWO = {"instruction": "Q", "output_1": "A", "output_2": "B"}
SIDE = {"a": "A", "b": "B"}


@pytest.mark.parametrize(
    ("label", "winner"),
    [
        (1, "a"), (2, "b"), ("1", "a"), ("2", "b"), (1.0, "a"), (2.0, "b"), (1.9999, "b"), (1.0001, "a"), ("1.9", "b"),
        (1.5, "tie"), (0, "tie"), ("0", "tie"), ("tie", "tie"), ("Tie (bothbad)", "tie"), ("A", "a"), ("B", "b"),
        (" b ", "b"), ("model_a", "a"), ("model_b", "b"), ("[[B]]", "b"), ("A>B", "a"), ("B>>A", "b"),
        ("output_2", "b"), ("response_1", "a"), ("second", "b"), ("[[A>>B]]", "a"), ("draw", "tie"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["label", "preference", "winner"])
def test_a_label_is_a_side_or_a_tie(label: object, winner: str, name: str) -> None:
    pairs = pairs_of({**TWO, name: label})
    assert [pair.chosen[0]["content"] for pair in pairs] == ([] if winner == "tie" else [SIDE[winner]])


@pytest.mark.parametrize(
    "label", [3, -1, 0.5, 2.0001, float("nan"), float("inf"), True, False, "", "neither", "C", [1], {"a": 1}, "1,9"]
)
def test_anything_else_is_no_label_and_never_a_tie(label: object) -> None:
    with pytest.raises(InputError, match="is no label"):
        pairs_of({**TWO, "label": label})


@pytest.mark.parametrize("record", [TWO, {**TWO, "label": None}, {**TWO, "winner": None, "preference": None}])
def test_two_answers_without_a_label_are_no_pair(record: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no label: which of output_1 and output_2 is better"):
        pairs_of(record)


def test_labels_that_contradict_each_other_are_no_label() -> None:
    with pytest.raises(InputError, match="contradict each other"):
        pairs_of({**TWO, "label": 1, "winner": "b"})
    assert pairs_of({**TWO, "label": 2, "preference": 1.8, "winner": "model_b"})[0].chosen[0]["content"] == "B"


def saved(tmp_path: Path, *labels: object, name: str = "label") -> Path:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({**TWO, "instruction": f"{n}", name: x}) + "\n" for n, x in enumerate(labels)))
    return path


@pytest.mark.parametrize("labels", [(0, 1), (1, 0, 1), ("1", "0"), (1.0, 0.0), (1, 1, 1, 0), (1, 1), (0, 0), (1,)])
@pytest.mark.parametrize("read", [read_pairs, read_chats])
def test_zero_and_one_alone_ask_for_codes(tmp_path: Path, labels: tuple[object, ...], read: Any) -> None:
    path = saved(tmp_path, *labels)
    with pytest.raises(InputError, match="all labels are [01].*--codes"):
        list(read(path, BadRows()))
    assert len(list(read(path, BadRows(), parse_codes("0=a,1=b")))) == len(labels)


@pytest.mark.parametrize(("codes", "chosen"), [("0=a,1=b", ["A", "B"]), ("1=a,0=b", ["B", "A"]), ("1=a,0=tie", ["A"])])
def test_codes_say_what_zero_and_one_mean(tmp_path: Path, codes: str, chosen: list[str]) -> None:
    pairs = read_pairs(saved(tmp_path, 0, 1), BadRows(), parse_codes(codes))
    assert [pair.chosen[0]["content"] for pair in pairs] == chosen


def test_codes_say_what_true_and_false_mean(tmp_path: Path) -> None:
    pairs = read_pairs(saved(tmp_path, True, False, "True"), BadRows(), parse_codes("true=a,false=b"))
    assert [pair.chosen[0]["content"] for pair in pairs] == ["A", "B", "A"]


@pytest.mark.parametrize("labels", [(0, 1, 2), (2, 0), (1.2, 0, 1)])
def test_other_labels_beside_them_say_what_zero_means(tmp_path: Path, labels: tuple[object, ...]) -> None:
    assert len(list(read_pairs(saved(tmp_path, *labels), BadRows()))) == sum(label != 0 for label in labels)


def test_auto_j_counts_from_zero_and_shp_from_its_first_answer() -> None:
    autoj = {"prompt": "Q", "response 1": "A", "response 2": "B"}
    assert [bool(pairs_of({**autoj, "label": label})) for label in (0, 1, 2)] == [True, True, False]
    assert pairs_of({**autoj, "label": 0})[0].chosen[0]["content"] == "A"
    shp = {"history": "a post", "human_ref_A": "A", "human_ref_B": "B"}
    [pair] = pairs_of({**shp, "labels": 0})
    assert (pair.prompt[0]["content"], pair.chosen[0]["content"]) == ("a post", "B")
    assert pairs_of({**shp, "labels": 1})[0].chosen[0]["content"] == "A"


def test_ties_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, 1, "tie", 2, 1.5, "neither")
    assert len(list(read_pairs(path, BadRows()))) == 2
    err = capsys.readouterr().err
    assert f"{path}: 2 of 4 rows are ties and left out" in err and f"skipped: {path}:5: 'label' is 'neither'" in err


def test_a_label_is_not_needed_where_both_answers_are_judged(tmp_path: Path) -> None:
    assert [row.response for row in read_responses(saved(tmp_path, 0, 1), BadRows())] == ["A", "B", "A", "B"]


@pytest.mark.parametrize("text", ["0:a", "0=first", "=a", ""])
def test_codes_have_one_form(text: str) -> None:
    with pytest.raises(InputError, match="--codes must be like"):
        parse_codes(text)


def test_codes_replace_the_usual_meanings() -> None:
    codes = parse_codes("Left=a, right=b")
    assert (side_of("LEFT", codes), side_of("right", codes)) == ("a", "b")
    with pytest.raises(InputError, match="expected left, right"):
        side_of("a", codes)
