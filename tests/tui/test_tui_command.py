"""The command `python -m tui`: its flags, its errors, and a person at a terminal."""

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding

from console.errors import InputError
from tests.tui.rows import COMPARISONS, PAIRS, ROOT_OF, a_run, saved
from tui.__main__ import main
from tui.options import Config


def command(folder: Path, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT_OF)}
    words = (sys.executable, "-m", "tui", *words)
    return subprocess.run(words, cwd=folder, env=environment, text=True, capture_output=True, timeout=60, **options)


def printed(capsys: pytest.CaptureFixture[str], **flags: Any) -> Any:
    main(Config(json=True, **flags))
    return json.loads(capsys.readouterr().out)


def test_the_screenshot_flag_writes_a_picture_and_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    main(Config(source=(path,), screenshot=tmp_path / "shot.svg"))
    assert capsys.readouterr().out == f"screenshot: {tmp_path / 'shot.svg'}\n"
    picture = (tmp_path / "shot.svg").read_text().replace("&#160;", " ")
    assert picture.startswith("<svg") and "[pairs 4] │ 4 shown" in picture and "good apple" in picture
    main(Config(source=(path,), screenshot=tmp_path / "help.svg", press="j,question_mark"))
    assert "Vote for the first answer" in (tmp_path / "help.svg").read_text().replace("&#160;", " ")
    with pytest.raises(InputError, match="give --screenshot"):
        main(Config(source=(path,), press="j"))
    with pytest.raises(InputError, match=r"shot.png: the file must end in \.svg"):
        main(Config(source=(path,), screenshot=tmp_path / "shot.png"))


def test_without_a_terminal_one_line_says_what_else_can_be_done(tmp_path: Path) -> None:
    saved(tmp_path / "pairs.jsonl", PAIRS)
    done = command(tmp_path, "pairs.jsonl", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the screen needs a terminal") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"source": (Path("missing.jsonl"),)}, "missing.jsonl: no such file"),
        ({"filter": "winer:a"}, "did you mean winner"),
        ({"sort": "size"}, "--sort size: no such column"),
    ],
)
def test_wrong_input_is_an_error_before_the_screen(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(InputError, match=message):
        main(Config(**{"source": (path,), "json": True, **flags}))


def test_the_table_is_printed_as_json_filtered_and_sorted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    assert [row["margin"] for row in printed(capsys, source=(path,))] == [0.5, 4.0, None, 2.0]
    rows = printed(capsys, source=(path,), filter="margin>=2 good", sort="margin", reverse=True)
    assert [row["prompt_start"] for row in rows] == ["berries", "dates"]
    assert rows[0] | {"file": ""} == {
        "number": 2, "file": "", "line": 2, "kind": "pair", "prompt_start": "berries", "winner": "a",
        "score_a": 5.0, "score_b": 1.0, "margin": 4.0, "spread": None, "confidence": None, "delta_chars": 7.0,
        "flipped": None, "human": None, "iteration": None, "judge": "f00d", "model_a": None, "model_b": None,
        "error": None,
    }  # fmt: skip


def test_several_files_a_run_and_the_figures_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = (saved(tmp_path / "p.jsonl", PAIRS), saved(tmp_path / "c.jsonl", COMPARISONS))
    assert len(printed(capsys, source=paths, kind="all")) == 8
    run = a_run(tmp_path)
    assert {row["iteration"] for row in printed(capsys, source=(run,))} == {1, 2}
    assert printed(capsys, source=(run,), statistics=True, kind="judgment")["without a verdict"] == 6
    main(Config(source=paths, statistics=True))
    assert "mean margin" in capsys.readouterr().out


def test_bad_rows_are_told_or_stop_a_strict_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    path.write_text(path.read_text() + '{"prompt": "x"}\n')
    main(Config(source=(path,), json=True))
    assert f"{path}:5: " in capsys.readouterr().err
    with pytest.raises(InputError, match=r"pairs.jsonl:5"):
        main(Config(source=(path,), json=True, strict=True))


def test_own_keys_are_read_and_a_wrong_one_names_the_nearest(tmp_path: Path) -> None:
    from tui.screens.bindings import MAIN
    from tui.screens.keys import read_keymap

    keys = tmp_path / "keys.toml"
    keys.write_text('vote.first = "a"\n"vote.tie" = "s"\n')
    assert read_keymap(keys, MAIN) == {"vote.first": "a", "vote.tie": "s"}
    keys.write_text('vote.frist = "a"\n')
    with pytest.raises(InputError, match=r"no key 'vote.frist': did you mean vote.first\?"):
        read_keymap(keys, MAIN)


def test_every_key_has_an_id_and_a_tooltip_and_can_be_changed(tmp_path: Path) -> None:
    from tui.screens.bindings import MAIN
    from tui.screens.open import WITH_KEYS, own_keys

    ids = [binding.id for binding in MAIN]
    assert len(set(ids)) == len(ids)
    listed = [binding for bindings in WITH_KEYS for binding in bindings]
    assert all(isinstance(binding, Binding) and binding.id and binding.tooltip for binding in listed)
    keys = tmp_path / "keys.toml"
    names = {binding.id for binding in listed if isinstance(binding, Binding)}
    keys.write_text("".join(f'"{name}" = "f12"\n' for name in sorted(filter(None, names))))
    assert set(own_keys(keys)) == names


def test_a_screen_that_would_be_drawn_into_a_file_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "pairs.jsonl", PAIRS)
    terminal, inside = pty.openpty()
    words = [sys.executable, "-m", "tui", "pairs.jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT_OF)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, text=True, stdin=inside, stdout=inside, stderr=subprocess.PIPE, timeout=60
    )
    os.close(terminal)
    os.close(inside)
    assert done.returncode == 2 and "for stderr too" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_person_starts_it_filters_votes_and_quits_in_a_terminal(tmp_path: Path) -> None:
    saved(tmp_path / "c.jsonl", COMPARISONS)
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]

    def keys(*words: str) -> None:
        subprocess.run([*tmux, "send-keys", "-t", "0", *words], check=True)

    def screen() -> str:
        done = subprocess.run([*tmux, "capture-pane", "-p", "-t", "0"], capture_output=True, text=True, check=False)
        return done.stdout

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, screen()
            time.sleep(0.05)

    run = f"PYTHONPATH={ROOT_OF} {sys.executable} -m tui c.jsonl --voter ann; echo left $?; sleep 60"
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", "-c", str(tmp_path), run], check=True)
    try:
        until(lambda: "q Quit" in screen())
        keys("/", "flipped:yes", "Enter")
        until(lambda: "1 shown" in screen())
        keys("1")
        until(lambda: "✓ a" in screen())
        keys("Escape")
        until(lambda: "4 shown" in screen())
        keys("q")
        until(lambda: "left 0" in screen())
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    assert [json.loads(line)["winner"] for line in (tmp_path / "votes.jsonl").read_text().splitlines()] == ["a"]


@pytest.mark.parametrize(
    ("press", "hint"),
    [("zz", "keys are characters"), ("v,entr", "no key 'entr': did you mean"), ("ctrl+zz", "zz")],
)
def test_a_key_that_there_is_not_is_refused(press: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "response": "r"}\n')
    with pytest.raises(InputError, match=hint):
        main(Config(source=(path,), screenshot=tmp_path / "x.svg", press=press))
    assert not (tmp_path / "x.svg").exists()


def test_a_keymap_with_a_key_that_there_is_not_is_refused(tmp_path: Path) -> None:
    from tui.screens.open import own_keys

    (tmp_path / "keys.toml").write_text('vote.tie = "zz"\n')
    with pytest.raises(InputError, match="vote.tie: no key 'zz'"):
        own_keys(tmp_path / "keys.toml")
