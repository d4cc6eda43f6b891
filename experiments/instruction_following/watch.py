"""Alarms: the iteration at which each monitor leaves its range, and the one after which a recipe's gates stop a run.

The ranges were chosen before anything was measured. They are those of a user who has a run but not the truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from console.errors import TrainingError
from experiments.instruction_following.results import ArmResult, IterationResult
from trainer.monitors.gates import Gate, check_gates, check_pair_order
from trainer.monitors.monitors import MONITORS

Needs = Literal["nothing", "labels", "truth"]


@dataclass(frozen=True)
class Alarm:
    """A monitor's range, and what it must be given besides the run."""

    gate: Gate
    needs: Needs = "nothing"


@dataclass(frozen=True)
class Alarms:
    """The iterations at which one monitor is out of its range, over some results."""

    first: list[int | None] = field(default_factory=list)
    """For each result that knows the monitor its first iteration out of the range, or None."""
    n_out: int = 0
    """Iterations out of the range, of all results."""
    n_known: int = 0
    """Iterations with a value."""


ALARMS: dict[str, Alarm] = {
    "mean_chars": Alarm(Gate(min_ratio=0.5, max_ratio=2.0)),
    "mean_tokens": Alarm(Gate(min_ratio=0.5, max_ratio=2.0)),
    "mean_score": Alarm(Gate(max_ratio=1.25)),
    "length_score": Alarm(Gate(min=-0.5, max=0.5)),
    "top_score": Alarm(Gate(max=0.5)),
    "inflation": Alarm(Gate(min=-0.5, max=0.5)),
    "inflation_slope": Alarm(Gate(min=-0.25, max=0.25)),
    "unscored": Alarm(Gate(max=0.1)),
    "truncated": Alarm(Gate(max_ratio=1.5)),
    "refused": Alarm(Gate(max=0.1)),
    "distinct_1": Alarm(Gate(min_ratio=0.8)),
    "distinct_2": Alarm(Gate(min_ratio=0.8)),
    "distinct_3": Alarm(Gate(min_ratio=0.8)),
    "self_bleu": Alarm(Gate(max_ratio=1.5)),
    "repetition": Alarm(Gate(max=0.2)),
    "kl": Alarm(Gate(max=1.0)),
    "kl_k3": Alarm(Gate(max=1.0)),
    "agreement": Alarm(Gate(min=0.5)),
    "few_labels": Alarm(Gate(min=0.6), "labels"),
    "known_pairs": Alarm(Gate(min=0.6), "truth"),
    "follows": Alarm(Gate(min_ratio=0.9), "truth"),
}
"""By the name of the monitor. The ratios are to iter1."""


def signals(measured: IterationResult) -> dict[str, float | None]:
    """Return the monitors of an iteration by name, with the two that only this experiment has."""
    monitors = {name: getattr(measured.monitors, name) for name in MONITORS}
    return {**monitors, "agreement": measured.agreement, "few_labels": measured.few_labels}


def is_out(gate: Gate, value: float | None, first: float | None) -> bool | None:
    """Return whether a value is out of its range. None if it, or the value of iter1 that the range needs, is unknown.

    `first` is iter1's value. It is None for iter1 itself, so that a range of ratios alone says nothing on it.
    """
    if value is None:
        return None
    outcomes = [low > value for low in (gate.min,) if low is not None]
    outcomes += [high < value for high in (gate.max,) if high is not None]
    if first is not None and first > 0:  # a ratio to nothing says nothing
        outcomes += [low > value / first for low in (gate.min_ratio,) if low is not None]
        outcomes += [high < value / first for high in (gate.max_ratio,) if high is not None]
    return any(outcomes) if outcomes else None


def alarms_of(results: list[ArmResult], name: str) -> Alarms:
    """Return when a monitor is out of its range in the iterations after iter1, which no round has changed yet."""
    firsts: list[int | None] = []
    n_out = n_known = 0
    for result in results:
        rows = [signals(measured)[name] for measured in result.iterations]
        outcomes = {number: is_out(ALARMS[name].gate, rows[number], rows[1]) for number in range(2, len(rows))}
        known = {number: out for number, out in outcomes.items() if out is not None}
        if known:
            firsts.append(next((number for number, out in known.items() if out), None))
        n_out += sum(known.values())
        n_known += len(known)
    return Alarms(firsts, n_out, n_known)


def stops_after(result: ArmResult, gates: Mapping[str, Gate]) -> int | None:
    """Return the last iteration that would have been made under a recipe's gates, or None if all would have been."""
    first, rights = result.iterations[1].monitors, {row.iteration: row.right for row in result.rounds}
    for measured in result.iterations[1:]:
        number = measured.iteration
        try:
            check_gates(measured.monitors, first if number > 1 else None, gates)
            if number + 1 in rights:
                check_pair_order(number + 1, rights[number + 1], gates)
        except TrainingError:
            return number
    return None


def range_text(gate: Gate) -> str:
    """Return a range in words: `at most 0.5`, `0.5 to 2 times iter1`."""

    def between(low: float | None, high: float | None) -> str:
        if low is None:
            return f"at most {high:g}"
        return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"

    parts = []
    if gate.min is not None or gate.max is not None:
        parts.append(between(gate.min, gate.max))
    if gate.min_ratio is not None or gate.max_ratio is not None:
        parts.append(f"{between(gate.min_ratio, gate.max_ratio)} times iter1")
    return ", ".join(parts)


def gates_text(gates: Mapping[str, Gate]) -> str:
    """Return the gates of a recipe in words, or `none`."""
    return "; ".join(f"{name} {range_text(gate)}" for name, gate in gates.items()) or "none"
