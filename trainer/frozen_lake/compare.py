"""Runs the comparison or the sweep and prints the tables."""

from collections.abc import Sequence
from pathlib import Path

from console.output import tell, tell_json, tell_plan, tell_text
from console.progress import progress, say
from console.table import print_table
from records import write_atomic
from trainer.frozen_lake.lake import ACTIONS, open_lake
from trainer.frozen_lake.options import METHODS, PAPER_METHODS, LakeOptions
from trainer.frozen_lake.report import (
    CHOICES,
    MEANING,
    SWEEP_MEANING,
    as_plain,
    claim_rows,
    error_rows,
    method_rows,
    outcome_of,
    sweep,
    verdict_rows,
)
from trainer.frozen_lake.train import n_trainings, train_all


def print_comparison(options: LakeOptions, seeds: Sequence[int], picture: Path | None, *, as_json: bool) -> None:
    """Train every method with every seed, print the errors, and write the picture if one is asked for."""
    with progress("frozen lake", n_trainings(options)) as advance:
        trained = train_all(open_lake(options), options, seeds, advance=advance)
    outcome = outcome_of("as given", trained, options)
    say(f"the trained target's own MSE against the best policy is {outcome.target_mse:.6f}")
    if as_json:
        tell_json(as_plain(outcome, seeds))
    else:
        print_table(method_rows(outcome.measured))
        tell()
        print_table(claim_rows(outcome.measured))
        tell("", f"{len(seeds)} seeds")
        tell_text(MEANING)
    if picture:
        from trainer.frozen_lake.picture import draw  # matplotlib loads slowly and is needed for pictures only

        write_atomic(picture, draw(trained, options))


def print_sweep(options: LakeOptions, seeds: Sequence[int], *, as_json: bool) -> None:
    """Make one comparison per choice that the paper leaves open, and print one row each."""
    with progress("frozen lake, sweep", len(CHOICES)) as advance:
        outcomes = list(sweep(options, seeds, advance))
    if as_json:
        tell_json([as_plain(outcome, seeds) for outcome in outcomes])
        return
    print_table(error_rows(outcomes))
    tell()
    print_table(verdict_rows(outcomes))
    tell("", f"{len(seeds)} seeds")
    tell_text(SWEEP_MEANING)


def print_plan(options: LakeOptions, seeds: Sequence[int], *, is_sweep: bool, as_json: bool) -> None:
    """Print the lake and the trainings that would be run on it."""
    lake = open_lake(options)
    methods: tuple[str, ...] = PAPER_METHODS if is_sweep else METHODS
    repeated = f", for each of {len(CHOICES)} choices" if is_sweep else ""
    trajectories = {"positive": lake.positive, "negative": lake.negative}
    ways = {name: " ".join(ACTIONS[action] for action in way.actions) for name, way in trajectories.items()}
    plan = {"rows": list(lake.rows), **ways, "methods": list(methods), "steps": options.steps}
    tell_plan(
        plan | {"seeds": len(seeds), "sweep": is_sweep},
        *lake.rows,
        *(f"{name}: {actions}" for name, actions in ways.items()),
        f"would train {', '.join(methods)} for {options.steps} steps with {len(seeds)} seeds{repeated}",
        as_json=as_json,
    )
