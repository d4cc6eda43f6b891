"""The file of votes: appended under a lock, a row whole or not at all, never edited."""

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from console.progress import say
from console.writing import DiskErrors, check_writable, make_folder
from records.disk.locked import locked, repair_end
from records.rows import Vote
from records.store import opened

SHOWN = 3
Key = tuple[str, frozenset[str]]
"""A prompt's id and the ids of two answers, in either order."""


class VoteLog:
    """Everybody's votes on the rows of one source."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist."""
        self.path = path
        self.votes: list[Vote] = []
        self.unread: list[str] = []
        """Why lines of the file are no votes, one entry a line. They are left out, and stay in the file."""
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
        self.votes, self.unread = [], []
        if size == 0:
            return True
        with opened(self.path) as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                self.votes.append(msgspec.json.decode(line, type=Vote))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self.unread.append(f"{self.path}:{number}: not a vote: {error}")
        self.votes.sort(key=lambda vote: _time(vote.at))
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
    """Return the votes in `path`, and name the lines that are none."""
    log = VoteLog(path)
    for problem in log.unread[:SHOWN]:
        say(f"left out: {problem}")
    if (n := len(log.unread)) > SHOWN:
        say(f"{path}: {n} lines are no votes")
    return log
