"""Compare Intuitive Fine-Tuning with SFT, ORPO, DPO and PPO on a frozen lake, where the best policy is known.

python -m trainer.frozen_lake
python -m trainer.frozen_lake --map pit --steps 100 --picture lake.png
python -m trainer.frozen_lake --coding embedding --start sft --ift-variant algorithm --json
python -m trainer.frozen_lake --sweep                        a row for each choice that the paper leaves open
python -m trainer.frozen_lake --dry-run

The target is the policy network trained on the best action of every state. SFT and IFT learn from the one best
trajectory, ORPO and DPO also from a worse one, PPO from rewards; all start from the same weights. What counts is the
mean squared error of the action probabilities against the target's, over all states where the game goes on, and over
those of the best trajectory.

What was expected before anything was measured is the paper's order (arXiv 2405.11870, section 5.3): DPO is closest to
the target, then IFT, and ORPO and SFT are far behind. What was found is in docs/ift.md.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import Flags, run
from console.errors import InputError
from console.output import tell, tell_json, tell_plan, tell_text
from console.ranges import Count
from console.writing import OutPicture
from trainer.frozen_lake.options import METHODS, PAPER_METHODS, LakeOptions, check_lake_options

if TYPE_CHECKING:
    from trainer.frozen_lake.lake import Lake


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare training methods on a frozen lake."""

    seeds: Count = 20
    """Repeat with N seeds, from --seed on."""
    sweep: bool = False
    """Print one row for each choice that the paper leaves open, each made alone, beside the flags given here."""
    picture: OutPicture | None = None
    """Write a picture there, a PNG: the policies on the lake, and the error over the steps."""
    lake: Annotated[LakeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=LakeOptions)


def main(config: Config) -> None:
    """Train every method with every seed, and print how close each comes."""
    check_lake_options(config.lake)
    if config.sweep and config.picture:
        raise InputError("--picture is of one comparison: leave out --sweep")
    from trainer.frozen_lake.lake import open_lake

    lake = open_lake(config.lake)
    if config.dry_run:
        _print_plan(config, lake)
    elif config.sweep:
        _print_sweep(config)
    else:
        _print_comparison(config, lake)


def _print_comparison(config: Config, lake: "Lake") -> None:

    from console.progress import progress, say
    from console.table import print_table
    from trainer.frozen_lake.report import MEANING, as_plain, claim_rows, method_rows, outcome_of
    from trainer.frozen_lake.train import n_trainings, train_all

    with progress("frozen lake", n_trainings(config.lake)) as advance:
        trained = train_all(lake, config.lake, _seeds(config), advance=advance)
    outcome = outcome_of("as given", trained, config.lake)
    say(f"the trained target's own MSE against the best policy is {outcome.target_mse:.6f}")
    if config.json:
        tell_json(as_plain(outcome, _seeds(config)))
    else:
        print_table(method_rows(outcome.measured))
        tell()
        print_table(claim_rows(outcome.measured))
        tell("", f"{config.seeds} seeds")
        tell_text(MEANING)
    if config.picture:
        from records import write_atomic
        from trainer.frozen_lake.picture import draw

        write_atomic(config.picture, draw(trained, config.lake))


def _print_sweep(config: Config) -> None:

    from console.progress import progress
    from console.table import print_table
    from trainer.frozen_lake.report import CHOICES, SWEEP_MEANING, as_plain, error_rows, sweep, verdict_rows

    with progress("frozen lake, sweep", len(CHOICES)) as advance:
        outcomes = list(sweep(config.lake, _seeds(config), advance))
    if config.json:
        tell_json([as_plain(one, _seeds(config)) for one in outcomes])
        return
    print_table(error_rows(outcomes))
    tell()
    print_table(verdict_rows(outcomes))
    tell("", f"{config.seeds} seeds")
    tell_text(SWEEP_MEANING)


def _print_plan(config: Config, lake: "Lake") -> None:
    from trainer.frozen_lake.lake import ACTIONS

    methods: tuple[str, ...] = METHODS
    each = ""
    if config.sweep:
        from trainer.frozen_lake.report import CHOICES

        methods, each = PAPER_METHODS, f", for each of {len(CHOICES)} choices"
    named = {"positive": lake.positive, "negative": lake.negative}
    ways = {name: " ".join(ACTIONS[action] for action in way.actions) for name, way in named.items()}
    plan = {"rows": list(lake.rows), **ways, "methods": list(methods), "steps": config.lake.steps}
    tell_plan(
        plan | {"seeds": config.seeds, "sweep": config.sweep},
        *lake.rows,
        *(f"{name}: {actions}" for name, actions in ways.items()),
        f"would train {', '.join(methods)} for {config.lake.steps} steps with {config.seeds} seeds{each}",
        as_json=config.json,
    )


def _seeds(config: Config) -> range:
    return range(config.seed, config.seed + config.seeds)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.frozen_lake")
