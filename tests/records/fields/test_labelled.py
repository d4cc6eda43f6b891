"""Numbers that may mean either side, or are of a scale that is not known, ask what they mean instead of being read."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.labelled.columns import Columns, columns_of
from judges.labelled.readers.formats import read_labelled
from records.fields.labels import parse_codes
from records.files import BadRows
from records.shapes import read_chats, read_pairs
from tui.reading.table import open_files

AMBIGUOUS = [
    (0, 1, "tie"), (0, 1, None), (0.0, 1.0, "both"), (0, 0.5, 1), (1, 0.5), (-1, 1), (-1, 0, 1), (1, 2, 3, 4, 5),
    (0.1, 0.9, 1), (-3, 2, 1), ("-1", "1"), (1,), (0,), (1, 1, 1), (0, 0), ("1", "1"), (1.0,), (1, "tie"), ("a", 1),
    ("a", "b", 0), (-1, 0), (-1, 2), ("model_0", "model_1"), ("response0", "response1"), ("output_0",), ("Answer 0",),
]  # fmt: skip
PLAIN = [
    ((1, 2), 2), ((0, 1, 2), 2), ((0, 2), 1), ((2,), 1), ((1.0001, 1.5, 1.99), 2), ((1, 1.2), 2), ((1, 2, "tie"), 2),
    (("a", 5), 1), (("a", "tie"), 1),
]  # fmt: skip


def rows(*labels: object) -> list[dict[str, Any]]:
    return [{"instruction": f"Q{n}", "output_1": "A", "output_2": "B", "label": x} for n, x in enumerate(labels)]


def saved(folder: Path, records: list[dict[str, Any]], name: str = "x.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in records))
    return path


@pytest.mark.parametrize("labels", AMBIGUOUS)
def test_numbers_of_an_unknown_scale_ask_for_codes_in_every_reader(tmp_path: Path, labels: tuple[object, ...]) -> None:
    path = saved(tmp_path, rows(*labels))
    for reading in (
        lambda: list(read_pairs(path, BadRows(quiet=True))),
        lambda: list(read_chats(path, BadRows(quiet=True))),
        lambda: open_files(path),
        lambda: read_labelled(path, "pairs", Columns(), BadRows(quiet=True)),
    ):
        with pytest.raises(InputError, match="--codes"):
            reading()


@pytest.mark.parametrize(("labels", "n"), PLAIN)
def test_numbers_of_the_usual_scale_are_read(tmp_path: Path, labels: tuple[object, ...], n: int) -> None:
    assert len(list(read_pairs(saved(tmp_path, rows(*labels)), BadRows(quiet=True)))) == n


def test_codes_may_name_negative_numbers(tmp_path: Path) -> None:
    path = saved(tmp_path, rows(-1, 1, 0))
    pairs = list(read_pairs(path, BadRows(), parse_codes("-1=a,1=b,0=tie")))
    assert [pair.chosen[0]["content"] for pair in pairs] == ["A", "B"]
    found = read_labelled(path, "pairs", columns_of(None, None, None, "-1=a,1=b,0=tie"), BadRows())
    assert [pair.label for pair in found.pairs] == ["a", "b", "tie"]


@pytest.mark.parametrize("first", [{"prompt": "Q", "chosen": "A", "rejected": "B"}, {"output_1": "A", "output_2": "B"}])
@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_labels_that_begin_late_in_a_file_are_seen(tmp_path: Path, first: dict[str, Any], name: str) -> None:
    records = [{"instruction": f"q{n}", **first} for n in range(30)] + rows(0, 1, 1, 0)
    path = saved(tmp_path, records)
    if name == "x.json":
        path = tmp_path / name
        path.write_text(json.dumps(records))
    for reading in (lambda: list(read_pairs(path, BadRows(quiet=True))), lambda: open_files(path)):
        with pytest.raises(InputError, match="all labels are 0 or 1"):
            reading()


@pytest.mark.parametrize("labels", [(1,), (0,), (1, "tie"), ("a", "b", 0)])
def test_the_codes_that_an_error_advises_are_read(tmp_path: Path, labels: tuple[object, ...]) -> None:
    path = saved(tmp_path, rows(*labels))
    with pytest.raises(InputError) as found:
        list(read_pairs(path, BadRows(quiet=True)))
    advised = [word.strip(",") for word in str(found.value).split() if word.startswith(("0=a", "1=a"))]
    assert len(advised) == 4
    for codes in advised:
        said = read_labelled(path, "pairs", columns_of(None, None, None, codes), BadRows(strict=True))
        assert len(said.pairs) == len(labels)


ZERO = {"prompt": "Q", "response_0": "A", "response_1": "B"}
MODELS = {"prompt": "Q", "response_a": "A", "response_b": "B", "model_a": "model_0", "model_b": "model_1"}


@pytest.mark.parametrize("labels", [(1, 2), (0, 1), (0, 1, 2), (2,)])
def test_numbers_beside_answers_that_count_from_zero_ask(tmp_path: Path, labels: tuple[object, ...]) -> None:
    path = saved(tmp_path, [{**ZERO, "prompt": f"{n}", "label": label} for n, label in enumerate(labels)])
    with pytest.raises(InputError, match="counted from 0.*--codes 0=a,1=b"):
        list(read_pairs(path, BadRows(quiet=True)))
    with pytest.raises(InputError, match="counted from 0"):
        read_labelled(path, "pairs", Columns(), BadRows(quiet=True))


@pytest.mark.parametrize(
    ("record", "label", "chosen"),
    [
        (ZERO, "response_1", "B"), (ZERO, "response_0", "A"), (ZERO, "Response 1", "B"),
        ({**MODELS, "model_a": "b", "model_b": "c"}, "c", "B"),
    ],
)  # fmt: skip
def test_a_label_that_names_an_answer_means_that_answer(
    tmp_path: Path, record: dict[str, Any], label: str, chosen: str
) -> None:
    path = saved(tmp_path, [{**record, "label": label}])
    [pair] = read_pairs(path, BadRows(strict=True))
    assert pair.chosen[0]["content"] == chosen
    [labelled] = read_labelled(path, "pairs", Columns(), BadRows(strict=True)).pairs
    assert labelled.label == {"A": "a", "B": "b"}[chosen]


def test_a_label_that_names_one_answers_model_and_the_others_place_is_a_bad_row(tmp_path: Path) -> None:
    records = [{**MODELS, "label": "tie"}, {**MODELS, "label": "model_1"}, {**MODELS, "model_a": "b", "label": "b"}]
    path, bad, audited = saved(tmp_path, records), BadRows(quiet=True), BadRows(quiet=True)
    assert list(read_pairs(path, bad)) == [] and bad.n_bad == 2
    found = read_labelled(path, "pairs", Columns(), audited)
    assert [pair.label for pair in found.pairs] == ["tie"] and audited.n_bad == 2


LLMBAR = {"input": "Q", "output_1": "A", "output_2": "B"}
ALPACA = {**LLMBAR, "instruction": "Q", "generator_1": "m", "generator_2": "n", "annotator": "j"}


@pytest.mark.parametrize(("record", "name"), [(LLMBAR, "label"), (ALPACA, "preference")])
def test_a_format_that_counts_from_one_is_read_whatever_labels_occur(
    tmp_path: Path, record: dict[str, Any], name: str
) -> None:
    [pair] = read_pairs(saved(tmp_path, [{**record, name: 1}]), BadRows(strict=True))
    assert pair.chosen[0]["content"] == "A"
    with pytest.raises(InputError, match="--codes"):
        list(read_pairs(saved(tmp_path, [{**record, name: 1}, {**record, name: 0}]), BadRows(quiet=True)))


@pytest.mark.parametrize("labels", [(0, 1), (0,), (-1, 1)])
def test_llmbars_fields_with_labels_that_it_does_not_have_ask(tmp_path: Path, labels: tuple[object, ...]) -> None:
    path = saved(tmp_path, [{**LLMBAR, "input": f"{n}", "label": label} for n, label in enumerate(labels)])
    with pytest.raises(InputError, match="--codes"):
        read_labelled(path, None, Columns(), BadRows(quiet=True))
    codes = ",".join(f"{label}={side}" for label, side in zip(labels, "ab", strict=False))
    found = read_labelled(path, None, columns_of(None, None, None, codes), BadRows(strict=True))
    assert [pair.label for pair in found.pairs] == list("ab")[: len(labels)]
