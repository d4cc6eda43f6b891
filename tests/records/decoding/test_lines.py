import gzip
import json
from pathlib import Path

import pytest

from console.errors import InputError
from records.decoding.lines import decode_line, lines_of
from records.files import BadRows, is_indexed, read_records

ROWS = [{"prompt": "é", "n": 1}, {"prompt": "b\u2028c", "n": 2}, {"prompt": "c", "n": 3}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def records(path: Path) -> list[object]:
    return [record for _, record in read_records(path, BadRows(strict=True))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.jsonl", b"\xef\xbb\xbf" + LINES.encode()),
        ("bom.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + LINES.encode(), mtime=0)),
        ("boms of joined files.jsonl", "".join(f"\ufeff{line}\n" for line in LINES.split("\n")[:-1]).encode()),
        ("crlf.jsonl", LINES.replace("\n", "\r\n").encode()),
        ("blank.jsonl", b"\n \r\n" + LINES.replace("\n", "\n\n\t\n").encode()),
        ("no last newline.jsonl", LINES.rstrip("\n").encode()),
        ("utf16.jsonl", LINES.encode("utf-16")),
        ("utf16be.jsonl", b"\xfe\xff" + LINES.encode("utf-16-be")),
        ("utf16 without a mark.jsonl", LINES.encode("utf-16-le")),
        ("utf16 crlf.jsonl.gz", gzip.compress(LINES.replace("\n", "\r\n").encode("utf-16"), mtime=0)),
        ("packed without its ending.jsonl", gzip.compress(LINES.encode(), mtime=0)),
        (
            "two members.jsonl.gz",
            gzip.compress(LINES[:9].encode(), mtime=0) + gzip.compress(LINES[9:].encode(), mtime=0),
        ),
        ("UPPER.JSONL", LINES.encode()),
        ("list.jsonl", json.dumps(ROWS).encode()),
        ("list over lines.jsonl", json.dumps(ROWS, indent=1).encode()),
        ("list a row a line.json", b"[\n" + LINES.strip().replace("\n", ",\n").encode() + b"\n]\n"),
        ("list with a bom.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode()),
        ("list utf16.json", json.dumps(ROWS, ensure_ascii=False).encode("utf-16")),
        ("lines.json", LINES.encode()),
        ("lines after blank ones.json", b"\n\n" + LINES.encode()),
        ("one list in an object.json", json.dumps({"version": "1", "data": ROWS}).encode()),
        ("one list in an object.jsonl", json.dumps({"data": ROWS}, indent=2).encode()),
        ("rows.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
    ],
)  # fmt: skip
def test_the_same_rows_come_out_however_the_file_is_written(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert records(path) == ROWS


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".list.json", ".jsonl.gz"])
def test_a_number_that_is_none_does_not_take_the_row_with_it(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    lines = ['{"prompt": "a", "x": NaN}', '{"prompt": "b", "x": [-Infinity, 1e400]}', '{"prompt": "c"}']
    text = f"[{', '.join(lines)}]" if "list" in ending else "\n".join(lines)
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    assert [record["prompt"] for record in records(path)] == ["a", "b", "c"]  # type: ignore[index]


@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_a_row_that_is_nested_too_deeply_is_a_bad_row_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    deep = '{"prompt": "b", "x": ' + "[" * 3000 + '", ]"' + "]" * 3000 + "}"
    rows = ['{"prompt": "a"}', deep, '{"prompt": "c", "d": "[{"}']
    path = tmp_path / f"x{ending}"
    path.write_text("\n".join(rows) if ending == ".jsonl" else f"[{', '.join(rows)}]")
    bad = BadRows()
    assert [record["prompt"] for _, record in read_records(path, bad)] == ["a", "c"]
    assert bad.n_bad == 1
    assert f"skipped: {path}:{'2' if ending == '.jsonl' else ' row 2'}: nested too deeply" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.json.gz"])
@pytest.mark.parametrize("shape", ["one line", "a row a line", "indented"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_list_that_is_cut_off_is_an_error_and_never_a_part_of_its_rows(
    tmp_path: Path, name: str, shape: str, share: float
) -> None:
    rows = [{"prompt": f"prompt {n}", "response": "[{,"} for n in range(4)]
    text = {
        "one line": json.dumps(rows),
        "a row a line": "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
        "indented": json.dumps(rows, indent=2),
    }[shape]
    data = text[: int(len(text) * share)].encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.raises(InputError, match=r"x\.jsonl?(\.gz)?:\d+: not JSON.*cut off"):
        records(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": [\n{"prompt": "a"},\n{"prompt": "b"}', "not JSON"),
        ('[{"prompt": "a"}]\n[{"prompt": "b"}]', "something follows the end of the list"),
        ('{"dev": [{"prompt": "a"}], "test": [{"prompt": "b"}]}', "its lists are dev, test"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "expected a JSON list"),
        ('{"prompt": "a", "completions": [{"response": "b"}]}', "expected a JSON list"),
    ],
)
def test_a_document_that_is_no_list_of_rows_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        records(path)


def test_one_bad_row_of_a_list_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"prompt": "a"}, {"prompt": oops}, {"prompt": "c"}]')
    assert len(list(read_records(path, BadRows()))) == 2
    assert f"skipped: {path}: row 2: not JSON" in capsys.readouterr().err


PACKED = gzip.compress(("".join(f'{{"prompt": "{n * 7919}"}}\n' for n in range(4000))).encode(), mtime=0)


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json.gz", "x.csv.gz", "x.jsonl"])
@pytest.mark.parametrize("place", range(0, len(PACKED), len(PACKED) // 25))
def test_a_damaged_gzip_file_is_an_error_that_names_it(tmp_path: Path, name: str, place: int) -> None:
    path = tmp_path / name
    damaged = bytearray(PACKED)
    for offset in range(place, min(place + 8, len(damaged))):
        damaged[offset] ^= 0xFF
    path.write_bytes(damaged)
    try:
        found = records(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:  # the gzip header's time and system are not checked
        assert len(found) == 4000 or name == "x.csv.gz"


@pytest.mark.parametrize("n_bytes", [3, 12, 40, len(PACKED) // 2, len(PACKED) - 4])
def test_a_gzip_file_that_was_cut_off_is_an_error(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(PACKED[:n_bytes])
    with pytest.raises(InputError, match=r"x\.jsonl\.gz: cannot be read"):
        records(path)


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(LINES)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"x\.jsonl: cannot be read: Permission denied"):
        list(lines_of(path))
    with pytest.raises(InputError, match=r"x\.jsonl: cannot be read: Permission denied"):
        is_indexed(path)


@pytest.mark.parametrize("name", ["x" * 300 + ".jsonl", "a\0b.jsonl"])
def test_a_name_that_no_file_can_have_is_no_such_file(name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        records(Path(name))


def test_a_byte_that_is_no_text_is_named() -> None:
    with pytest.raises(InputError, match="not UTF-8: byte 0xE9 at 13"):
        decode_line(b'{"prompt": "a\xe9"}')


@pytest.mark.parametrize(
    ("name", "content", "indexed"),
    [
        ("x.jsonl", b'{"a": 1}\n', True),
        ("x.jsonl", b'\xef\xbb\xbf\n{"a": 1}\n', True),
        ("x.jsonl", b'[{"a": 1}]\n', False),
        ("x.jsonl", gzip.compress(b'{"a": 1}\n', mtime=0), False),
        ("x.jsonl", '{"a": 1}\n'.encode("utf-16"), False),
        ("x.json", b'{"a": 1}\n', False),
    ],
)
def test_only_plain_json_lines_are_found_again_by_their_offset(
    tmp_path: Path, name: str, content: bytes, indexed: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_indexed(tmp_path / name) is indexed


@pytest.mark.parametrize("opens", ['{"a":', "["])
def test_what_is_nested_as_deep_as_it_may_be_is_still_looked_through(opens: str) -> None:
    deep = opens * 950 + "1" + {"{": "}", "[": "]"}[opens[0]] * 950
    assert decode_line(f'{{"b":{deep}}}'.encode())["b"]
    with pytest.raises(InputError, match="nested too deeply|there twice"):
        decode_line(f'{{"b":1,"b":{deep}}}'.encode())
