"""Pictures of the screen: each is drawn as it was when somebody last looked at it.

The pictures are in `snapshots/`: the text of the screen as lines, and the picture with its colours as a compressed SVG.
"""

import asyncio
import gzip
import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from tests.tui.rows import BROKEN, COMPARISONS, a_run, comparison, judgment, saved
from tests.tui.screen import browser, filtered, on_screen, press, settled
from tui.screens.app import BrowserApp

FOLDER = Path(__file__).parent / "snapshots"
UPDATE = "UPDATE_SNAPSHOTS"
HOW = f"{UPDATE}=1 python -m pytest tests/tui/test_snapshots.py"
Steps = Callable[[BrowserApp, Pilot[None]], Awaitable[None]]
MADE_BY_CONTENT = re.compile(r"terminal-\d+")
HOSTILE = (
    "[red]no markup[/red] [@click=app.quit]quit[/]\n\x1b[31mred\x1b[0m \x9b5m bell \x07 nul \x00\n"
    "right to left \u202egnol\u202c, zero \u200b width, \ud800 half\n👩‍👩‍👧‍👦 漢字 é ﷽ tab\there\r\nthe end"
)


@dataclass(frozen=True)
class Picture:
    """What is opened, how large the screen is, and what is done before it is drawn."""

    open: Callable[[], Path]
    keys: tuple[str, ...] = ()
    filter: str = ""
    size: tuple[int, int] = (120, 40)
    settings: dict[str, Any] = field(default_factory=dict)


def small_run() -> Path:
    return a_run(Path()).relative_to(Path())


def comparisons() -> Path:
    return saved(Path("comparisons.jsonl"), COMPARISONS)


def empty_run() -> Path:
    run = Path("runs/empty")
    (run / "iter1").mkdir(parents=True)
    (run / "run.toml").write_text("")
    return run


def long_texts() -> Path:
    lines = "\n".join(f"line {number} of ten thousand" for number in range(10_000))
    return saved(Path("long.jsonl"), [comparison("long?", "x" * 1_000_000, lines, "b")])


def hostile_texts() -> Path:
    rows = [judgment(HOSTILE, HOSTILE, 3.0, evidence=BROKEN, replies=[HOSTILE]), judgment("p", "x", None)]
    path = Path("hostile.jsonl")
    path.write_text(
        "".join(json.dumps(msgspec.structs.asdict(row), default=msgspec.structs.asdict) + "\n" for row in rows)
    )
    return path


def two_texts() -> Path:
    first = "A fox is quick.\nIt jumps over the lazy dog, and then it sleeps."
    second = "A fox is very quick.\nIt leaps over the lazy dog, and then sleeps again."
    return saved(Path("fox.jsonl"), [comparison("What does a fox do?", first, second, "a")])


PICTURES = {
    "120x40": Picture(small_run, ("j",)),
    "80x24": Picture(small_run, ("j", "tab"), size=(80, 24)),
    "80x24_judge": Picture(small_run, ("shift+tab",), size=(80, 24)),
    "50x16": Picture(two_texts, ("d",), size=(50, 16)),
    "200x50": Picture(small_run, ("j", "v"), size=(200, 50)),
    "empty": Picture(empty_run),
    "error": Picture(comparisons, filter="winer:a"),
    "long": Picture(long_texts),
    "hostile": Picture(hostile_texts),
    "light": Picture(comparisons, ("j",), settings={"theme": "textual-light"}),
    "blind": Picture(comparisons, ("j",), settings={"blind": True, "queue": "random"}),
    "diff": Picture(two_texts, ("d",)),
    "frequency": Picture(comparisons, ("l", "F")),
    "candidates": Picture(small_run, ("c",)),
    "iterations": Picture(small_run, ("i",)),
    "another_judge": Picture(comparisons, ("r",)),
    "voted": Picture(comparisons, ("3", "k"), size=(100, 30), settings={"theme": "high-contrast"}),
}


def drawn(picture: Picture) -> tuple[str, str]:
    """Return the screen as lines of text, and as an SVG."""
    app = browser([picture.open()], **picture.settings)

    async def session() -> tuple[str, str]:
        async with app.run_test(size=picture.size) as pilot:
            await settled(app, pilot)
            if picture.filter:
                await filtered(app, pilot, picture.filter)
            await press(app, pilot, *picture.keys)
            app.clear_notifications()
            await settled(app, pilot)
            svg = MADE_BY_CONTENT.sub("terminal", app.export_screenshot(simplify=True))
            return on_screen(app) + "\n", svg

    text, svg = asyncio.run(session())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n", svg


@pytest.mark.parametrize("name", PICTURES)
def test_the_screen_is_drawn_as_it_was(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, svg = drawn(PICTURES[name])
    stored_text, stored_svg = FOLDER / f"{name}.txt", FOLDER / f"{name}.svgz"
    if os.environ.get(UPDATE):
        FOLDER.mkdir(exist_ok=True)
        stored_text.write_text(text, encoding="utf-8")
        stored_svg.write_bytes(gzip.compress(svg.encode(), 9, mtime=0))
    expected = stored_text.read_text(encoding="utf-8") if stored_text.exists() else ""
    different = "\n".join(unified_diff(expected.splitlines(), text.splitlines(), "stored", "drawn now", lineterm=""))
    assert not different, f"the screen says something else. If it should, update the pictures:\n{HOW}\n{different}"
    expected = gzip.decompress(stored_svg.read_bytes()).decode() if stored_svg.exists() else ""
    if svg != expected:
        (tmp_path / "stored.svg").write_text(expected, encoding="utf-8")
        (tmp_path / "drawn.svg").write_text(svg, encoding="utf-8")
        pytest.fail(f"the colours are others: compare stored.svg and drawn.svg in {tmp_path}. To update them:\n{HOW}")
