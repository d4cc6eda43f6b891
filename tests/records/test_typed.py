import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import InputError, RowError
from records import Judgment, Usage, Vote
from records.fields.typed import read_typed
from records.files import BadRows

JUDGMENTS = [
    Judgment(
        id=f"j{n}", response_id=f"r{n}", prompt_id="p", prompt="Q", response=f"A{n}", model="m", score=float(n),
        scores=[float(n), None], replies=["Score: 1"], error=None, spread=None, rubric="additive", judge="j",
        usage=Usage(),
    )
    for n in range(3)
]  # fmt: skip


def saved(path: Path, rows: list[Any]) -> Path:
    plain = [msgspec.to_builtins(row) for row in rows]
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        filled = [{name: value for name, value in row.items() if value != {}} for row in plain]  # Parquet has no {}
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(filled), path)
        return path
    text = json.dumps(plain) if kind == "json" else "".join(json.dumps(row) + "\n\n" for row in plain)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else b"\xef\xbb\xbf" + text.encode())
    return path


KINDS = ("x.jsonl", "x.jsonl.gz", "x.json", "x.json.gz", "x.parquet")


@pytest.mark.parametrize("name", KINDS)
def test_judgments_are_read_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, JUDGMENTS)
    assert list(read_typed(path, Judgment, BadRows(strict=True))) == JUDGMENTS


def test_votes_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    at = "2026-01-01T00:00:00Z"
    path.write_text(f"at,voter,prompt_id,a_id,b_id,winner,blind,note\n{at},me,p,r1,r2,a,true,\n")
    [vote] = read_typed(path, Vote, BadRows(strict=True))
    assert (vote.winner, vote.blind, vote.note) == ("a", True, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 1e308}, "'score' holds NaN"),
        ({"score": float("nan")}, "'score' holds NaN"),
        ({"scores": [1.0, float("inf")]}, "'scores' holds NaN, an infinity or a number above 1e+100"),
        ({"score": "high"}, "not a Judgment row"),
        ({"usage": {"seconds": float("nan")}}, "'usage' holds NaN"),
        ({"replies": None}, "not a Judgment row"),
    ],
)
def test_a_row_of_another_kind_is_a_bad_row_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    rows = [msgspec.to_builtins(row) for row in JUDGMENTS]
    path = saved(tmp_path / "x.jsonl", [rows[0], rows[1] | change, rows[2]])
    bad = BadRows()
    assert list(read_typed(path, Judgment, bad)) == [JUDGMENTS[0], JUDGMENTS[2]]
    assert bad.n_bad == 1 and message in capsys.readouterr().err
    with pytest.raises(RowError, match="x.jsonl:3: not a Judgment row"):
        list(read_typed(path, Judgment, BadRows(strict=True)))


def test_nan_in_a_field_that_is_not_used_keeps_the_row(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.jsonl", [msgspec.to_builtins(JUDGMENTS[0]) | {"mine": float("nan")}])
    assert list(read_typed(path, Judgment, BadRows(strict=True))) == JUDGMENTS[:1]


def test_a_file_without_such_a_row_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.jsonl", [{"prompt": "Q"}])
    with pytest.raises(InputError, match="no Judgment row in it: its only row is bad: "):
        list(read_typed(path, Judgment, BadRows()))
