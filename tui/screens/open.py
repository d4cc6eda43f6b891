"""Opens the screen in a terminal, or draws it into a file without one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from console.errors import InputError
from records.store import write_atomic
from tui.browsing.state import Browsing
from tui.screens.app import BrowserApp
from tui.screens.bindings import MAIN
from tui.screens.filter_line import FilterInput
from tui.screens.grid import Grid
from tui.screens.keys import read_keymap
from tui.screens.panes import TextPane
from tui.screens.themes import NAMES

SCREENSHOT_SIZE = (120, 40)


def own_keys(path: Path | None) -> dict[str, str]:
    """Return the keys of the file `path`. Raises InputError if it is wrong."""
    if path is None:
        return {}
    if not path.is_file():
        raise InputError(f"--keys {path}: no such file")
    return read_keymap(path, [*MAIN, *Grid.BINDINGS, *TextPane.BINDINGS, *FilterInput.BINDINGS])


def open_screen(browsing: Browsing, reading: Iterator[int], theme: str, keymap: dict[str, str]) -> None:
    """Open the screen with a person's own keys, if there are any."""
    app = BrowserApp(browsing, reading, theme=NAMES[theme])
    if keymap:
        app.set_keymap(keymap)
    app.run()


def write_screenshot(browsing: Browsing, path: Path, theme: str = "dark") -> None:
    """Write the screen with the first row selected to the SVG file `path`, without a terminal."""

    async def picture() -> str:
        app = BrowserApp(browsing, theme=NAMES[theme], follow=False)
        async with app.run_test(size=SCREENSHOT_SIZE) as pilot:
            await app.workers.wait_for_complete()
            await pilot.pause()  # until the first row is drawn
            return app.export_screenshot()

    write_atomic(path, asyncio.run(picture()))
