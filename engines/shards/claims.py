"""The queue of shards that workers on any number of machines share, kept in the folder itself.

A worker takes a shard by creating a file that nobody else can create: `claims/<shard>.0`. If its worker dies, the
claim grows old, and another worker creates `claims/<shard>.1`. There is no server that must live and no lock to clean
up. A worker that was only slow finishes the shard a second time, with the same rows under the same name.
"""

import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from engines.shards.folder import Folder
from records.leftovers import process_lives

LEASE_S = 900.0
"""Seconds after which a claim that was not renewed is void. Clocks of the machines may differ by a few minutes."""
BEATS_A_LEASE = 4
STAYING, STAYING_SHARE = 3, 0.02
"""Workers, and share of all, that wait until all is done, in case others die. The rest end once they are idle."""
MOST_TRIES = 8
"""Workers that a shard may outlive. After these something in it kills them, such as a text too long for the memory."""
MOST_LOOKS = 20
"""Claims of others that one look reads, so that a thousand idle workers do not ask the store a million questions."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a shard."""

    worker: str
    host: str
    process: int
    at: float
    """Seconds since 1970 of the last sign of life. 0 if it was given back."""


@dataclass
class Queue:
    """The shards of a plan, as one worker sees them."""

    folder: Folder
    keys: Sequence[str]
    worker: str
    """A name that no other living worker has. A worker that is started again under its name takes its shards back."""
    number: int = 0
    """Its place among the workers, from 0. Each begins with other shards, so that they seldom meet."""
    n_workers: int = 1
    clock: Callable[[], float] = time.time
    lives: Callable[[int], bool] = process_lives
    """Whether a process of this machine lives."""
    tired: list[str] = field(default_factory=list)
    """Shards that are given up, because too many workers ended on them."""
    _held: dict[str, int] = field(default_factory=dict)
    _next_look: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the shards in this worker's order: its own first, then those after them."""
        first = self.number % max(1, self.n_workers)
        own = list(range(first, len(self.keys), max(1, self.n_workers)))
        others = sorted(set(range(len(self.keys))) - set(own), key=lambda place: (place - first) % len(self.keys))
        self._own = [self.keys[place] for place in reversed(own)]
        self._others = [self.keys[place] for place in [*own, *others]]
        self._random = random.Random(self.worker)

    def take(self) -> str | None:
        """Return a shard that is now this worker's, or None if at present there is none to take."""
        while self._own:
            key = self._own.pop()
            if self._create(key, 0):
                if not self.folder.has(f"done/{key}"):
                    return key
                self.give_up(key)
        return self._take_other()

    def _take_other(self) -> str | None:
        done = self.folder.names("done")
        tries = claimed(self.folder)
        open_keys = [key for key in self._others if key not in done]
        last = [key for key in open_keys if tries.get(key, 0) >= MOST_TRIES - 1]
        self.tired = [key for key in last if self._is_void(key, tries[key])]  # the last worker may live
        for key in open_keys:
            if key not in tries and self._create(key, 0):
                return key
        held = [key for key in open_keys if key in tries and key not in self.tired and key not in self._held]
        now = self.clock()
        looked = [key for key in held if self._next_look.get(f"{key}.{tries[key]}", 0.0) <= now]
        # the first of this worker's order may be of its earlier life; the others are looked at in any order
        for key in [*looked[:1], *self._random.sample(looked[1:], min(MOST_LOOKS, len(looked[1:])))]:
            if self._is_void(key, tries[key]) and self._create(key, tries[key] + 1):
                return key
        return None

    def _is_void(self, key: str, number: int) -> bool:
        claim = read_claim(self.folder, key, number)
        if claim is None or claim.worker == self.worker:
            return True
        if claim.host == socket.gethostname() and not self.lives(claim.process):
            return True
        self._next_look[f"{key}.{number}"] = self.clock() + LEASE_S / BEATS_A_LEASE
        return claim.at + LEASE_S <= self.clock()

    @property
    def stays(self) -> bool:
        """Whether this worker is one of the few that wait, idle, until all is done."""
        return self.number < STAYING + STAYING_SHARE * self.n_workers

    def _create(self, key: str, number: int) -> bool:
        if not self.folder.create(f"claims/{key}.{number}", self._claim(self.clock())):
            return False
        self._held[key] = number
        return True

    def _claim(self, at: float) -> bytes:
        return msgspec.json.encode(Claim(worker=self.worker, host=socket.gethostname(), process=os.getpid(), at=at))

    def beat(self) -> None:
        """Renew the claims that this worker holds."""
        for key, number in list(self._held.items()):
            self.folder.write(f"claims/{key}.{number}", self._claim(self.clock()))

    def finished(self, key: str) -> None:
        """Forget a shard that is done."""
        self._held.pop(key, None)

    def give_up(self, key: str) -> None:
        """Give a shard back, so that another worker can take it at once."""
        if (number := self._held.pop(key, None)) is not None:
            self.folder.write(f"claims/{key}.{number}", self._claim(0.0))

    def n_open(self) -> int:
        """Return the number of shards that are not done."""
        return len(set(self.keys) - self.folder.names("done").keys())


def claimed(folder: Folder) -> dict[str, int]:
    """Return the number of each shard's last claim."""
    tries: dict[str, int] = {}
    for name in folder.names("claims"):
        key, _, number = name.rpartition(".")
        if number.isdigit():
            tries[key] = max(int(number), tries.get(key, 0))
    return tries


def read_claim(folder: Folder, key: str, number: int) -> Claim | None:
    """Return a claim, or None if it is gone or is none."""
    try:
        return msgspec.json.decode(folder.read(f"claims/{key}.{number}") or b"", type=Claim)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def give_back(folder: Folder, worker: str) -> None:
    """Give back the shards of a worker that is known to be dead."""
    done = folder.names("done")
    for key, number in claimed(folder).items():
        claim = None if key in done else read_claim(folder, key, number)
        if claim is not None and claim.worker == worker and claim.at:
            void = msgspec.structs.replace(claim, at=0.0)
            folder.write(f"claims/{key}.{number}", msgspec.json.encode(void))
