"""The benchmark of the terminal UI: its rows are those that it counts, and its terminal says what it waited for."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tui import terminal
from benchmarks.tui.__main__ import RARE, made
from benchmarks.tui.terminal import NotShownError, Terminal
from tests.tui.rows import view_of
from tui.filters.language import Text, parse_filter
from tui.filters.search import search
from tui.reading.table import open_files


def test_the_rows_that_pass_the_filter_and_have_the_word_are_as_many_as_it_waits_for(tmp_path: Path) -> None:
    counts = made(tmp_path / "j.jsonl", 500, 400)
    view = view_of(tmp_path / "j.jsonl")
    assert parse_filter("score>4.5").mask(view).sum() == counts["filter"] > 0
    hits = [part for _, part in search(view.table, np.arange(500), [Text(RARE)])]
    assert sum(map(len, hits)) == counts["search"] > 0
    assert 350 < (tmp_path / "j.jsonl").stat().st_size / 500 < 450
    assert open_files(tmp_path / "j.jsonl").kinds() == {"judgment": 500}


def test_the_terminal_times_a_key_and_names_what_never_came(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "print('ready', flush=True); print('got', input(), flush=True); input()"
    with Terminal([sys.executable, "-c", program], Path.cwd()) as screen:
        assert screen.until("ready").wall_s > 0
        taken = screen.key("x\n", "got x")
        assert 0 < taken.wall_s < 30 and taken.cpu_s >= 0
        assert screen.memory()[0] > 0
        monkeypatch.setattr(terminal, "LIMIT_S", 0.5)
        with pytest.raises(NotShownError, match="never said 'lost'"):
            screen.key("y", "lost")
