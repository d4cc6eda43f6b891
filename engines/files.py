"""The files of a model: those that decide what it says, and their way from the hub."""

from collections.abc import Sequence
from pathlib import Path

from console.errors import InputError, UnreachableError

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
    "*.model",
    "*.tiktoken",
    "tekken.json",
    "vocab*.json",
    "vocab*.txt",
    "merges*.txt",
)
WEIGHTS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    *TOKENIZER,
)
"""Every file that decides a model's output. Weights in *.bin are never read."""


def files_of(folder: Path, patterns: Sequence[str] = WEIGHTS) -> list[Path]:
    """Return the files in `folder` that decide what its model says, each once, sorted."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def from_hub(name: str, patterns: Sequence[str], otherwise: str, revision: str | None = None) -> Path:
    """Return the folder of the hub's model `name`. Raises InputError, beginning with `otherwise`, if there is none.

    UnreachableError is raised if it was not fetched before and the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except HFValidationError:
        reason = "it is not a folder or a hub id"
    except LocalEntryNotFoundError:
        raise UnreachableError(f"{otherwise}, not among the hub's models here, and the hub cannot be reached") from None
    except Exception as error:  # the hub client raises many types, each because the model is not available
        reason = " ".join(str(error).split())[:160]
    raise InputError(f"{otherwise}, and not on the hub: {reason}")
