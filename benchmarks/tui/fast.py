"""textual-fastdatatable over an Arrow table of a file of judgments, for the benchmark: arrows move, s sorts."""

import sys
from pathlib import Path
from typing import ClassVar

import pyarrow.json
from textual.app import App, ComposeResult
from textual_fastdatatable import DataTable


class Fast(App[None]):
    """The table, which sorts by the score."""

    BINDINGS: ClassVar = [("s", "sort", "Sort")]

    def __init__(self, path: Path) -> None:
        super().__init__()
        names = ["prompt", "score", "spread", "model", "judge", "error", "response"]
        self._data = pyarrow.json.read_json(path).select(names)

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield DataTable(
            data=self._data,
            render_markup=False,
            cursor_type="row",
            max_column_content_width=40,
        )

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(DataTable).focus()

    def action_sort(self) -> None:
        """Sort by the score."""
        self.query_one(DataTable).sort([("score", "ascending")])


if __name__ == "__main__":
    Fast(Path(sys.argv[1])).run()
