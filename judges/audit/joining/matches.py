"""Matches of table rows with labelled rows, the order of their sides, and the rows left over."""

from dataclasses import dataclass, field

from judges.labelled.traits import Traits


@dataclass(frozen=True)
class Match:
    """A row of the table that belongs to a labelled row."""

    entry: int
    exchanged: bool
    """Whether the table has the two answers in the other order."""
    sided: bool
    """Whether texts or models determined the order."""


@dataclass
class Joined:
    """The matched rows, and the rows left over."""

    how: str
    """The basis of the match, in words."""
    matches: list[list[Match]]
    """The table's rows for each labelled row."""
    strangers: list[str] = field(default_factory=list)
    """Rows of the table that belong to no labelled row, by their key."""
    ambiguous: list[str] = field(default_factory=list)
    """Rows of the table that fit several different labelled rows."""
    differing: list[str] = field(default_factory=list)
    """Rows of the table that share a key with a labelled row but have other answers."""


def side_of(row: Traits, entry: Traits) -> tuple[bool, bool] | None:
    """Return whether the sides are exchanged and whether that is known, or None if the answers differ."""
    pairs = [(row.texts, entry.texts), (row.models, entry.models)]
    known = [(ours, theirs) for ours, theirs in pairs if len(ours) == len(theirs) > 0]
    for ours, theirs in known:
        if len(set(ours)) == len(ours) and sorted(ours) == sorted(theirs):  # two equal texts tell no order
            return ours != theirs, True
    if any(sorted(ours) != sorted(theirs) for ours, theirs in known):
        return None
    return False, False


def n_matched(joined: Joined) -> int:
    """Return the number of labelled rows with a match."""
    return sum(map(bool, joined.matches))
