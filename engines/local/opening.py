"""Opens a model in this process, through transformers or vLLM, without loading it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.local.vllm.engine import VllmEngine
from engines.local.vllm.memory import Memory
from engines.local.waiting import LocalEngine, check_template, local_engine


def open_local(
    folder: Path,
    name: str,
    batch_size: int,
    chat_template_kwargs: Mapping[str, Any],
    vllm: Memory | None,
    dtype: str = "auto",
) -> LocalEngine | VllmEngine:
    """Return the engine of the model in `folder`: vLLM's if it has memory given, or else that of transformers.

    Raises InputError if the model has no chat template.
    """
    if vllm is None:
        return local_engine(folder, name, batch_size, chat_template_kwargs, dtype)
    check_template(folder, name)
    return VllmEngine(name, folder, chat_template_kwargs, vllm)
