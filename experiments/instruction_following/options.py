"""The settings of python -m experiments.instruction_following."""

from dataclasses import dataclass, field
from pathlib import Path

from console.command import Flags
from console.ranges import Count, Couple
from console.writing import OutFolder, OutPicture
from experiments.instruction_following.arms import ARMS

RECIPE = Path(__file__).parent / "recipe.toml"


@dataclass(frozen=True)
class Size:
    """The size of the measurements. That of the training is in the recipe."""

    unseen_answers: Couple = 2
    """Answers to each prompt with a constraint of a kind that was never trained on."""
    content: Count = 32
    """Held-out answers, one to a prompt, whose content the fixed judges score. Their rubric is long."""
    labels: Count = 20
    """Pairs of own answers that the monitor `few_labels` has labels of."""
    replayed: Count = 64
    """Checked answers of a round that become judging examples (arms with replay)."""
    ifeval_prompts: Count = 541
    """Prompts of --ifeval, drawn by the seed. 541 are all."""
    ifeval_tokens: Count = 512
    """The longest answer to them."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Run the loop on prompts whose constraints a program can check, by the arms."""

    seeds: Count = 5
    """Repeat with N seeds, from --seed on."""
    arms: str = ",".join(ARMS)
    """The names of the arms, separated by commas."""
    recipe: Path = RECIPE
    """The recipe of trainer.loop that each arm changes in one thing."""
    size: Size = field(default_factory=Size)
    ifeval: Path | None = None
    """IFEval's prompts (input_data.jsonl). If given, each model answers them too, with greedy decoding."""
    out: OutFolder = Path("runs/instruction_following")
    """The folder for models, rows and results."""
    stored: bool = False
    """Run nothing: print the tables of the results that are in OUT."""
    picture: OutPicture | None = None
    """Write the picture, a PNG, to this file."""
