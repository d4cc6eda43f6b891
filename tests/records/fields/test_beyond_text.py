"""Conversations with tools are left out of training data and counted, and images are refused by name."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from console.errors import InputError
from records.fields.beyond_text import media_in, tools_in
from records.files import BadRows
from records.rated import read_rated
from records.shapes import read_chats, read_pairs, read_prompts

USER, ANSWER = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
IMAGE = {"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "image_url", "image_url": {"url": "x"}}]}
CHAT = {"messages": [USER, ANSWER]}
PAIR = {"prompt": "Q", "chosen": "A", "rejected": "B"}
Reader = Callable[..., Iterator[Any]]
READERS: list[tuple[Reader, dict[str, Any]]] = [
    (read_chats, CHAT), (read_chats, PAIR), (read_prompts, CHAT), (read_prompts, {"prompt": "Q"}), (read_pairs, PAIR),
    (read_rated, PAIR), (read_rated, CHAT | {"label": True}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "sign"),
    [
        ({"messages": [USER, CALL, ANSWER]}, "a turn calls a tool"),
        ({"messages": json.dumps([USER, CALL, ANSWER])}, "a turn calls a tool"),
        ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f"}}]}, "a turn calls a tool"),
        ({"conversations": [{"from": "function_call", "value": "{}"}]}, "a turn calls a tool"),
        ({"messages": [USER, {"role": "tool", "content": "42"}, ANSWER]}, "a turn is a tool's"),
        ({"conversations": [{"from": "observation", "value": "42"}]}, "a turn is a tool's"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "part of the type 'tool_use'"),
        ({"contents": [{"role": "model", "parts": [{"functionCall": {}}]}]}, "part of the type 'functionCall'"),
        (CHAT | {"tools": [{"name": "f"}]}, "'tools' offers tools"),
        (CHAT | {"tools": '[{"name": "f"}]'}, "'tools' offers tools"),
        ({"input": {"messages": [USER], "tools": [{}]}, "preferred_output": [ANSWER]}, "'tools' offers tools"),
        ({"prompt": "Q", "chosen": [CALL], "rejected": [ANSWER]}, "a turn calls a tool"),
        (CHAT | {"tools": []}, None),
        (CHAT | {"tools": "[]"}, None),
        (CHAT | {"tools": None}, None),
        ({"messages": [USER, ANSWER | {"tool_calls": None}]}, None),
        ({"messages": [USER, ANSWER], "evidence": [{"tool": "search", "claims": []}]}, None),
    ],
)
def test_tools_are_found_in_whichever_form_they_are_kept(record: dict[str, Any], sign: str | None) -> None:
    found = tools_in(record)
    assert found == sign if sign is None else found is not None and sign in found


@pytest.mark.parametrize(
    ("record", "sign"),
    [
        ({"messages": [IMAGE, ANSWER]}, "a turn has a part of the type 'image_url'"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "a turn has a part of the type 'image'"),
        ({"contents": [{"role": "user", "parts": [{"inline_data": {}}]}]}, "a turn has a part of the type 'inline"),
        (CHAT | {"images": [{"path": "x.png"}]}, "it has 'images'"),
        (CHAT | {"image": "x.png"}, "it has 'image'"),
        (CHAT | {"images": []}, None),
        (CHAT | {"images": [None]}, None),
        # a column of a table has all fields that any part has
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Q", "image": None}]}, ANSWER]}, None),
    ],
)
def test_images_are_found_in_whichever_form_they_are_kept(record: dict[str, Any], sign: str | None) -> None:
    found = media_in(record)
    assert found == sign if sign is None else found is not None and found.startswith(sign)


@pytest.mark.parametrize(("read", "good"), READERS)
def test_every_reader_leaves_rows_with_tools_out_and_says_how_many(
    read: Reader, good: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [good, good | {"tools": [{"name": "f"}]}, {"messages": [USER, CALL, ANSWER]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bad = BadRows()
    assert len(list(read(path, bad))) == 1 and bad.n_bad == 0
    told = capsys.readouterr().err
    assert f"{path}: 2 rows have tools and are left out, the first {path}:2: 'tools' offers tools" in told


@pytest.mark.parametrize(("read", "good"), READERS)
def test_every_reader_refuses_images_by_name(read: Reader, good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [good, good | {"images": ["x.png"]}]))
    with pytest.raises(InputError, match=r"rows.jsonl:2: it has 'images': models are trained on text here; take"):
        list(read(path, BadRows()))


def test_a_file_of_nothing_but_tools_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [USER, CALL, ANSWER]}) + "\n")
    with pytest.raises(InputError, match="no usable row: 1 with tools"):
        list(read_chats(path, BadRows()))


def test_lists_of_text_parts_are_joined_in_parquet_too(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "one", "image": None}, {"type": "text", "text": "two", "image": None}]
    answer = [{"type": "text", "text": "A", "image": None}]
    chat = [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"messages": chat, "images": []}]), tmp_path / "x.parquet")
    [read] = read_chats(tmp_path / "x.parquet", BadRows())
    assert read == [{"role": "user", "content": "one\ntwo"}, ANSWER]
