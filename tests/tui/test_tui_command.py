"""The command `python -m tui`: its flags, its errors and its start in a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from records.store import write_rows
from tests.tui.test_app import PAIRS, ROOT
from tui.__main__ import main
from tui.options import Config


def command(folder: Path, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = (sys.executable, "-m", "tui", *words)
    return subprocess.run(words, cwd=folder, env=environment, text=True, capture_output=True, timeout=60, **options)


def test_the_screenshot_flag_writes_a_picture_and_stops(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    done = command(tmp_path, "pairs.jsonl", "--screenshot", "shot.svg")
    assert (done.returncode, done.stdout, done.stderr) == (0, "screenshot: shot.svg\n", "")
    picture = (tmp_path / "shot.svg").read_text().replace("&#160;", " ")
    assert picture.startswith("<svg")
    assert "4 pairs, 4 shown" in picture
    assert "good apple" in picture


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.jsonl"], "error: missing.jsonl: no such file"),
        (["pairs.jsonl"], "error: the screen needs a terminal"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(tmp_path: Path, words: list[str], message: str) -> None:
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    done = command(tmp_path, *words, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_a_picture_that_is_no_svg_is_an_input_error(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(InputError, match=r"shot.png: the file must end in \.svg"):
        main(Config(source=tmp_path / "pairs.jsonl", screenshot=tmp_path / "shot.png"))
    assert not (tmp_path / "shot.png").exists()


def test_the_table_is_printed_as_json_without_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    main(Config(source=tmp_path / "pairs.jsonl", json=True))
    assert [row["margin"] for row in json.loads(capsys.readouterr().out)] == [0.5, 4.0, None, 2.0]


def test_the_screen_opens_in_a_terminal_and_q_leaves_it(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", PAIRS)
    terminal, inside = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "tui", "pairs.jsonl"]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdin=inside, stdout=inside, stderr=inside)
    output, asked, deadline = b"", False, time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            output += os.read(terminal, 65536)
        if b"Quit" in output and not asked:
            asked = bool(os.write(terminal, b"q"))
    process.kill()
    assert process.wait() == 0
    assert b"good apple" in output
