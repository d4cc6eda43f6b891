"""What belongs together: a table's rows about a labelled row, which way round they stand, and what is left over."""

from dataclasses import dataclass, field

from judges.labelled.traits import Traits


@dataclass(frozen=True)
class Match:
    """A row of the table that is about a labelled row."""

    entry: int
    exchanged: bool
    """Whether the two answers stand the other way round in the table."""
    sided: bool
    """Whether texts or models said which way round they stand."""


@dataclass
class Joined:
    """What belongs together, and what was left over."""

    how: str
    """By what, in words."""
    matches: list[list[Match]]
    """For each labelled row what the table has on it."""
    strangers: list[str] = field(default_factory=list)
    """Rows of the table that are about no labelled row, by their key."""
    ambiguous: list[str] = field(default_factory=list)
    """Rows of the table that may be about several labelled rows which differ."""
    differing: list[str] = field(default_factory=list)
    """Rows of the table whose key a labelled row has, but with other answers."""


def side_of(row: Traits, entry: Traits) -> tuple[bool, bool] | None:
    """Return whether the sides are exchanged, and whether anything said so; None where the answers are others."""
    pairs = [(row.texts, entry.texts), (row.models, entry.models)]
    known = [(mine, theirs) for mine, theirs in pairs if len(mine) == len(theirs) > 0]
    for mine, theirs in known:
        if len(set(mine)) == len(mine) and sorted(mine) == sorted(theirs):
            return mine != theirs, True
    if any(sorted(mine) != sorted(theirs) for mine, theirs in known):
        return None
    return False, False


def n_matched(joined: Joined) -> int:
    """Return how many labelled rows have something said of them."""
    return sum(map(bool, joined.matches))
