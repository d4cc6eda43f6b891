"""What happens to a row of somebody's file that cannot be used."""

from console.errors import RowError
from console.progress import say

SHOWN_BAD_ROWS = 10


class BadRows:
    """What happens to a bad row: it is named and counted (`quiet`: only counted), or `strict` stops the command."""

    def __init__(self, *, strict: bool = False, quiet: bool = False) -> None:
        self.strict = strict
        self.quiet = quiet
        self.n_bad = 0
        self.n_cut_off = 0
        """Good rows with a text that was cut off where it was written (`records.finish.text_cut_off`)."""

    def add(self, error: RowError) -> None:
        """Count one bad row and name it on stderr; raises it where `strict`."""
        if self.strict:
            raise error
        self.n_bad += 1
        if self.quiet:
            return
        if self.n_bad <= SHOWN_BAD_ROWS:
            say(f"skipped: {error}")
        elif self.n_bad == SHOWN_BAD_ROWS + 1:
            say(f"skipped: more than {SHOWN_BAD_ROWS} bad rows; the rest are only counted")
