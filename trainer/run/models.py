"""Opens the models of a run's iterations."""

import gc
from pathlib import Path

import torch

from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions, open_folder
from engines.protocol import Engine
from records.runs import Run


def open_model(run: Run, number: int, options: EngineOptions) -> Engine:
    """Return an engine with the model of iteration `number`, under the name `iterN`."""
    return open_trained(run.model(number), f"iter{number}", options)


def open_trained(folder: Path, name: str, options: EngineOptions) -> Engine:
    """Return an engine with the model in `folder`: vLLM's if `options` name vLLM, or else that of transformers.

    vLLM takes its memory once it is asked something, and gives it back when nobody holds the engine.
    """
    if options.engine != "vllm":
        return TransformersEngine.load(folder, name, options.batch_size, options.chat_template_kwargs, options.dtype)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # what training has freed belongs to this process until then
    return open_folder(folder, name, options)


def open_reader(run: Run, number: int, options: EngineOptions) -> TransformersEngine:
    """Return the model of iteration `number` to read likelihoods of whole texts, through transformers in any case."""
    folder, name = run.model(number), f"iter{number}"
    gc.collect()  # another engine of the same model may just have been let go
    return TransformersEngine.load(folder, name, options.batch_size, options.chat_template_kwargs, options.dtype)
