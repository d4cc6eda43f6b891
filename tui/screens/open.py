"""Opens the screen in a terminal, or draws it into a file without one."""

import asyncio
import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.errors import InputError
from records.store import write_atomic
from tui.browsing.state import Browsing
from tui.dialogs.form import Confirm, Form
from tui.dialogs.small import Ask, Choice, Reader
from tui.screens.answers import CandidatesScreen, IterationsScreen
from tui.screens.app import BrowserApp
from tui.screens.bindings import MAIN
from tui.screens.filter_line import FilterInput
from tui.screens.grid import Grid
from tui.screens.keys import read_keymap
from tui.screens.panes import TextPane
from tui.screens.themes import NAMES

WITH_KEYS = (
    MAIN, Grid.BINDINGS, TextPane.BINDINGS, FilterInput.BINDINGS, CandidatesScreen.BINDINGS, IterationsScreen.BINDINGS,
    Choice.BINDINGS, Ask.BINDINGS, Reader.BINDINGS, Form.BINDINGS, Confirm.BINDINGS,
)  # fmt: skip
"""All keys that a person can change."""
SCREENSHOT_SIZE = (120, 40)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def own_keys(path: Path | None) -> dict[str, str]:
    """Return the keys of the file `path`. Raises InputError if it is wrong."""
    if path is None:
        return {}
    if not path.is_file():
        raise InputError(f"--keys {path}: no such file")
    return read_keymap(path, [binding for bindings in WITH_KEYS for binding in bindings])


def return_memory() -> None:
    """Let the allocator give back what the columns of a million rows take for a moment, if it is that of glibc.

    By itself it keeps up to 64 MB a thread once large arrays have been freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 4 << 20)
        mallopt(M_TRIM_THRESHOLD, 8 << 20)


def open_screen(browsing: Browsing, reading: Iterator[int], theme: str, keymap: dict[str, str]) -> None:
    """Open the screen with a person's own keys, if there are any."""
    return_memory()
    app = BrowserApp(browsing, reading, theme=NAMES[theme])
    if keymap:
        app.set_keymap(keymap)
    app.run()


def write_screenshot(browsing: Browsing, path: Path, theme: str = "dark", keys: Sequence[str] = ()) -> None:
    """Write the screen with the first row selected, or after some keys, to the SVG file `path`, without a terminal."""

    async def picture() -> str:
        app = BrowserApp(browsing, theme=NAMES[theme], follow=False)
        async with app.run_test(size=SCREENSHOT_SIZE) as pilot:
            await app.workers.wait_for_complete()
            await pilot.press(*keys)
            await pilot.pause()  # until the first row is drawn
            return app.export_screenshot()

    write_atomic(path, asyncio.run(picture()))
