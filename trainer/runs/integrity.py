"""Checks that a finished iteration's files and model are unchanged and complete.

When an iteration is done, hashes.json stores a hash of each of its files and of its model. A resumed run compares them
before it builds on the iteration, and names the first file that was edited, deleted or half-written.
"""

import json
from pathlib import Path

import msgspec

from console.errors import InputError
from console.progress import say
from engines.adapters import is_model
from engines.files import files_of
from engines.models import model_digest
from records.keys import files_digest
from records.rows import Row
from records.runs import Run
from records.store import set_aside, write_atomic
from trainer.runs.eval_integrity import check_eval_hashes
from trainer.training.checkpoints import flaw_of, manifest_of

HASHES = "hashes.json"
FILES = (
    "prompts.jsonl",
    "responses.jsonl",
    "initial_responses.jsonl",
    "comparisons.jsonl",
    "judgments.jsonl",
    "judgments.evidence.jsonl",
    "initial_judgments.jsonl",
    "initial_judgments.evidence.jsonl",
    "meta_comparisons.jsonl",
    "clusters.jsonl",
    "views.jsonl",
    "pairs.jsonl",
    "chats.jsonl",
)
REWARD_MODEL = "reward_model"
"""The folder of an iteration's reward model (trainer.rlp only)."""


EARLIER = ("*.safetensors", "config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja")
"""The files in the model digest of older runs, which did not cover the tokenizer's own settings."""


class Hashes(Row, frozen=True, kw_only=True):
    """The files of a finished iteration; each hash is 16 hex digits of BLAKE2b."""

    files: dict[str, str]
    model: str
    """The digest of the weights, tokenizer and template."""
    stamps: dict[str, tuple[int, int]]
    """Size in bytes and modification time in nanoseconds of each model file. Equal stamps mean an equal digest."""
    reward_model: str | None = None
    reward_stamps: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """The stamps of the reward model's files."""
    whole: bool = False
    """True if the digests cover every file that decides what a model writes, False if only those of EARLIER."""


def write_hashes(run: Run, number: int) -> None:
    """Write the hashes of iteration `number`, which is done."""
    folder, model = run.iteration(number), run.model(number)
    files = {name: files_digest([folder / name]) for name in FILES if (folder / name).exists()}
    hashes = Hashes(files=files, model=model_digest(model), stamps=_stamps(model), whole=True)
    if (reward := folder / REWARD_MODEL).exists():
        made = {"reward_model": model_digest(reward), "reward_stamps": _stamps(reward)}
        hashes = msgspec.structs.replace(hashes, **made)
    write_atomic(folder / HASHES, msgspec.json.format(msgspec.json.encode(hashes)))


def check_unchanged(run: Run) -> None:
    """Raise InputError if a file of a finished iteration or of the evaluation has changed since it was done."""
    check_eval_hashes(run)
    for number in sorted(run.done()):
        check_hashes(run, number)


def check_hashes(run: Run, number: int) -> None:
    """Raise InputError if a file or the model of iteration `number` has changed since it was done.

    The model's bytes are read only if a file's size or modification time differs. An iteration without hashes.json is
    reported on stderr and not checked.
    """
    path = run.iteration(number) / HASHES
    if not path.exists():
        say(f"iter{number} has no {HASHES}: its files are not checked")
        return
    try:
        hashes = msgspec.json.decode(path.read_bytes(), type=Hashes)
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: cannot be read: {error}; restore it, or start again with --fresh") from None
    for name, before in hashes.files.items():
        file = run.iteration(number) / name
        now = files_digest([file]) if file.exists() else None
        _compare(str(file), before, now, number)
    check_model(run, number)
    model, reward = run.model(number), run.iteration(number) / REWARD_MODEL
    _check_digest(model, hashes.model, hashes.stamps, hashes.whole, number)
    if hashes.reward_model is not None:
        _check_digest(reward, hashes.reward_model, hashes.reward_stamps, hashes.whole, number)


def check_model(run: Run, number: int) -> None:
    """Raise InputError if the model of iteration `number`, the parent of later ones, is missing or incomplete."""
    model = run.model(number)
    if not model.exists():
        to = f" (it points to {model.readlink()})" if model.is_symlink() else ""
        raise InputError(
            f"{model}{to} is gone: iter{number + 1} is trained from it. Restore it, or start again with --fresh"
        )
    if flaw := model_flaw(model):
        raise InputError(f"{model} is incomplete: {flaw}. Restore it, or start again with --fresh")


def set_aside_broken_model(model: Path) -> bool:
    """Set aside a half-written model of an unfinished iteration, to be trained again; return whether there was one.

    A model trained by this project has a manifest, which is written last.
    """
    flaw = flaw_of(model) if model.exists() else None
    if flaw is None:
        return False
    say(f"{model}: set aside, it is half-written: {flaw}; it is trained again")
    set_aside(model)
    return True


def model_flaw(folder: Path) -> str | None:
    """Return why the model in a folder is incomplete (a file or shard is missing or cut off), or None."""
    if manifest_of(folder) is not None:
        return flaw_of(folder)
    if not is_model(folder):
        return "config.json is missing"
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        names = [path.name for path in folder.glob("*.safetensors")] or ["model.safetensors"]
    for name in names:
        if not (folder / name).exists():
            return f"{name} is missing"
        if flaw := _cut_off(folder / name):
            return flaw
    return None


def _compare(what: str, before: str, now: str | None, number: int) -> None:
    if now == before:
        return
    changed = f"its hash was {before} and is {now}" if now else f"it is gone; its hash was {before}"
    raise InputError(
        f"{what} was changed after iter{number} was done: {changed}. Restore it, or start again with --fresh"
    )


def _check_digest(model: Path, before: str, stamps: dict[str, tuple[int, int]], whole: bool, number: int) -> None:
    if not whole and model.exists():
        files = files_of(model, EARLIER)
        if _stamps(model, files) != stamps:  # as older runs hashed it, or every old model would look edited
            _compare(str(model), before, files_digest(files), number)
    elif _stamps(model) != stamps:  # copied or touched, so the bytes decide
        _compare(str(model), before, model_digest(model) if model.exists() else None, number)


def _stamps(model: Path, files: list[Path] | None = None) -> dict[str, tuple[int, int]]:
    stats = {path: path.stat() for path in (files_of(model) if files is None else files)}
    return {path.relative_to(model).as_posix(): (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def _cut_off(path: Path) -> str | None:
    """Return what is wrong with the length of a safetensors file, whose header states it, or None."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        # The format: 8 bytes with the length of the JSON header, the header, then the tensors.
        n_header = int.from_bytes(file.read(8), "little")
        if n_bytes < 8 + n_header:
            return f"{path.name} is cut off in its header"
        try:
            header = json.loads(file.read(n_header))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            n_data = max(ends, default=0)
        except (ValueError, RecursionError, AttributeError, KeyError, IndexError, TypeError):
            return f"the header of {path.name} is damaged"
    expected = 8 + n_header + n_data
    return None if n_bytes == expected else f"{path.name} has {n_bytes} of {expected} bytes"
