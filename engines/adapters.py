"""Folders that hold a LoRA adapter: small weights, and a link to the base model that they change.

Their files are PEFT's (adapter_config.json, adapter_model.safetensors) with the tokenizer. Training also writes
base.json, which has the base's digest and its place beside the adapter, so that a run can be moved.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.reading import read_file
from engines.files import WEIGHTS, files_of, from_hub
from records.decoding.lines import decode_line
from records.keys import content_key, files_digest

CONFIG, SETTINGS, BASE = "config.json", "adapter_config.json", "base.json"
TENSORS = "adapter_model.safetensors"
PLACES = ("base_model_name_or_path", "revision", "inference_mode")
"""The settings of an adapter that change nothing of what it says: where its base is, and whether it learns."""


class Base(msgspec.Struct, frozen=True):
    """The base model of an adapter."""

    digest: str
    """What `engines.models.model_digest` gave when the adapter was trained."""
    path: str
    """From the adapter's folder."""


def is_model(folder: Path) -> bool:
    """Return whether `folder` holds a model, whole or as an adapter. Only its config file is looked for."""
    return (folder / CONFIG).exists() or is_adapter(folder)


def is_adapter(folder: Path) -> bool:
    """Return whether `folder` holds an adapter and not a whole model."""
    return (folder / SETTINGS).exists() and not (folder / CONFIG).exists()


def settings_of(folder: Path) -> dict[str, Any]:
    """Return the settings of the adapter in `folder`. Raises InputError if they are damaged or not those of LoRA."""
    path = folder / SETTINGS
    try:
        settings = decode_line(read_file(path))
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: cannot be read, so that the adapter is damaged: {reason}") from None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: holds no object, so that the adapter is damaged")
    if settings.get("peft_type") != "LORA":
        raise InputError(f"{path}: an adapter of the type {settings.get('peft_type')}; only LoRA's are read")
    if not isinstance(settings.get("base_model_name_or_path"), str):
        raise InputError(f"{path}: names no base model; add base_model_name_or_path, a folder or a hub id")
    return settings


def weights_folder(folder: Path) -> Path:
    """Return the folder with the whole weights and config.json of a model: that of an adapter's base, or itself.

    Raises InputError if the base is not there.
    """
    if not is_adapter(folder):
        return folder
    settings = settings_of(folder)
    name = str(settings["base_model_name_or_path"])
    recorded = recorded_base(folder)
    near = [folder.resolve() / recorded.path] if recorded is not None else []
    places = [place for place in (Path(name), *near) if is_model(place)]
    for place in places:
        if is_adapter(place):
            raise InputError(f"{folder}: its base {place} is an adapter too; merge that one first (--lora.merge)")
    if recorded is not None and len(places) == 2 and not places[0].samefile(places[1]):
        # the adapter was moved with its base, and another model may have come to the old place
        return next((place for place in places if base_digest(place) == recorded.digest), places[0])
    if places:
        return places[0]
    told = f"{folder}: an adapter, and its base model {name} is gone"
    if os.path.isabs(name) or name.startswith("."):
        raise InputError(f"{told}; put it back, or name its new place in {folder / SETTINGS}")
    return from_hub(name, [*WEIGHTS, "*.json", "*.jinja"], told, settings.get("revision"))


def recorded_base(folder: Path) -> Base | None:
    """Return what training wrote down about an adapter's base, or None if another program made the adapter."""
    path = folder / BASE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Base)
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: cannot be read, so that the adapter is damaged: {error}") from None


def tokenizer_folder(folder: Path) -> Path:
    """Return the folder of a model's tokenizer: an adapter that has none speaks with that of its base."""
    has_none = is_adapter(folder) and not (folder / "tokenizer_config.json").exists()
    return weights_folder(folder) if has_none else folder


def whole_digest(folder: Path) -> str:
    """Return 16 hex digits that identify the files of a model, of an adapter together with its base."""
    if not is_adapter(folder):
        return files_digest(files_of(folder), folder)
    settings = {name: value for name, value in settings_of(folder).items() if name not in PLACES}
    files = [path for path in files_of(folder) if path.name != SETTINGS]
    return content_key("adapter", settings, files_digest(files, folder), base_digest(weights_folder(folder)))


def base_digest(base: Path) -> str:
    """Return the digest of an adapter's base. Its bytes are read once, unless a file changes its size or time."""
    stats = [(path.name, path.stat()) for path in files_of(base)]
    return _digest_of(base.resolve(), tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


@cache
def _digest_of(base: Path, _stamps: tuple[tuple[str, int, int], ...]) -> str:
    return files_digest(files_of(base), base)


def checked_base(folder: Path) -> Path:
    """Return the base of the adapter in `folder`. Raises InputError if it is gone, or is not the one trained on."""
    base, recorded = weights_folder(folder), recorded_base(folder)
    if not (folder / TENSORS).exists():
        raise InputError(f"{folder}: an adapter without {TENSORS}; weights in other formats are not read")
    if recorded is not None and (now := base_digest(base)) != recorded.digest:
        raise InputError(
            f"{folder}: an adapter on another model than {base}: its base had the digest {recorded.digest}, this one "
            f"has {now}; restore it, or delete {folder / BASE} to use it all the same"
        )
    return base
