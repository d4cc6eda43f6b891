"""Model folders that are either whole or recognisably not: trained models and their checkpoints.

A folder is written under a temporary name, its manifest last, and then renamed. A checkpoint holds the weights and the
tokenizer only. A killed training that starts again repeats the same steps from the same seed and writes only the
checkpoints that are missing.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.progress import say
from records.leftovers import ENDING, remove
from records.rows import Row
from records.store import write_atomic

MANIFEST = "manifest.json"
STEP = re.compile(r"step-(\d+)")
VALUE, OPTIMISER, PROGRESS = "value.safetensors", "optimizer.safetensors", "progress.json"
MASTER = "float32.safetensors"
"""The policy's float32 training weights, saved if the policy's folder has another data type."""
ONLY_FOR_TRAINING = (VALUE, OPTIMISER, PROGRESS, MASTER)
"""The files of a PPO checkpoint that a training resumes from. The policy needs none of them."""


class Manifest(Row, frozen=True, kw_only=True):
    """The contents of a model folder. It is written last, so its presence means that the folder is complete."""

    step: int
    """Optimiser steps behind these weights."""
    key: str
    """Identifies the training, so that its checkpoints are not mixed up with those of another."""
    files: dict[str, int]
    """Size in bytes per file."""


@dataclass(frozen=True)
class Checkpoints:
    """The folder of a training's checkpoints and the steps between them."""

    folder: Path
    every_n_steps: int = 200
    """Optimiser steps (Self-Rewarding, section 3.1.4: 200)."""
    key: str = ""
    """Identifies the training: a content key of its parent, data, options and seed (records.keys.content_key)."""


def seal(folder: Path, out: Path, step: int, key: str = "") -> None:
    """Write the manifest of a finished `folder` and rename it to `out`."""
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(Manifest(step=step, key=key, files=files)))
    folder.rename(out)  # atomic, so `out` never exists half-written


def manifest_of(folder: Path) -> Manifest | None:
    """Return the manifest of a model folder, or None if it is missing or unreadable."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def flaw_of(folder: Path) -> str | None:
    """Return why a model folder is incomplete, or None. File sizes are compared, not contents."""
    manifest = manifest_of(folder)
    if manifest is None:
        return f"it has no {MANIFEST}, which is written last"
    for name, n_bytes in manifest.files.items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if path.stat().st_size != n_bytes:
            return f"{name} has {path.stat().st_size} of {n_bytes} bytes"
    return None


def checkpoints_in(folder: Path, key: str | None = None) -> list[Path]:
    """Return the whole checkpoints in `folder` in the order of their steps. With `key`, only those of that training.

    Half-written checkpoints are skipped and named on stderr.
    """
    whole = []
    for path in sorted((path for path in folder.glob("step-*") if STEP.fullmatch(path.name)), key=_step):
        if flaw := flaw_of(path):
            say(f"{path}: skipped, it is half-written: {flaw}")
        elif key is None or ((manifest := manifest_of(path)) and manifest.key == key):
            whole.append(path)
    return whole


def clear_unfinished(checkpoints: Checkpoints | None) -> None:
    """Remove half-written checkpoints of a killed training. Only the first process of a training may call this."""
    for path in checkpoints.folder.glob(f"step-*{ENDING}") if checkpoints else ():
        remove(path)


def newest_checkpoint(checkpoints: Checkpoints | None) -> Path | None:
    """Return the last whole checkpoint of this training, or None."""
    whole = checkpoints_in(checkpoints.folder, checkpoints.key) if checkpoints else []
    return whole[-1] if whole else None


def keep_policy(folder: Path) -> None:
    """Delete the files that only a training needs. The manifest changes first, so the folder is whole at any moment."""
    whole = manifest_of(folder)
    if whole is None:
        return
    files = {name: n_bytes for name, n_bytes in whole.files.items() if name not in ONLY_FOR_TRAINING}
    manifest = Manifest(step=whole.step, key=whole.key, files=files)
    write_atomic(folder / MANIFEST, msgspec.json.encode(manifest))
    for name in ONLY_FOR_TRAINING:
        (folder / name).unlink(missing_ok=True)


def _step(path: Path) -> int:
    match = STEP.fullmatch(path.name)
    return int(match[1]) if match else -1
