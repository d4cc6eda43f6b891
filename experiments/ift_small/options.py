"""The settings of python -m experiments.ift_small."""

from dataclasses import dataclass
from pathlib import Path

from console.command import Flags, Given
from console.ranges import Count, CountOr0, Positive, ShareBetween
from console.writing import OutFolder


@dataclass(frozen=True)
class LearningRates:
    """Learning rates that move a model of this size in few steps, as in the small recipes. DPO's is a tenth."""

    sft: Positive = 1e-4
    ift: Positive = 1e-4
    dpo: Positive = 1e-5
    orpo: Positive = 1e-4


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Train with four methods on the same answers, and measure each."""

    file: Given = None
    """Ranked answers: OASST trees, or any other format of trainer.eft."""
    data_dir: Path | None = None
    """The folder with the tasks' data (required)."""
    model: str = "smollm2"
    """The model that all start from."""
    judge: str = "smollm2"
    """The model that compares answers with people's."""
    held_out_share: ShareBetween = 0.3
    """The share of the trees that is held out to measure on."""
    limit: Count | None = None
    """Learn from the first N prompts."""
    epochs: Count = 1
    batch_size: Count = 8
    max_length: Count = 512
    learning_rate: LearningRates = LearningRates()
    tasks: tuple[str, ...] = ("arc_challenge", "arc_gen", "gsm8k", "mmlu", "truthfulqa_mc2", "winogrande")
    questions: Count = 100
    """The first N questions of each task. For MMLU, a hundredth of that from each subject, rounded up."""
    shots: CountOr0 = 0
    """Examples before each question. The leaderboard's own numbers take hours on a CPU."""
    prompts: Count = 32
    """Held-out prompts whose answers are compared."""
    max_new_tokens: Count = 128
    out: OutFolder = Path("runs/ift_experiment")
    """The folder for data, models and results."""
