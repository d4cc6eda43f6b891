import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.prompts.tasks import read_tasks

SHAPES = tomllib.loads((Path(__file__).parent / "list_shapes.toml").read_text(encoding="utf-8"))["shape"]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["name"])
def test_the_tasks_are_kept_and_the_answers_cut(shape: dict[str, Any]) -> None:
    found = read_tasks(shape["text"])
    assert (found.tasks, found.n_answers, found.n_cut_off) == (shape["tasks"], shape["n_answers"], 0)


def test_the_last_task_is_dropped_where_the_completion_was_cut_off_within_it() -> None:
    found = read_tasks("9. Name a king.\n10. Name a qu", cut_off=True)
    assert (found.tasks, found.n_cut_off) == (["Name a king."], 1)


def test_a_cut_within_an_answer_costs_no_task() -> None:
    found = read_tasks("9. Name a king.\n10. Name a queen.\n\nAnswer 9: Art", cut_off=True)
    assert (found.tasks, found.n_cut_off) == (["Name a king.", "Name a queen."], 0)


@settings(deadline=None)
@given(st.lists(st.text("abc 19.:\n*-#Answer", max_size=12)).map("\n".join), st.booleans())
def test_any_text_is_read_without_an_error_and_gives_no_empty_task(text: str, cut_off: bool) -> None:
    assert all(task.strip() for task in read_tasks(text, cut_off=cut_off).tasks)


def test_long_runs_of_spaces_take_no_time() -> None:
    read_tasks("1. a\n" + "answer" + " " * 100_000 + "x\n" + "*" * 20_000 + "\n" + "# " * 20_000)
