"""The flags that every command that trains one model from a file has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.command import Flags, Given
from console.ranges import Count

if TYPE_CHECKING:
    from records.rows import Winner


@dataclass(frozen=True, kw_only=True)
class TrainFlags(Flags):
    """What a model is trained from."""

    file: Given = None
    """What to learn from; its formats are named above."""
    model: str = "smollm2"
    """The model to start from: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    limit: Count | None = None
    """Use only the first N rows of the file."""
    codes: str | None = None
    """What the labels of two answers mean, like 0=a,1=b,2=tie, a being the first; 1, 2, a, b and tie need none."""


def codes_of(config: TrainFlags) -> "dict[str, Winner] | None":
    """Return what the labels mean where --codes says it; raises InputError where it is of another form."""
    from records.fields.labels import given_codes

    return given_codes(config.codes)
