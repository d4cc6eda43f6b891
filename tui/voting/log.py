"""The files of votes: appended under a lock, a row whole or not at all, never edited."""

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
    """Everybody's votes on the rows of one source, in a file for each of its runs."""

    def __init__(self, path: Path, *others: Path) -> None:
        """Read the files, which need not exist."""
        self.path = path
        self.paths = (path, *others)
        self.votes: list[Vote] = []
        self.unread: list[str] = []
        """Why lines of the files are no votes, one entry a line. They are left out, and stay in the file."""
        self._path_of: dict[Vote, Path] = {}
        self._sizes: list[int] = []
        self.refresh()

    def refresh(self) -> bool:
        """Read the files again if another person voted, and return whether one had changed."""
        sizes = [_size(path) for path in self.paths]
        if sizes == self._sizes:
            return False
        self._sizes = sizes
        self.votes, self.unread, self._path_of = [], [], {}
        for path, size in zip(self.paths, sizes, strict=True):
            if size:
                self._read(path)
        self.votes.sort(key=lambda vote: _time(vote.at))
        return True

    def _read(self, path: Path) -> None:
        with opened(path) as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                vote = msgspec.json.decode(line, type=Vote)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self.unread.append(f"{path}:{number}: not a vote: {error}")
                continue
            self.votes.append(vote)
            self._path_of[vote] = path

    def append(self, vote: Vote, path: Path | None = None) -> None:
        """Write a vote at the end of a file, by default the first one.

        Raises StoreError if it cannot be written: the file is then as it was before.
        """
        append_line(path if path in self.paths and path is not None else self.path, msgspec.json.encode(vote))
        self.refresh()

    def path_of(self, vote: Vote) -> Path:
        """Return the file that a vote is in."""
        return self._path_of.get(vote, self.path)

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


def append_line(path: Path, line: bytes) -> None:
    """Write a line at the end of a file, whole or not at all. Raises StoreError if it cannot be written."""
    check_writable(path)
    make_folder(path.parent)
    line += b"\n"
    with DiskErrors(path), locked(path) as file:
        repair_end(path)
        end = os.fstat(file.fileno()).st_size
        try:
            written = 0
            while written < len(line):  # a nearly full disk takes a part first
                written += file.write(line[written:])
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), end)
            raise


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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


def open_votes(path: Path, *others: Path) -> VoteLog:
    """Return the votes in the files, and name the lines that are none."""
    log = VoteLog(path, *others)
    for problem in log.unread[:SHOWN]:
        say(f"left out: {problem}")
    if (n := len(log.unread)) > SHOWN:
        say(f"{path}: {n} lines are no votes")
    return log
