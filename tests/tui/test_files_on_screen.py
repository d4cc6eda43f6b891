"""What the screen does with files that grow, are cut off or deleted, or are still being read."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

from textual.pilot import Pilot

from tests.tui.rows import PAIRS, a_run, pair, saved
from tests.tui.screen import notices, pane, play, press, text_of, until
from tui.browsing.state import Browsing
from tui.reading.sources import find_source
from tui.reading.table import Table
from tui.screens.app import BrowserApp
from tui.voting.log import open_votes

MARKUP = ["[/path]", "[/]", "list[int] [bold]x", "[@click=app.quit]press[/]", "$accent <b>{x}</b> \\[", "[red"]
CONTROLS = [
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x9b5m\x07",
    "\u202egnol\u2069",
    "a\r\nb\tc\x7f",
    "\u200b\u2028",
    "👩‍👩‍👧‍👦 漢字 é\x00",
]


def test_rows_that_are_appended_come_in_and_a_deleted_file_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS[:2])
    more = saved(tmp_path / "more.jsonl", PAIRS[2:]).read_bytes()

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "j")
        with path.open("ab") as file:
            file.write(more)
        app._look()
        await until(pilot, lambda: "4 shown" in text_of(app, "#header"))
        assert pane(app, "prompt") == "berries"
        path.unlink()
        app._look()
        await until(pilot, lambda: "was deleted" in notices(app))
        await press(app, pilot, "k")
        assert pane(app, "prompt") == "apples"

    play([path], steps)


def test_the_screen_is_there_while_the_rest_is_read_and_follows_only_then(tmp_path: Path) -> None:
    table = Table(find_source([saved(tmp_path / "p.jsonl", [pair(f"prompt {n}", "a", "b") for n in range(12_000)])]))
    reading = table.read()
    assert next(reading) == 5_000
    app = BrowserApp(Browsing(table, open_votes(tmp_path / "votes.jsonl"), "ann"), reading)

    async def session() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            app._look_if_idle()  # which must not end the reading
            await until(pilot, lambda: "12,000 shown" in text_of(app, "#header"))
            assert "reading" not in text_of(app, "#header")

    asyncio.run(session())


def test_a_run_shows_its_pairs_once_they_are_read_though_the_judgments_came_first(tmp_path: Path) -> None:
    table = Table(find_source([a_run(tmp_path)]))
    reading = table.read()
    assert next(reading) == 12 and list(table.kinds()) == ["judgment"]
    browsing = Browsing(table, open_votes(tmp_path / "votes.jsonl"), "ann", blind=True, queue="random")
    app = BrowserApp(browsing, reading, follow=False)

    async def session() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "[pairs 6]" in text_of(app, "#header"))
            assert "random 0/6" in text_of(app, "#header")
            await press(app, pilot, "v", "v")
            assert app.browsing.kind == "all"

    asyncio.run(session())


def test_a_file_cut_off_under_the_screen_is_told_not_shown_wrongly(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        os.truncate(path, 0)
        await press(app, pilot, "j")
        assert "was cut off" in text_of(app, "#facts") and pane(app, "left") == ""
        app._look()
        await until(pilot, lambda: "was replaced" in notices(app))
        assert app.is_running

    play([path], steps)


def test_the_screen_ends_at_once_while_a_file_is_still_read(tmp_path: Path) -> None:
    table = Table(find_source([saved(tmp_path / "p.jsonl", PAIRS)])).read_all()
    n_steps, may_end = 0, False

    def endless() -> Iterator[int]:
        nonlocal n_steps
        while not may_end:
            n_steps += 1
            time.sleep(0.01)
            yield len(table)

    async def session() -> None:
        app = BrowserApp(Browsing(table, open_votes(tmp_path / "votes.jsonl"), "ann"), endless(), follow=False)
        async with app.run_test() as pilot:
            await until(pilot, lambda: n_steps > 3)

    try:
        asyncio.run(asyncio.wait_for(session(), 20))
    finally:
        may_end = True
