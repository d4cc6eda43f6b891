"""The flags that name a model and say through which engine to ask it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from console.errors import InputError

if TYPE_CHECKING:
    from engines.protocol import Engine

EngineKind = Literal["auto", "transformers", "openai"]


@dataclass(frozen=True)
class EngineOptions:
    """Which model, through which engine."""

    model: str = "smollm2"
    """iterN (of --run), a folder, a hub id, smollm2 (the packaged model), or a name served at --base-url."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    engine: EngineKind = "auto"
    """auto is openai where --base-url is given, else transformers."""
    base_url: str | None = None
    """An OpenAI-compatible server, e.g. http://localhost:8000/v1; OPENAI_BASE_URL does the same for --engine openai."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key; unset is fine for a local server."""
    concurrency: int = 16
    """Calls under way at once (openai)."""
    batch_size: int = 32
    """Rows computed at once (transformers)."""


SharedEngineOptions = Annotated[EngineOptions, tyro.conf.OmitArgPrefixes]


def open_engine(options: EngineOptions) -> "Engine":
    """Return the engine that `options` name, ready to be asked; raises InputError or EngineError."""
    if options.concurrency < 1 or options.batch_size < 1:
        raise InputError("--concurrency and --batch-size must be at least 1")
    kind = options.engine
    if kind == "auto":
        kind = "openai" if options.base_url else "transformers"
    if kind == "openai":
        from engines.openai_engine import open_openai

        return open_openai(options.model, options.base_url, options.api_key_env, options.concurrency)
    if options.base_url:
        raise InputError("--base-url goes with --engine openai")
    from engines.models import resolve_model
    from engines.transformers_engine import TransformersEngine

    return TransformersEngine.load(resolve_model(options.model, options.run), options.model, options.batch_size)
