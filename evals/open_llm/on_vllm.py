"""lm-eval's own vLLM back end, on either distribution of vLLM."""

import importlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

from lm_eval.api.model import LM

from engines.local.vllm.installed import ON_CPU, ON_GPU
from engines.local.vllm.memory import Memory
from engines.local.vllm.starting import arguments_of, as_it_was, planned
from engines.merging import whole

AT_ONCE = 1 << 20
"""Requests given to vLLM in one call, which has its own batches. With lm-eval's `auto` vLLM draws a bar of its own, and
divides by the time since its start, which may be 0."""


def load_on_vllm(folder: Path, dtype: str, chat_template_kwargs: Mapping[str, Any]) -> LM:
    """Return the model in `folder`, which vLLM runs in this process. Raises EngineError if it does not fit."""
    # lm-eval asks for the version of the distribution `vllm`, and on a CPU the package comes from another one. Its
    # module takes the function over when it is imported.
    with mock.patch.object(metadata, "version", _version), as_it_was(), whole(folder) as weights:
        backend = importlib.import_module("lm_eval.models.vllm_causallms")
        return backend.VLLM(
            pretrained=str(weights),
            dtype=dtype,
            batch_size=AT_ONCE,
            chat_template_args=dict(chat_template_kwargs),
            enable_prefix_caching=True,
            **arguments_of(planned(str(folder), folder, Memory(), dtype)),
        )


_of_distribution = metadata.version


def _version(distribution: str) -> str:
    try:
        return _of_distribution(distribution)
    except metadata.PackageNotFoundError:
        if distribution != ON_GPU:
            raise
        return f"{_of_distribution(ON_CPU)}+cpu"  # which is how vLLM knows that it is for a CPU
