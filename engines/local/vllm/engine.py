"""Runs a model in this process through vLLM, with the prefix that several prompts share computed once.

A row's text depends on its own seed and not on its neighbours, up to the rounding of float arithmetic. vLLM itself
takes that rest away on some GPUs, with VLLM_BATCH_INVARIANT=1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.chat.template import with_kwargs
from engines.local.vllm.installed import import_vllm
from engines.local.vllm.memory import Memory
from engines.models import model_digest
from engines.protocol import Choice, Completion, Request, Sampling
from records.keys import content_key

if TYPE_CHECKING:
    from engines.local.vllm.model import VllmModel


@dataclass
class VllmEngine:
    """The model in `folder`, loaded once it is asked something. Make it with `engines.options.open_engine`."""

    name: str
    folder: Path
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    dtype: str = "auto"
    """The type to compute in: auto is that of `engines.models.inference_dtype`. Another one is for a live model."""

    @cached_property
    def digest(self) -> str:
        """Identify the model's files and that vLLM draws its texts, which are others than those of transformers."""
        return with_kwargs(content_key("vllm", model_digest(self.folder)), self.chat_template_kwargs)

    @cached_property
    def loaded(self) -> VllmModel:
        """The model in vLLM. Raises EngineError if vLLM cannot be imported or started, or the model does not fit."""
        import_vllm()  # says what to do if it cannot be, and sets what it reads when it is
        from engines.local.vllm.model import VllmModel

        return VllmModel.load(self.name, self.folder, self.chat_template_kwargs, self.memory, self.dtype)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as rows finish. See `engines.protocol.Engine`.

        Unlike transformers, vLLM computes nothing for the requests in `done`. Raises EngineError if vLLM cannot be
        imported or started, or the model does not fit.
        """
        if len(set(done)) < len(requests):
            yield from self.loaded.generate(requests, sampling, done)

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices`, over the whole vocabulary. See `engines.protocol.Engine`.

        A choice of one token costs one prefill per row. Each further beginning of a choice (`1` of `10`) is a request
        of its own, whose prompt is in the prefix cache but for its last tokens.
        """
        if len(set(done)) < len(requests):
            yield from self.loaded.choose(requests, choices, done)
