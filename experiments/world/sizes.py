"""The size of an experiment, and its seeds."""

from dataclasses import dataclass, field
from pathlib import Path

from console.ranges import Count, Positive, Share

ITERATIONS = 3


@dataclass(frozen=True)
class ModelOptions:
    """The size of the model and its pretraining."""

    hidden: Count = 128
    layers: Count = 4
    heads: Count = 4
    steps: Count = 900
    mixed_from: Share = 0.55
    """The share of steps after which answers of every quality appear. From the start they would teach slowly."""
    batch_size: Count = 64
    learning_rate: Positive = 2e-3
    context: Count = 96


@dataclass(frozen=True)
class Size:
    """The size of one experiment. The defaults are those of the documented table."""

    model: ModelOptions = field(default_factory=ModelOptions)
    ift: Count = 64
    """Right answers that M1 learns to answer from."""
    eft: Count = 500
    """Instructions with `rated` answers each that M1 learns to judge from."""
    rated: Count = 8
    noise: Share = 0.1
    """The share of ratings replaced by another class than the truth, drawn evenly."""
    prompts: Count = 512
    """New instructions per round."""
    held_out: Count = 200
    """Held-out instructions. Each is answered `answers` times."""
    answers: Count = 4
    sft_epochs: Count = 6
    sft_learning_rate: Positive = 1e-3
    sft_batch_size: Count = 32
    dpo_epochs: Count = 2
    dpo_learning_rate: Positive = 3e-4
    dpo_batch_size: Count = 16


@dataclass(frozen=True)
class Seeds:
    """The files that all arms of one seed share, made by `experiments.world.data`."""

    folder: Path

    @property
    def base(self) -> Path:
        """The folder of M0."""
        return self.folder / "base"

    def file(self, name: str) -> Path:
        """Return the file of prompts, IFT or EFT rows."""
        return self.folder / "seeds" / f"{name}.jsonl"
