"""Train a model on a judge's verdicts on its own answers, by GRPO or RLOO (TRL's trainers).

python -m trainer.grpo prompts.jsonl --model iter1 --judge iter1 --rubric additive --out runs/grpo/model
python -m trainer.grpo prompts.jsonl --judge my-model --judge-engine.base-url http://localhost:8000/v1
python -m trainer.grpo ifeval.jsonl --tool constraints --verify share --method rloo
python -m trainer.grpo ifeval.jsonl --judge iter1 --rubric additive --tool constraints --verify cap
python -m trainer.grpo prompts.jsonl --judge iter1 --tournament pairwise --group-size 4
python -m trainer.grpo prompts.jsonl --reward-model runs/rm/model --judge iter1 --weights.judge 0.5
accelerate launch --multi_gpu --num_processes 2 -m trainer.grpo prompts.jsonl --judge my-model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.grpo prompts.jsonl --judge my-model

FILE has prompts, in any form that the project reads. The model answers each of them several times, and learns from the
differences of the rewards inside such a group. An answer without a verdict is left out of its group and counted. The
verdicts lie beside OUT, so no answer is judged twice. If it is stopped and started again, it resumes from its last
state. docs/grpo.md has more.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.again import starts_again
from console.command import run
from console.writing import OutFolder
from trainer.grpo.options import GRPOOptions
from trainer.grpo.reward_options import RewardOptions
from trainer.training.flags import TrainFlags
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(RewardOptions, TrainFlags):
    """Train a model with GRPO or RLOO."""

    out: OutFolder = Path("runs/grpo/model")
    """The folder of the new model."""
    training: Annotated[GRPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=GRPOOptions)


@one_voice()
@starts_again
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    from trainer.grpo.command import train_or_plan

    train_or_plan(config, config, config.out, config.training)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.grpo")
