"""Files and fields that are no such thing are one line that names the file, with exit code 2, in every command."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from engines.options import EngineOptions
from evals.alpaca.format import read_annotations
from judges.audit.stored import unlabelled_verdicts
from judges.cluster.equivalences.options import EquivalenceOptions
from judges.labelled.columns import columns_of
from judges.labelled.readers.formats import read_labelled
from judges.tools.search.corpus import read_passages
from records.files import BadRows
from tests.commands import command_named

JUNK = random.Random(1).randbytes(2000)
FILES = {
    "empty.jsonl": b"",
    "mark.jsonl": b"\xef\xbb\xbf",
    "list.json": b"[]",
    "object.json": b"{}",
    "object.jsonl": b"{}\n",
    "null.json": b"null",
    "numbers.json": b"[1, 2]",
    "digits.json": b"1" * 5000,
    "deep.jsonl": b"[" * 100_000,
    "deep.json": b'{"a":' * 100_000,
    "nul.jsonl": b"\0\0\0\n",
    "junk.jsonl": JUNK,
    "junk.jsonl.gz": JUNK,
    "junk.csv": JUNK,
    "junk.parquet": JUNK,
    "junk.txt": JUNK,
    "header.csv": b"prompt,response,chosen,rejected,score\n",
    "folder.jsonl": None,
}
SERVED = {"engine": EngineOptions(model="m", base_url="http://127.0.0.1:9/v1"), "dry_run": True}
COMMANDS: list[tuple[str, str, dict[str, Any]]] = [
    ("judges.score", "file", SERVED),
    ("judges.compare", "a", SERVED),
    ("judges.rescore", "file", {}),
    ("judges.cluster", "file", {"relation": EquivalenceOptions(equivalence="exact")}),
    ("judges.calibrate", "file", SERVED),
    ("judges.best_of", "file", {}),
    ("trainer.pairs", "file", {}),
    ("trainer.eft", "file", {"split_only": True}),
    ("evals.alpaca", "annotations", {}),
    ("tui.__main__", "source", {"json": True}),
]
HUGE = "9" * 400
VALUES = [
    "1e400", "1" * 5000, HUGE, f"-{HUGE}", "NaN", "-Infinity", '"a\\u0000b"', '"a\\ud800b"', "[" * 3000 + "]" * 3000,
    '""', "null", "[]", "{}", "true", "[null]", "[{}]", f'"{HUGE}"', '"1e400"', '[{"role": 1, "content": 2}]',
    '"\\u001b[2J"',
]  # fmt: skip


def given(command: str, path: Path) -> Any:
    return (path,) if command.startswith("tui") else path  # which takes several


@pytest.mark.parametrize(("command", "flag", "others"), COMMANDS, ids=[name for name, *_ in COMMANDS])
def test_a_file_without_rows_is_one_line_that_names_it(
    command: str, flag: str, others: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = command_named(command)
    for name, content in FILES.items():
        path = tmp_path / name
        path.mkdir() if content is None else path.write_bytes(content)
        with pytest.raises(InputError) as found:
            module.main(module.Config(**{flag: given(command, path)}, **others))
        said = str(found.value)
        assert name in said and "\n" not in said and len(said) < len(str(path)) + 400, (name, said)
    assert not (tmp_path / "runs").exists() or not [*(tmp_path / "runs").rglob("*.jsonl")]


def _annotations(path: Path, bad: BadRows) -> int:
    return len(read_annotations(path, bad))


def _labelled(path: Path, bad: BadRows) -> int:
    return len(read_labelled(path, None, columns_of(None, None, None, None), bad).pairs)


def _passages(path: Path, _: BadRows) -> int:
    return len(list(read_passages(path)))


NAMES = ("generator_1", "generator_2", "annotator")
"""Who made the rows of a file: several are an error of the whole file."""
ANNOTATION = {"instruction": "q", "output_1": "a", "output_2": "b", "generator_1": "x", "generator_2": "y"}
READERS: list[tuple[Callable[[Path, BadRows], int], dict[str, object]]] = [
    (_annotations, ANNOTATION | {"preference": 1.5, "annotator": "z", "index": 3, "dataset": "d"}),
    (_labelled, {"id": "i", "instruction": "q", "input": "", "output_1": "a", "output_2": "b", "label": 1}),
    (_labelled, {"prompt": "q", "chosen": "a", "rejected": "b", "id": "i", "weight": 1.0}),
    (_passages, {"id": "d", "text": "some words", "title": "t", "url": "u"}),
]


@pytest.mark.parametrize(("read", "row"), READERS, ids=range(len(READERS)))
def test_a_field_with_anything_in_it_never_ends_the_reading(
    read: Callable[[Path, BadRows], int], row: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    other = row | ({"label": 2} if "label" in row else {})
    for name in row:
        odd = [json.dumps(row | {name: "ODD"}).replace('"ODD"', value) for value in VALUES]
        path.write_text(
            "\n".join([json.dumps(row), *odd, json.dumps(other), json.dumps(row)[:-1] + f', "{name}": 1}}'])
        )
        if name in NAMES:
            with pytest.raises(InputError, match="give one file each|no one measurement"):
                read(path, BadRows(quiet=True))
        else:
            assert read(path, BadRows(quiet=True)) >= 1, name


def test_labels_and_verdicts_that_cannot_be_understood_name_their_file(tmp_path: Path) -> None:
    labelled, verdicts = tmp_path / "labelled.jsonl", tmp_path / "verdicts.jsonl"
    row = {"instruction": "q", "input": "", "output_1": "a", "output_2": "b", "label": 1}
    labelled.write_text("\n".join(json.dumps(row | {"id": n}) for n in range(3)))
    with pytest.raises(InputError, match=r"labelled\.jsonl: .*--codes"):
        _labelled(labelled, BadRows(quiet=True))
    verdicts.write_text("{}\n")
    with pytest.raises(InputError, match=r"verdicts\.jsonl: no verdict: expected a column"):
        unlabelled_verdicts(verdicts, columns_of(None, None, None, None), BadRows(quiet=True))
