"""Compare Intuitive Fine-Tuning with SFT, ORPO, DPO and PPO on a frozen lake whose best policy is known.

python -m trainer.frozen_lake
python -m trainer.frozen_lake --map pit --steps 100 --picture lake.png
python -m trainer.frozen_lake --coding embedding --start sft --ift-variant algorithm --json
python -m trainer.frozen_lake --sweep                        one row per choice that the paper leaves open
python -m trainer.frozen_lake --dry-run

The target is the policy network trained on the best action of every state. SFT and IFT learn from the one best
trajectory, ORPO and DPO also from a worse one, PPO from rewards. All start from the same weights. A method's error is
the mean squared error of its action probabilities against the target's, over all states in which the game continues,
and over those of the best trajectory.

The hypothesis, fixed before any measurement, is the paper's order (arXiv 2405.11870, section 5.3): DPO is closest to
the target, then IFT, and ORPO and SFT are far behind. The results are in docs/ift.md.
"""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from console.command import Flags, run
from console.errors import InputError
from console.ranges import Count
from console.writing import OutPicture
from trainer.frozen_lake.options import LakeOptions, check_lake_options


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare training methods on a frozen lake."""

    seeds: Count = 20
    """Repeat with N seeds, starting at --seed."""
    sweep: bool = False
    """Print one row per choice that the paper leaves open. Each changes one setting of the flags given here."""
    picture: OutPicture | None = None
    """Write a PNG of the policies on the lake and their errors over the steps."""
    lake: Annotated[LakeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=LakeOptions)


def main(config: Config) -> None:
    """Train every method with every seed, and print how close each comes to the target."""
    check_lake_options(config.lake)
    if config.sweep and config.picture:
        raise InputError("--picture shows one comparison: leave out --sweep")
    seeds = range(config.seed, config.seed + config.seeds)
    from trainer.frozen_lake.compare import print_comparison, print_plan, print_sweep

    if config.dry_run:
        print_plan(config.lake, seeds, is_sweep=config.sweep, as_json=config.json)
    elif config.sweep:
        print_sweep(config.lake, seeds, as_json=config.json)
    else:
        print_comparison(config.lake, seeds, config.picture, as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.frozen_lake")
