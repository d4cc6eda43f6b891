"""Plays keys on the screen without a terminal."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import textual._wait
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Static

from tui.browsing.state import Browsing
from tui.reading.sources import find_source
from tui.reading.table import Table
from tui.screens.app import BrowserApp
from tui.voting.log import open_votes

# Textual waits until the process has been idle for so long, twice for each key.
textual._wait.SLEEP_GRANULARITY, textual._wait.SLEEP_IDLE = 0.005, 0.0005

Play = Callable[[BrowserApp, Pilot[None]], Awaitable[None]]


def browser(paths: Sequence[Path], *, theme: str = "textual-dark", follow: bool = False, **settings: Any) -> BrowserApp:
    source = find_source(list(paths))
    table = Table(source)
    for _ in table.read():
        pass
    return BrowserApp(Browsing(table, open_votes(*source.vote_files()), "ann", **settings), theme=theme, follow=follow)


def play(paths: Sequence[Path], steps: Play, size: tuple[int, int] = (120, 40), **settings: Any) -> None:
    app = browser(paths, **settings)

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            await settled(app, pilot)
            await steps(app, pilot)

    asyncio.run(session())


async def settled(app: BrowserApp, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def press(app: BrowserApp, pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await settled(app, pilot)


async def filtered(app: BrowserApp, pilot: Pilot[None], line: str) -> None:
    """Paste a filter: one that is typed is also applied before its end, if the machine is slow."""
    await press(app, pilot, "slash")
    assert app.focused is not None
    app.focused.post_message(Paste(line))
    await press(app, pilot, "enter")


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("this did not come about")


def text_of(app: BrowserApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


def pane(app: BrowserApp, name: str) -> str:
    return text_of(app, f"#{name} Static")


def shown(app: BrowserApp) -> list[int]:
    return [int(row) + 1 for row in app.browsing.order]


def on_screen(app: BrowserApp) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def notices(app: BrowserApp) -> str:
    return "\n".join(str(notice.message) for notice in app._notifications)
