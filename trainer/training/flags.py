"""The flags shared by every command that trains one model from a file."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from console.command import Flags, Given
from console.ranges import Count
from records.fields.labels import given_codes
from trainer.training.options import LoraOptions

if TYPE_CHECKING:
    from records.rows import Winner


@dataclass(frozen=True, kw_only=True)
class TrainFlags(Flags):
    """The data and the model that a training starts from."""

    file: Given = None
    """The file to learn from. Its formats are listed above."""
    model: str = "smollm2"
    """The model to start from: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN belongs to; the default is the newest."""
    limit: Count | None = None
    """Use only the first N rows of the file."""
    codes: str | None = None
    """The meaning of the file's labels for two answers, like 0=a,1=b,2=tie, with a the first answer. The labels 1, 2,
    a, b and tie need no code."""
    lora: LoraOptions = field(default_factory=LoraOptions)


def codes_of(config: TrainFlags) -> "dict[str, Winner] | None":
    """Return the meaning of labels that --codes gives, or None. Raises InputError if --codes is malformed."""
    return given_codes(config.codes)
