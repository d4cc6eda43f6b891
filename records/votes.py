"""People's votes on pairs of answers, as they count."""

from datetime import UTC, datetime
from pathlib import Path

from records.fields.typed import read_typed
from records.files import BadRows, checked_file
from records.rows import Vote

Key = tuple[str, frozenset[str]]
"""A prompt's id and the ids of two answers, in either order."""


def read_votes(path: Path, *, strict: bool = False) -> dict[Key, dict[str, str | None]]:
    """Return people's votes by their pair. The latest vote of a voter on a pair counts, or none if it takes back.

    Rows that are no votes are reported and left out. With `strict` they raise RowError.
    """
    if checked_file(path).stat().st_size == 0:
        return {}  # nobody has voted yet
    by_pair: dict[Key, dict[str, str | None]] = {}
    for vote in sorted(read_typed(path, Vote, BadRows(strict=strict)), key=_time):
        by_voter = by_pair.setdefault((vote.prompt_id, frozenset((vote.a_id, vote.b_id))), {})
        if vote.winner is None:
            by_voter.pop(vote.voter, None)
        else:
            by_voter[vote.voter] = {"a": vote.a_id, "b": vote.b_id, "tie": None}[vote.winner]
    return {key: by_voter for key, by_voter in by_pair.items() if by_voter}


def _time(vote: Vote) -> datetime:
    """Return the time of a vote. An unreadable time sorts before all others."""
    try:
        at = datetime.fromisoformat(vote.at)
    except ValueError:
        at = datetime.min
    return at if at.tzinfo else at.replace(tzinfo=UTC)
