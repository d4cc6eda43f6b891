"""Checks that a run's evaluation files are unchanged: the files of eval/ and each iteration's metrics.json.

These files grow as further iterations are measured. A hash therefore covers the bytes that were there at the last
measurement, and later bytes are ignored.
"""

import hashlib
from pathlib import Path

import msgspec

from console.errors import InputError
from records.rows import Row
from records.runs import Run
from records.store import write_atomic

HASHES = "hashes.json"
CHUNK_BYTES = 1 << 20


class Measurement(Row, frozen=True, kw_only=True):
    """A file as it was when an iteration had been measured."""

    n_bytes: int
    hash: str
    """BLAKE2b of the first `n_bytes` bytes, as 16 hex digits."""


class EvalHashes(Row, frozen=True, kw_only=True):
    """Every file behind the measured figures, by its path in the run's folder."""

    files: dict[str, Measurement]


def write_eval_hashes(run: Run) -> None:
    """Write the hashes of the evaluation files as they are now."""
    files = {}
    for path in _files(run):
        n_bytes = path.stat().st_size
        files[str(path.relative_to(run.folder))] = Measurement(n_bytes=n_bytes, hash=_hash(path, n_bytes))
    path, data = _path(run), msgspec.json.format(msgspec.json.encode(EvalHashes(files=files), order="sorted"))
    if not path.exists() or path.read_bytes() != data:  # nothing is written if nothing was measured
        write_atomic(path, data)


def check_eval_hashes(run: Run) -> None:
    """Raise InputError, naming the file, if an evaluation file is missing, shorter than before, or edited.

    A run that was stopped before its first measurement has no hashes and is not checked.
    """
    path = _path(run)
    if not path.exists():
        return
    try:
        hashes = msgspec.json.decode(path.read_bytes(), type=EvalHashes)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}; restore it, or start again with --fresh") from None
    for name, before in hashes.files.items():
        file = run.folder / name
        if not file.exists():
            changed = "it is gone"
        elif file.stat().st_size < before.n_bytes:
            changed = f"it had {before.n_bytes} bytes and has {file.stat().st_size}"
        elif (now := _hash(file, before.n_bytes)) != before.hash:
            changed = f"its hash was {before.hash} and is {now}"
        else:
            continue
        raise InputError(
            f"{file} was changed after it was measured with: {changed}. Restore it, or start again with --fresh"
        )


def _files(run: Run) -> list[Path]:
    paths = [*(run.folder / "eval").rglob("*.jsonl"), *(run.folder / "eval").glob("*.json")]
    paths += [run.iteration(number) / "metrics.json" for number in run.iterations()]
    # A name with a dot is a file that is being written.
    return sorted(path for path in paths if path.is_file() and path != _path(run) and not path.name.startswith("."))


def _path(run: Run) -> Path:
    return run.folder / "eval" / HASHES


def _hash(path: Path, n_bytes: int) -> str:
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        # no byte beyond what was there: a file may have grown since
        while n_bytes > 0 and (chunk := file.read(min(n_bytes, CHUNK_BYTES))):
            digest.update(chunk)
            n_bytes -= len(chunk)
    return digest.hexdigest()
