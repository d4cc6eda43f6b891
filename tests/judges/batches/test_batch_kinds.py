"""A batch's output is read however somebody kept it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.batches.output import Answers
from records.files import BadRows


def output(call: str, text: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage, "x": float("nan")}
    return {"id": "b", "custom_id": call, "response": {"status_code": 200, "body": body}, "error": None}


LINES = [json.dumps(output(f"c{n}", f"Score: {n}")) for n in range(4)]
PLAIN = "\n".join(LINES) + "\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("o.jsonl", PLAIN.encode()),
        ("o.jsonl", PLAIN.encode("utf-8-sig")),
        ("o.jsonl", PLAIN.replace("\n", "\r\n\r\n").encode()),
        ("o.jsonl.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        ("o.json", f"[{', '.join(LINES)}]".encode()),
        ("o.jsonl", PLAIN.encode("utf-16")),
    ],
    ids=["plain", "bom", "crlf and blank lines", "gzip", "a list", "utf-16"],
)
def test_the_answers_are_found_in_every_kind_of_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with Answers([tmp_path / name], BadRows(strict=True)) as answers:
        found = [answers.take(f"c{n}") for n in (2, 0, 3, 1)]
    assert all(call.error is None for call in found)
    assert [f"Score: {n}" in repr(call.reply) for n, call in zip((2, 0, 3, 1), found, strict=True)] == [True] * 4


def test_a_line_that_is_nested_too_deeply_is_a_bad_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "o.jsonl"
    deep = LINES[1].replace("NaN", "[" * 3000 + "]" * 3000)
    path.write_text("\n".join([LINES[0], deep, LINES[2]]))
    with Answers([path], BadRows()) as answers:
        assert [answers.take(f"c{n}").error is None for n in range(3)] == [True, False, True]
    assert f"skipped: {path}:2: not the output of a batch" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [gzip.compress(PLAIN.encode(), mtime=0)[:-30], b"\x1f\x8b no"], ids=["cut off", "damaged"]
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o.jsonl.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"o\.jsonl\.gz"):
        Answers([tmp_path / "o.jsonl.gz"], BadRows())
