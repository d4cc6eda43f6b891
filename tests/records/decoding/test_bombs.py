"""What is far too large is one line that names the file, the line and what to do."""

import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console import reading
from console.config import load_config
from console.errors import InputError
from records import files
from records.decoding import documents, tables
from records.decoding.lines import lines_of, text_of_file
from records.files import BadRows, is_indexed, read_records
from records.rows import Row
from records.store import Store, read_rows
from tests.conftest import ROOT

LONG = {"prompt": "x" * 2000}
SHORT = {"prompt": "y"}
WRAPPED = json.dumps({"data": [SHORT] * 1000}, indent=1).encode()


class Named(Row, frozen=True, kw_only=True):
    id: str
    text: str = ""


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES_A_LINE", 1000)
    monkeypatch.setattr(reading, "MOST_BYTES_A_FILE", 3000)
    monkeypatch.setattr(reading, "MOST_BYTES_OF_SETTINGS", 1000)
    monkeypatch.setattr(reading, "MOST_BLANK_LINES", 50)
    monkeypatch.setattr(tables, "MOST_CHARS_A_CELL", 1000)
    monkeypatch.setattr(tables, "MOST_LINES_A_ROW", 300)
    monkeypatch.setattr(tables, "MOST_COLUMNS", 100)
    monkeypatch.setattr(files, "MOST_BAD_FIRST", 100)
    monkeypatch.setattr(documents, "MOST_DEEP", 2000)


def read(path: Path) -> list[object]:
    return [record for _, record in read_records(path, BadRows(quiet=True))]


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", lines(SHORT, LONG, SHORT), r"x\.jsonl:2: this line has more than 1,000 bytes: write each row on a"),
        ("x.jsonl", b"\0" * 5000, r"x\.jsonl:1: this line has more than"),
        ("x.jsonl", b"[" + b'{"a": 1},' * 500, r"x\.jsonl:1: this line has more than"),
        ("x.jsonl.gz", gzip.compress(lines(SHORT, LONG)), r"x\.jsonl\.gz:2: this line has more than"),
        ("packed.jsonl", gzip.compress(b"\0" * 100_000), r"packed\.jsonl:1: this line has more than"),
        ("x.jsonl", lines(SHORT, LONG).decode().encode("utf-16"), r"x\.jsonl:2: this line has more than"),
        ("x.csv", b"prompt,response\na,b\nc," + b"d" * 2000 + b"\n", r"x\.csv:3: this line has more than"),
        ("x.csv", b'prompt,response\na,"' + b"dddddddd\n" * 200, r"x\.csv:2: not CSV: field larger than field limit"),
        ("x.csv", b'prompt,response\na,"' + b"\nd" * 400, r"x\.csv:2: this row has more than 300 lines: a quote is"),
        ("x.csv", b"a," * 200, r"x\.csv:1: 201 columns; is it the file that you mean"),
        ("x.jsonl", b"x\n" * 500, r"x\.jsonl:100: all of the first 100 lines are no JSON"),
        ("x.tsv.gz", gzip.compress(b"a\tb\n" + b"d" * 2000), r"x\.tsv\.gz:2: this line has more than"),
        ("x.json", lines([SHORT, {"prompt": "y" * 200_000}, SHORT]), r"x\.json:1: this row has more than 1,000 bytes"),
        ("x.json", lines({"data": [SHORT] * 1000}), r"x\.json:1: this line has more than 3,000 bytes"),
        ("x.json", WRAPPED, r"x\.json: has more than 3,000 bytes, and cannot be"),
        ("x.json.gz", gzip.compress(WRAPPED), r"write it as \.jsonl, a row a"),
        ("x.json", b"[" * 2900, r"x\.json:1: not JSON: nested too deeply"),
        ("blank.jsonl", b"\n" * 100 + lines(SHORT), r"blank\.jsonl:51: more than 50 blank lines in a row"),
        ("blank.json.gz", gzip.compress(b" \n" * 10_000), r"blank\.json\.gz:51: more than 50 blank lines"),
        ("blank.csv", b"prompt,response\n" + b"\n" * 100, r"blank\.csv:52: more than 50 blank lines"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_what_is_far_too_long_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as found:
        read(path)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "content", "n_rows"),
    [
        ("list on one line.json", lines([SHORT] * 9000), 9000),  # longer than a line of .jsonl may be
        ("list.json", json.dumps([SHORT] * 1000, indent=1).encode(), 1000),
        ("list.json.gz", gzip.compress(json.dumps([SHORT] * 1000, indent=1).encode()), 1000),
        ("many lines.json", lines(*[SHORT] * 1000), 1000),  # rows, whatever the ending: read one by one
        ("many lines.jsonl.gz", gzip.compress(lines(*[SHORT] * 1000)), 1000),
        ("many lines.csv", b"prompt,response\n" + b"a,b\n" * 1000, 1000),
        ("blank here and there.jsonl", b"".join(b"\n" * 40 + lines(SHORT) for _ in range(5)), 5),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_a_file_of_any_length_is_read_where_its_rows_are_not_too_long(
    tmp_path: Path, name: str, content: bytes, n_rows: int
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert len(read(path)) == n_rows


def test_rows_before_the_one_that_is_too_long_come_out(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(SHORT, SHORT, LONG))
    rows = read_records(path, BadRows())
    assert [next(rows)[1], next(rows)[1]] == [SHORT, SHORT]
    with pytest.raises(InputError, match="jsonl:3"):
        next(rows)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_parquet_row_that_is_too_large_is_named(tmp_path: Path, compression: str, use_dictionary: bool) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "x.parquet"

    def write(*texts: str, group: int | None = None) -> None:
        table = pyarrow.table({"prompt": texts})
        pyarrow.parquet.write_table(table, path, group, compression=compression, use_dictionary=use_dictionary)

    write(*["y" * 30] * 300)
    assert len(read(path)) == 300
    write("a", "b", "z" * 2000, *"c" * 50)
    with pytest.raises(InputError, match=r"x\.parquet: row 3: has more than 1,000 bytes"):
        read(path)
    write("a", "z" * 2000, group=1)
    with pytest.raises(InputError, match=r"x\.parquet: row 2: has more than 1,000 bytes"):
        read(path)


def test_what_a_parquet_column_repeats_is_not_unpacked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    import pyarrow.parquet

    from records.decoding import parquet

    path, seen = tmp_path / "x.parquet", list[int]()
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["z" * 400] * 500}), path, compression="none")
    plain = parquet._records
    monkeypatch.setattr(parquet, "_records", lambda *given: (seen.append(given[1].nbytes), plain(*given))[1])
    assert len(read(path)) == 500
    assert max(seen) <= 1000, "500 rows of 400 bytes, of which the file holds one"


@pytest.mark.parametrize(
    "reader",
    [
        lambda path: list(lines_of(path)),
        is_indexed,
        lambda path: list(read_rows(path, Named)),
        lambda path: Store(path, Named),
    ],
)
def test_each_way_to_read_lines_has_the_limit(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(InputError, match=r"x\.jsonl:1: this line has more than 1,000 bytes"):
        reader(path)
    assert path.stat().st_size == 5000


def test_a_text_is_read_whole_up_to_the_limit_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"one line of a text " * 100)
    assert len(text_of_file(path)) == 1900
    path.write_bytes(b"words\n" * 600)
    with pytest.raises(InputError, match=r"x\.txt: has more than 3,000 bytes"):
        text_of_file(path)


def test_a_config_file_is_small(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("# a comment\n" * 100)
    with pytest.raises(InputError, match=r"run\.toml: has more than 1,000 bytes; is it the file that you mean\?"):
        load_config(path, None)
    with pytest.raises(InputError, match=r"/dev/zero: has more than 1,000 bytes"):
        load_config(Path("/dev/zero"), None)


def test_what_fills_the_memory_is_named_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(SHORT, SHORT))
    rows: Iterator[object] = read_records(path, BadRows())
    assert str(path) not in reading.files_being_read()
    next(rows)
    assert reading.files_being_read().split(", ")[0] == str(path)
    assert len(list(rows)) == 1
    assert str(path) not in reading.files_being_read()


PEAK = """
import resource, sys, time
sys.argv = ["judges.score", sys.argv[1], "--dry-run", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1"]
limit = int(sys.stdin.read())
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import judges.score.__main__
from console.command import run
try:
    run(judges.score.__main__.Config, judges.score.__main__.main, "python -m judges.score")
finally:
    # not ru_maxrss, which keeps the peak of the process that started this one
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize(
    ("limit_mib", "message", "code"),
    [
        (8192, ":1: this line has more than 256 MiB: write each row on a line of its own", 2),
        (400, ": not enough memory to read it: free some, or split the file", 2),
    ],
)
def test_a_gzip_bomb_is_one_line_in_bounded_time_and_memory(
    tmp_path: Path, limit_mib: int, message: str, code: int
) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    member = gzip.compress(bytes(30 << 20), compresslevel=1)
    path.write_bytes(member * 10)
    found = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], input=str(limit_mib << 20), cwd=ROOT, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert found.returncode == code, found.stderr
    assert found.stderr.count("\n") == 1 and f"{path}{message}" in found.stderr
    assert int(found.stdout) < 800, "MiB"
