"""What the commands that judge print at their end: the table, who judged, and what it cost; or the same as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.output import tell, tell_json
from console.table import Cell, print_table
from judges.cost import Budget
from judges.verdict import Masses


@dataclass(frozen=True)
class Report:
    """A table and where it comes from."""

    key: str
    """What the rows of the table are, for JSON."""
    table: Sequence[dict[str, Cell]]
    judge: str
    """The fingerprint."""
    by: str
    """Who judged, on which rubric, and how it was read, in words."""
    out: Path
    budget: Budget
    masses: Masses
    extra: dict[str, Any]
    """Further results, for JSON."""

    def print(self, *, as_json: bool) -> None:
        """Print the report on stdout."""
        if as_json:
            found: dict[str, Any] = {self.key: self.table, "judge": self.judge, "out": str(self.out)}
            found |= {"usage": self.budget.as_dict(), "mass": self.masses.as_dict(), **self.extra}
            tell_json(found)
            return
        print_table(self.table)
        tell("", f"judged by {self.by}; {self.out}")
        if self.masses.n:
            tell(self.masses)
        tell(f"cost: {self.budget}")
