"""The file of votes: appended under a lock, a row whole or not at all, never edited."""

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from console.errors import InputError, RowError
from console.writing import DiskErrors, check_writable, make_folder
from records.disk.locked import locked, repair_end
from records.rows import Vote
from records.store import read_rows

Key = tuple[str, frozenset[str]]
"""A prompt's id and the ids of two answers, in either order."""


class VoteLog:
    """Everybody's votes on the rows of one source."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist. Raises RowError if a row of it is no vote."""
        self.path = path
        self.votes: list[Vote] = []
        self._size = -1
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if another person voted, and return whether it had changed."""
        try:
            size = self.path.stat().st_size
        except OSError:
            size = 0
        if size == self._size:
            return False
        self._size = size
        self.votes = sorted(read_rows(self.path, Vote), key=lambda vote: _time(vote.at)) if size else []
        return True

    def append(self, vote: Vote) -> None:
        """Write a vote at the end of the file. Raises StoreError if it cannot be: the file is then as it was before."""
        check_writable(self.path)
        make_folder(self.path.parent)
        line = msgspec.json.encode(vote) + b"\n"
        with DiskErrors(self.path), locked(self.path) as file:
            repair_end(self.path)
            end = os.fstat(file.fileno()).st_size
            try:
                written = 0
                while written < len(line):  # a nearly full disk takes a part first
                    written += file.write(line[written:])
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise
        self.refresh()

    def by_pair(self) -> dict[Key, dict[str, Vote]]:
        """Return the vote that counts of each voter on each pair of answers."""
        found: dict[Key, dict[str, Vote]] = {}
        for vote in self.votes:
            by_voter = found.setdefault(key_of(vote), {})
            by_voter.pop(vote.voter, None)
            if vote.winner is not None:
                by_voter[vote.voter] = vote
        return {key: by_voter for key, by_voter in found.items() if by_voter}

    def last_of(self, voter: str) -> Vote | None:
        """Return the latest vote of a person that counts, which is the one to take back."""
        standing = [by_voter[voter] for by_voter in self.by_pair().values() if voter in by_voter]
        return max(standing, key=lambda vote: _time(vote.at), default=None)

    def voters(self) -> list[str]:
        """Return the names of all who voted."""
        return sorted({vote.voter for vote in self.votes})


def key_of(vote: Vote) -> Key:
    """Return the two answers of a vote."""
    return vote.prompt_id, frozenset((vote.a_id, vote.b_id))


def now() -> str:
    """Return the time of a vote, to the microsecond: the later one of two counts."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _time(at: str) -> datetime:
    try:
        time = datetime.fromisoformat(at)
    except ValueError:
        time = datetime.min
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def open_votes(path: Path) -> VoteLog:
    """Return the votes in `path`. Raises InputError that says what to do if a row is damaged."""
    try:
        return VoteLog(path)
    except RowError as error:
        raise InputError(
            f"{str(error).partition('; mend')[0]}; mend the line, or vote into another file: --votes"
        ) from None
