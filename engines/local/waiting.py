"""A model in this process that is loaded once it is asked something. A dry or finished run needs only its names."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import InputError
from engines.chat.template import with_kwargs
from engines.files import files_of
from engines.models import model_digest, with_dtype
from engines.protocol import Choice, Completion, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engines.local.transformers_engine import TransformersEngine

TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")
SETTINGS = "tokenizer_config.json"


@dataclass
class LocalEngine:
    """The model in `folder`. Make it with `local_engine`."""

    name: str
    folder: Path
    batch_size: int = 96
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "auto"

    @cached_property
    def digest(self) -> str:
        """Identify the model's files, as `TransformersEngine` does."""
        digest = with_dtype(model_digest(self.folder), self.folder, self.dtype)
        return with_kwargs(digest, self.chat_template_kwargs)

    @cached_property
    def loaded(self) -> TransformersEngine:
        """The engine with its model. Raises EngineError if it cannot be loaded."""
        from engines.local.transformers_engine import TransformersEngine

        return TransformersEngine.load(self.folder, self.name, self.batch_size, self.chat_template_kwargs, self.dtype)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return self.loaded.tokenizer

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield what `TransformersEngine.generate` does, the model loaded if something is left to ask."""
        if len(set(done)) < len(requests):
            yield from self.loaded.generate(requests, sampling, done)

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield what `TransformersEngine.choose` does, the model loaded if something is left to ask."""
        if len(set(done)) < len(requests):
            yield from self.loaded.choose(requests, choices, done)


def local_engine(
    folder: Path, name: str, batch_size: int, chat_template_kwargs: Mapping[str, Any] | None = None, dtype: str = "auto"
) -> LocalEngine:
    """Return the engine of the model in `folder`, not loaded. Raises InputError if it has no chat template."""
    check_template(folder, name)
    return LocalEngine(name, folder, batch_size, chat_template_kwargs or {}, dtype)


def check_template(folder: Path, name: str) -> None:
    """Raise InputError if the model in `folder` has no chat template. Nothing is loaded."""
    if not _has_template(folder):
        raise InputError(f"{name}: its tokenizer has no chat template; use an instruction-tuned model")


def _has_template(folder: Path) -> bool:
    """Return whether a model's files have a chat template in one of transformers' places."""
    if files_of(folder, TEMPLATES):
        return True
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # loading says what is wrong with it
    return bool(isinstance(settings, dict) and settings.get("chat_template"))
