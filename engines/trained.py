"""Opens a model that is trained in this process, in turn with its training."""

import gc
from pathlib import Path

import torch

from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions, open_folder
from engines.protocol import Engine


def open_trained(folder: Path, name: str, options: EngineOptions) -> Engine:
    """Return an engine with the model in `folder`: vLLM's if `options` name vLLM, or else that of transformers.

    vLLM takes its memory once it is asked something, and gives it back when nobody holds the engine.
    """
    if options.engine != "vllm":
        return TransformersEngine.load(folder, name, options.batch_size, options.chat_template_kwargs, options.dtype)
    free_memory()
    return open_folder(folder, name, options)


def free_memory() -> None:
    """Give back what nobody holds: vLLM takes only memory that is free on the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # what training has freed belongs to this process until then
