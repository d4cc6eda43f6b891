import gzip
import json
from pathlib import Path

import pytest

from console.errors import InputError, RowError
from records.files import BadRows, checked_file, read_records

ROWS = [{"prompt": "a"}, {"prompt": 'b, "quoted"\nand two lines'}]


def records(path: Path) -> list[dict[str, object]]:
    return [record for _, record in read_records(path, BadRows())]


@pytest.mark.parametrize(
    "name", ["x.jsonl", "x.ndjson", "x.json", "x.csv", "x.tsv", "x.parquet", "x.jsonl.gz", "x.json.gz", "x.csv.gz"]
)
def test_every_kind_of_file_gives_the_same_records(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    kind = name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        text = {
            "json": json.dumps(ROWS),
            "csv": 'prompt\na\n"b, ""quoted""\nand two lines"\n',
            "tsv": 'prompt\na\n"b, ""quoted""\nand two lines"\n',
        }.get(kind, "".join(json.dumps(row) + "\n" for row in ROWS))
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert records(path) == ROWS


def test_json_lines_under_the_name_json_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert records(path) == ROWS


def test_a_line_that_is_not_json_is_named_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"prompt": str(n)}) + "\n" for n in range(16)) + "{oops\n" + '{"prompt": "z"}\n')
    bad = BadRows()
    assert len(list(read_records(path, bad))) == 17
    assert bad.n_bad == 1
    assert f"skipped: {path}:17: not JSON" in capsys.readouterr().err


def test_strict_stops_at_the_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "a"}\n{oops\n')
    with pytest.raises(RowError, match=r"x\.jsonl:2: not JSON"):
        list(read_records(path, BadRows(strict=True)))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[]"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("x.json" if content == b"[]" else "x.jsonl")
    path.write_bytes(content)
    with pytest.raises(InputError, match="the file has no rows"):
        records(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b'{"prompt": 1}', "expected a JSON list"),
        ("x.json", b"[1, 2", "not JSON"),
        ("x.json", b"\xff\xfe", "not UTF-8"),
        ("x.txt", b"hello", "unknown kind of file"),
        ("x.jsonl.gz", b"not gzip", "cannot be read"),
        ("x.jsonl.gz", gzip.compress(b'{"prompt": "a"}\n' * 2000, mtime=0)[:-20], "cannot be read"),
        ("x.parquet", b"PAR1 no", "not a Parquet file"),
        ("x.jsonl", b"\xff\xfe\n", "its only row is bad: .*x.jsonl:1: "),
        ("x.jsonl", b'"text"\n[1]\n', "all 2 rows are bad, the last one: .*x.jsonl:2: expected an object"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        records(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        records(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="is a folder"):
        records(tmp_path)


def test_a_name_that_is_neither_file_nor_hub_set_says_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file, and the hub did not give"):
        list(read_records("nobody/no-such-set", BadRows()))


def test_a_missing_file_of_examples_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ift.jsonl: no such file; python -m trainer.eft makes it"):
        checked_file(tmp_path / "eft" / "ift.jsonl")
    with pytest.raises(InputError, match=r"ift.jsonl: no such file$"):
        checked_file(tmp_path / "mine" / "ift.jsonl")


def test_the_reason_is_that_of_the_file_s_own_rows(tmp_path: Path) -> None:
    bad = BadRows(quiet=True)
    (tmp_path / "first.jsonl").write_text('{"a": 1}\n[2]\n')
    (tmp_path / "torn.jsonl").write_text('{"prompt": "x", "respon')
    assert len(list(read_records(tmp_path / "first.jsonl", bad))) == 1
    with pytest.raises(InputError, match=r"torn.jsonl: its only row is bad: .*torn.jsonl:1: not JSON"):
        list(read_records(tmp_path / "torn.jsonl", bad))
