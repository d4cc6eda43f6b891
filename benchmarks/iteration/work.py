"""The work given to every side of benchmarks.iteration, and the way in which a side reports its counts."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.side import arguments
from records import Message

Counts = dict[str, int]
"""tokens, judged, pairs, steps: the counts that the sides must share."""
Stage = Callable[["Work", Path], Counts]
"""Does its part in its side's folder and returns the counts."""


@dataclass(frozen=True)
class Work:
    """One iteration, the same for all sides."""

    model: str
    """The model's folder."""
    prompts: list[str]
    n: int
    """Answers per prompt."""
    new_tokens: int
    """Tokens of every answer. The end token is forbidden, so that all sides write equally much."""
    batch_size: int
    """Pairs per optimiser step."""
    micro_batch_size: int
    """Pairs in memory at once."""
    rows: int
    """Sequences that the other sides process at once when they write and judge."""
    seed: int
    rubric: str = "additive"
    temperature: float = 0.7
    top_p: float = 0.9
    learning_rate: float = 1e-6
    beta: float = 0.1
    max_length: int = 1024

    def save(self, path: Path) -> None:
        """Write the work to `path`."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> "Work":
        """Read the work that `save` wrote."""
        return Work(**json.loads(path.read_text()))


def chat(prompt: str) -> list[Message]:
    """Return the conversation to answer."""
    return [{"role": "user", "content": prompt}]


def dpo_settings(work: Work, folder: Path) -> dict[str, Any]:
    """Return the arguments that a user of TRL on a CPU gives to its trainers, without intermediate checkpoints."""
    return {
        "output_dir": str(folder / "tmp"),
        "learning_rate": work.learning_rate,
        "beta": work.beta,
        "max_length": work.max_length,
        "num_train_epochs": 1,
        "seed": work.seed,
        "use_cpu": True,
        "bf16": False,  # slower on this kind of CPU
        "gradient_checkpointing": False,  # computes twice, and disables the cache of OnlineDPO's generation
        "dataloader_pin_memory": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def run_stage(stages: dict[str, Stage]) -> None:
    """Run `python -m MODULE STAGE WORK FOLDER` and print the counts as the last line."""
    doc = sys.modules["__main__"].__doc__
    name, work, folder = arguments(doc, "STAGE", "WORK.json", "FOLDER")
    Path(folder).mkdir(parents=True, exist_ok=True)
    counts = stages[name](Work.load(Path(work)), Path(folder))
    print("\n" + json.dumps(counts), flush=True)
