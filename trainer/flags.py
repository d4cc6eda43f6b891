"""The flags that every command that trains one model from a file has."""

from dataclasses import dataclass

from console.command import Flags, Given


@dataclass(frozen=True, kw_only=True)
class TrainFlags(Flags):
    """What a model is trained from."""

    file: Given = None
    """What to learn from; its formats are named above."""
    model: str = "smollm2"
    """The model to start from: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    limit: int | None = None
    """Use only the first N rows of the file."""
