"""Writes the calls of a batch into as many files as OpenAI's limits require."""

from pathlib import Path
from typing import IO, Any

import msgspec

from console.progress import say
from console.writing import DiskErrors, make_folder
from records.leftovers import temporary_path
from records.store import set_aside

MAX_REQUESTS = 50_000
MAX_BYTES = 190_000_000
"""OpenAI takes files of up to 50,000 requests and 200 MB."""


class Parts:
    """Files that appear together when all is written, or not at all."""

    def __init__(self, path: Path) -> None:
        self.n = 0
        self._path = path
        self._written: list[Path] = []
        self._file: IO[bytes] | None = None
        self._n_here = self._bytes_here = 0

    def write(self, lines: list[bytes]) -> None:
        """Write the calls of one row, all into the same file."""
        n_bytes = sum(map(len, lines))
        full = self._n_here + len(lines) > MAX_REQUESTS or self._bytes_here + n_bytes > MAX_BYTES
        with DiskErrors(self._path):
            if self._file is None or full:
                self._file = self._next()
            self._file.writelines(lines)
        self.n += len(lines)
        self._n_here += len(lines)
        self._bytes_here += n_bytes

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with DiskErrors(self._path):
                if self._file:
                    self._file.close()
                if kind is None and self._written:
                    self._publish()
        finally:
            for temporary in self._written:
                temporary.unlink(missing_ok=True)

    def _next(self) -> IO[bytes]:
        if self._file:
            self._file.close()
        make_folder(self._path.parent)
        temporary = temporary_path(self._path, f"-{len(self._written)}")
        self._written.append(temporary)
        self._n_here = self._bytes_here = 0
        return temporary.open("wb")

    def _publish(self) -> None:
        """Put the files in their places. Those of an earlier export are set aside, so that none is left among them."""
        set_aside(self._path)
        number = 1
        while self._part(number).exists():
            set_aside(self._part(number))
            number += 1
        several = len(self._written) > 1
        for number, temporary in enumerate(self._written, start=1):
            temporary.replace(self._part(number) if several else self._path)
        if several:
            first, last = self._part(1), self._part(len(self._written))
            say(f"{self.n} requests do not fit in one batch: {len(self._written)} files, {first} to {last.name}")

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{number:05d}{self._path.suffix}")


def request_line(custom_id: str, body: dict[str, Any]) -> bytes:
    """Return the line of a batch file that requests `body`."""
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return msgspec.json.encode(line) + b"\n"
