"""The comparison as tables and as JSON, and the sweep over the choices that the paper leaves open."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from console.table import Cell
from judges.intervals.mean import mean_of
from trainer.frozen_lake.lake import open_lake
from trainer.frozen_lake.measures import (
    MEASURES,
    MeasuresByMethod,
    PaperClaim,
    claims,
    measure,
    order,
    target_error,
)
from trainer.frozen_lake.options import PAPER_METHODS, LakeOptions
from trainer.frozen_lake.train import Advance, TrainedPolicies, train_all

TITLES = {
    "mse_all": "MSE, all states",
    "mse_visited": "MSE, visited",
    "p_optimal": "p(optimal) %",
    "visits_distance": "visits apart",
}
MEANING = """\
MSE: of the action probabilities against the target's; visited: in the states of
the optimal trajectory. p(optimal): of playing it. visits apart: from those of
the target, 0 to 1. ±: half of a 95% interval over the seeds; differences,
paired by seed: the further one's error - the closer one's."""
SWEEP_MEANING = """\
order: from the closest on; < where the 95% interval of the difference, paired
by seed, is above 0, else =. What holds of the paper is by all states."""
ORDERED = ("mse_all", "mse_visited", "visits_distance")
VERDICTS = {True: "yes", False: "no", None: "unclear"}
CHOICES: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "map pit": {"map": "pit"},
    "map fall": {"map": "fall"},
    "map stock": {"map": "stock"},
    "slippery": {"slippery": True},
    "no split ties": {"ties": "first"},
    "terminals count": {"terminals": True},
    "hidden 16": {"hidden": 16},
    "hidden 256": {"hidden": 256},
    "tanh": {"activation": "tanh"},
    "embedding": {"coding": "embedding"},
    "coordinates": {"coding": "coordinates"},
    "init scale 0.1": {"init_scale": 0.1},
    "all start from SFT": {"start": "sft"},
    "DPO refers to SFT": {"reference": "sft"},
    "adam": {"optimiser": "adam"},
    "sgd, rate 0.1": {"optimiser": "sgd", "learning_rate": 0.1},
    "rate 0.0001": {"learning_rate": 1e-4},
    "20 steps": {"steps": 20},
    "2000 steps": {"steps": 2000},
    "DPO's beta 1": {"dpo_beta": 1.0},
    "IFT by algorithm 1": {"ift_variant": "algorithm"},
    "IFT by equation 21": {"ift_variant": "equation"},
    "IFT's lambda 0.5": {"ift_lambda": 0.5},
    "IFT's weights held": {"ift_detach": True},
    "map pit, 20 steps": {"map": "pit", "steps": 20},
}
"""The choices of the sweep: the settings that each changes."""


@dataclass(frozen=True)
class Outcome:
    """The measures of one comparison, with its options."""

    choice: str
    options: LakeOptions
    measured: MeasuresByMethod
    target_mse: float
    """The error of the trained target against the best policy."""


def outcome_of(choice: str, trained: TrainedPolicies, options: LakeOptions) -> Outcome:
    """Return the measures of the policies that were trained with the options."""
    measured = measure(trained, options.horizon, terminals=options.terminals)
    return Outcome(choice, options, measured, target_error(trained))


def method_rows(measured: MeasuresByMethod) -> list[dict[str, Cell]]:
    """Return one table row per method: means over the seeds with 95% intervals."""
    return [
        {"method": method, **{title: _text(name, values[name]) for name, title in TITLES.items()}}
        for method, values in measured.items()
    ]


def claim_rows(measured: MeasuresByMethod) -> list[dict[str, Cell]]:
    """Return one table row per claim of the paper and error that it may refer to."""
    return [
        {
            "the paper": f"{claim.closer} closer than {claim.further}",
            "by": TITLES[name],
            "difference": claim.difference.text(4, tiny=True),
            "holds": VERDICTS[claim.holds],
        }
        for name in ORDERED
        for claim in claims(_errors(measured, name))
    ]


def as_plain(outcome: Outcome, seeds: Sequence[int]) -> dict[str, Any]:
    """Return all that the tables show, and the value of each seed, as plain data."""
    measured = outcome.measured
    return {
        "choice": outcome.choice,
        "methods": {
            method: {name: asdict(mean_of(values[name])) | {"by_seed": values[name]} for name in MEASURES}
            for method, values in measured.items()
        },
        "order": {name: order(_errors(measured, name)) for name in ORDERED},
        "paper": {name: [asdict(claim) for claim in claims(_errors(measured, name))] for name in ORDERED},
        "target_mse": outcome.target_mse,
        "seeds": list(seeds),
        "options": asdict(outcome.options),
    }


def sweep(options: LakeOptions, seeds: Sequence[int], advance: Advance) -> Iterator[Outcome]:
    """Yield the outcome of each choice.

    PPO is left out, because the paper does not rank it and it takes as long as two other methods.
    """
    for choice, changes in CHOICES.items():
        changed = replace(options, **changes)
        yield outcome_of(choice, train_all(open_lake(changed), changed, seeds, PAPER_METHODS), changed)
        advance(1)


def error_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Cell]]:
    """Return one table row per choice: the order by all states, and each method's error there."""
    return [
        {
            "choice": outcome.choice,
            "order, all states": order(_errors(outcome.measured, "mse_all")),
            **{method: f"{mean_of(outcome.measured[method]['mse_all']).value:.3f}" for method in sorted(PAPER_METHODS)},
        }
        for outcome in outcomes
    ]


def verdict_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Cell]]:
    """Return one table row per choice: the order by visited states, and which claims hold by all states."""
    return [
        {
            "choice": outcome.choice,
            "order, visited": order(_errors(outcome.measured, "mse_visited")),
            **{_title(claim): VERDICTS[claim.holds] for claim in claims(_errors(outcome.measured, "mse_all"))},
        }
        for outcome in outcomes
    ]


def _text(name: str, values: Sequence[float]) -> str:
    if name == "p_optimal":
        return mean_of([100 * value for value in values]).text(2, tiny=True)
    return mean_of(values).text(4, tiny=True)


def _title(claim: PaperClaim) -> str:
    return f"{claim.closer}<{claim.further}"


def _errors(measured: MeasuresByMethod, name: str) -> dict[str, list[float]]:
    return {method: values[name] for method, values in measured.items()}
