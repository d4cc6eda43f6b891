import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.errors import InputError
from records.decoding.bad_rows import BadRows
from records.decoding.documents import read_list
from records.files import read_records

TEXTS = st.text(alphabet='ab[]{},:"\\ \n\u00e9', max_size=8)
ROWS = st.dictionaries(
    TEXTS, TEXTS | st.integers(-9, 9) | st.lists(st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2)
)
LIST = Path("x.json")


def rows_of(chunks: list[bytes], bad: BadRows | None = None) -> list[object]:
    return [row for _, row in read_list(LIST, chunks, bad or BadRows(strict=True))]


@settings(deadline=None)
@given(st.lists(ROWS, max_size=5), st.integers(1, 9), st.sampled_from((None, 1)))
def test_a_list_is_read_alike_wherever_its_bytes_are_cut(rows: list[object], size: int, indent: int | None) -> None:
    text = json.dumps(rows, indent=indent).encode()
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("records.decoding.documents.CHUNK", size)
        assert rows_of(chunks) == rows


def test_the_rows_before_the_damage_come_first_and_its_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1},\n{"a": oops},\n{"a": 3},\n{"a": "cut')
    bad, got = BadRows(quiet=True), []
    with pytest.raises(InputError, match=r"x\.json:4: not JSON: the list is not closed"):
        got += [row for _, row in read_records(path, bad) if got.append(row) is None]
    assert got == [{"a": 1}, {"a": 3}] and bad.n_bad == 1


def test_a_long_list_takes_the_memory_of_a_few_rows() -> None:
    row = json.dumps({"prompt": "x" * 1000}).encode()
    chunks = ((b"[" if n == 0 else b",\n") + row for n in range(5_000))
    tracemalloc.start()
    with pytest.raises(InputError, match="not closed"):
        assert sum(1 for _ in read_list(LIST, chunks, BadRows())) == 5_000
    assert tracemalloc.get_traced_memory()[1] < 1 << 20  # of 5 MB
    tracemalloc.stop()
