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
from tui.query import load_pairs

AMBIGUOUS = [
    (0, 1, "tie"), (0, 1, None), (0.0, 1.0, "both"), (0, 0.5, 1), (1, 0.5), (-1, 1), (-1, 0, 1), (1, 2, 3, 4, 5),
    (0.1, 0.9, 1), (-3, 2, 1), ("-1", "1"),
]  # fmt: skip
PLAIN = [((1, 2), 2), ((0, 1, 2), 2), ((1.0001, 1.5, 1.99), 2), ((1, "tie"), 1), ((1, 1), 2), (("a", 5), 1)]


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
        lambda: load_pairs(path),
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
    for reading in (lambda: list(read_pairs(path, BadRows(quiet=True))), lambda: load_pairs(path)):
        with pytest.raises(InputError, match="all labels are 0 or 1"):
            reading()
