"""The treatment of bad rows in a user's file."""

from console.errors import RowError
from console.progress import say

SHOWN_BAD_ROWS = 10


class BadRows:
    """Names and counts bad rows (`quiet`: only counts them), or stops the command at the first (`strict`)."""

    def __init__(self, *, strict: bool = False, quiet: bool = False) -> None:
        self.strict = strict
        self.quiet = quiet
        self.n_bad = 0
        self.last: str | None = None
        """What is wrong with the last bad row, with its place."""
        self.n_cut_off = 0
        """Good rows with a text that was cut off when it was generated (`records.finish.text_cut_off`)."""

    def add(self, error: RowError) -> None:
        """Count one bad row and name it on stderr, or raise its error if `strict`."""
        if self.strict:
            raise error
        self.n_bad += 1
        self.last = str(error)
        if self.quiet:
            return
        if self.n_bad <= SHOWN_BAD_ROWS:
            say(f"skipped: {error}")
        elif self.n_bad == SHOWN_BAD_ROWS + 1:
            say(f"skipped: more than {SHOWN_BAD_ROWS} bad rows; the rest are only counted")

    def summary(self, n_before: int = 0) -> str:
        """Return how many rows are bad, `n_before` of other files apart, and what is wrong with one of them."""
        n = self.n_bad - n_before
        if n < 2:
            return f"its only row is bad: {self.last}" if n else "it has no row"
        return f"all {n} rows are bad, the last one: {self.last}"
