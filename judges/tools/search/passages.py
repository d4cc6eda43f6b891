"""Keeps a corpus's passages in the user's cache, and reads only the requested ones into memory."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from console.progress import say
from console.writing import DiskErrors
from engines.models import cache_folder
from judges.tools.search.corpus import Passage, corpus_digest, read_passages
from records.leftovers import remove_leftovers, temporary_folder

TEXTS = "passages.jsonl"
OFFSETS = "offsets.npy"


@dataclass(frozen=True)
class Passages:
    """The passages of one corpus, on disk."""

    folder: Path
    """The folder of everything made from this corpus."""
    digest: str
    offsets: NDArray[np.int64]
    """The start of each line and the end of the last one, memory-mapped."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, indices: list[int]) -> list[Passage]:
        """Return the passages at `indices`."""
        decoder = msgspec.json.Decoder(Passage)
        with (self.folder / TEXTS).open("rb") as file:

            def passage_at(index: int) -> Passage:
                file.seek(int(self.offsets[index]))
                return decoder.decode(file.readline())

            return [passage_at(index) for index in indices]

    def texts(self) -> Iterator[str]:
        """Yield the searchable text of each passage, in order: its title and its text."""
        decoder = msgspec.json.Decoder(Passage)
        with (self.folder / TEXTS).open("rb") as file:
            yield from (searchable(decoder.decode(line)) for line in file)


def searchable(passage: Passage) -> str:
    """Return the words by which a passage is found and read."""
    return f"{passage.title}: {passage.text}" if passage.title else passage.text


def open_passages(source: Path) -> Passages:
    """Return the passages of the corpus at `source`, cut on first use into the cache.

    Raises InputError if it has no text, StoreError if the cache cannot be written.
    """
    digest = corpus_digest(source)
    folder = cache_folder() / "corpora" / digest

    def build(partial: Path) -> None:
        say(f"cutting {source} into passages once, into {folder}")
        offsets = [0]
        with (partial / TEXTS).open("wb") as file:
            for passage in read_passages(source):
                # n + 1 entries: the last one is the end of the file
                offsets.append(offsets[-1] + file.write(msgspec.json.encode(passage) + b"\n"))
        np.save(partial / OFFSETS, np.array(offsets, dtype=np.int64))

    once(folder, build)
    return Passages(folder, digest, load_array(folder / OFFSETS))


def once(folder: Path, build: Callable[[Path], None]) -> None:
    """Make `folder` by `build`, complete or not at all. An existing folder stays as it is."""
    remove_leftovers(folder.parent)
    if folder.exists():
        return
    partial = temporary_folder(folder)  # beside it, because a rename works within one file system only
    with DiskErrors(folder):
        try:
            partial.mkdir(parents=True)
            build(partial)
            if not folder.exists():  # another process may have been faster
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def load_array(path: Path) -> Any:
    """Return the array in `path`, memory-mapped."""
    return np.load(path, mmap_mode="r", allow_pickle=False)
