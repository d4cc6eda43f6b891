"""A stage stores each row as it comes, and shows as done only what the next run does not ask for again."""

from pathlib import Path

import pytest

from records.rows import Prompt
from records.stage import complete
from records.store import Store


def prompts(*names: str) -> list[Prompt]:
    return [Prompt(id=name, prompt=f"Ask {name}") for name in names]


def is_good(row: Prompt) -> bool:
    return not row.id.startswith("failed")


def test_a_row_that_is_to_be_asked_for_again_is_stored_and_not_shown_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = prompts("a", "failed-1", "failed-2", "b")
    with Store(tmp_path / "rows.jsonl", Prompt, keep=is_good) as store:
        found = complete(store, [row.id for row in rows], iter(rows), "asking")
    assert found == rows
    told = capsys.readouterr().err
    assert "2 of 4" in told and "3 of 4" not in told and "4 of 4" not in told
    with Store(tmp_path / "rows.jsonl", Prompt, keep=is_good) as store:
        assert [row.id for row in rows if row.id not in store] == ["failed-1", "failed-2"]


def test_rows_that_are_there_are_taken_and_a_missing_one_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path / "rows.jsonl", Prompt) as store:
        complete(store, ["a"], iter(prompts("a")), "asking")
        found = complete(store, ["b", "a", "c", "a"], iter(prompts("b")), "asking")
    assert [row.id for row in found] == ["b", "a"]
    assert "2 of 3" in capsys.readouterr().err
