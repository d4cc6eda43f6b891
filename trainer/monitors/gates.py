"""The `[gates]` of a recipe: the range of each monitor, outside of which a run stops.

    [gates]
    mean_chars = {max = 4000, max_ratio = 2.0}
    truncated = {max = 0.2}
    judge_accuracy = {min = 0.55}
    pairs_right = {min = 0.6}

The ratios are to iter1, the first model that has learnt to answer. `pairs_right` is checked before a round's training,
all others after it.
"""

import difflib
import math
from collections.abc import Mapping

import msgspec

from console.errors import InputError, TrainingError
from trainer.monitors.monitors import MONITORS, Monitors

PAIRS_RIGHT = "pairs_right"
"""The gate on a round's pairs: the share in the right order, of those with a side that is known to be better."""
REMEDIES = {
    "mean_chars": "lengthen less: [pairs] with length control, a length-regularised DPO, or a lower learning rate",
    "mean_tokens": "lengthen less: [pairs] with length control, a length-regularised DPO, or a lower learning rate",
    "length_score": "the judge pays for length: use length control in [pairs], or another rubric",
    "truncated": "raise --candidates.max-new-tokens, or use length control in [pairs]",
    "judge_accuracy": "the judge no longer agrees with people: add EFT data, or judge with an earlier iteration",
    "follows": "the model does less of what the prompts ask: let the judge check it, or stop at the iteration before",
    "known_pairs": "the judge no longer sees what is checked: let it check, or judge with an earlier iteration",
    "inflation": "the model pleases its own judge: judge with a frozen model, or stop at the iteration before",
    "inflation_slope": "the model pleases its own judge: judge with a frozen model, or stop at the iteration before",
    "top_score": "the judge has run out of scale: another --judge.rubric, or --judge.read logprobs",
    "unscored": "try --judge.read logprobs, or more --judge.max-new-tokens",
    "kl": "the model has moved far: a higher --dpo.beta, a lower learning rate, or fewer epochs",
    "kl_k3": "the model has moved far: a higher --dpo.beta, a lower learning rate, or fewer epochs",
}
PAIRS_REMEDY = "the judge prefers the wrong answers: let it check them, or stop at the iteration before"
OTHERWISE = "look at the answers (python -m tui), or stop at the iteration before"


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The range of one monitor."""

    min: float | None = None
    """The least value."""
    max: float | None = None
    """The greatest value."""
    min_ratio: float | None = None
    """The least ratio to iter1's value."""
    max_ratio: float | None = None
    """The greatest ratio to iter1's value."""


Gates = dict[str, Gate]
"""Gates by the name of their monitor."""


def check_gate_names(gates: Mapping[str, Gate]) -> None:
    """Raise InputError if a gate names no monitor, has no limit, or an empty range."""
    names = (*MONITORS, PAIRS_RIGHT)
    for name, gate in gates.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            known = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
            raise InputError(f"[gates]: no monitor is called '{name}'; {known}")
        if gate == Gate():
            raise InputError(f"[gates]: '{name}' has no limit; give min, max, min_ratio or max_ratio")
        if name == PAIRS_RIGHT and (gate.min_ratio is not None or gate.max_ratio is not None):
            raise InputError(f"[gates]: '{name}' has no value in iter1, to which a ratio would be; use min")
        for limit in Gate.__struct_fields__:
            if (value := getattr(gate, limit)) is not None and not math.isfinite(value):
                raise InputError(f"[gates]: '{name}' has {limit} {value}: give a finite number, or leave it out")
        for low, high, kind in ((gate.min, gate.max, ""), (gate.min_ratio, gate.max_ratio, "_ratio")):
            if low is not None and high is not None and low > high:
                raise InputError(f"[gates]: '{name}' has min{kind} {low:g} above max{kind} {high:g}")


def check_gates(monitors: Monitors, first: Monitors | None, gates: Mapping[str, Gate]) -> None:
    """Raise TrainingError if a monitor is outside its gate, or has a gate and was not measured.

    `first` is iter1's row. It is None for iter0 and iter1 themselves, which have no ratio.
    """
    check_gate_names(gates)
    measured = {name: gate for name, gate in gates.items() if name != PAIRS_RIGHT}
    problems = [problem for name, gate in measured.items() if (problem := _problem(name, gate, monitors, first))]
    if problems:
        more = f"; {len(problems) - 1} more: {'; '.join(problems[1:])}" if len(problems) > 1 else ""
        raise TrainingError(f"iter{monitors.iteration} is stopped by a gate: {problems[0]}{more}")


def check_pair_order(number: int, right: float | None, gates: Mapping[str, Gate]) -> None:
    """Raise TrainingError if the pairs of iteration `number` are outside their gate, or have one and no value.

    `right` is the share of pairs in the right order, or None if no pair has a side that is known to be better.
    """
    gate = gates.get(PAIRS_RIGHT)
    if gate is None:
        return
    if right is None:
        problem = "no pair has a side that is known to be better. Take the gate out of [gates]"
        raise TrainingError(f"iter{number} is stopped by a gate before its training: {PAIRS_RIGHT}: {problem}")
    if not _within(right, gate.min, gate.max):
        outside = f"{PAIRS_RIGHT} is {right:.4g}, outside {_range(gate.min, gate.max)}; {PAIRS_REMEDY}"
        raise TrainingError(f"iter{number} is stopped by a gate before its training: {outside}")


def _problem(name: str, gate: Gate, monitors: Monitors, first: Monitors | None) -> str | None:
    """Return what is wrong with a monitor and what to do, or None."""
    value = getattr(monitors, name)
    if value is None:
        reason = monitors.reasons.get(name, "it was not measured")
        return f"{name} has a gate and no value: {reason}. Measure it, or take the gate out of [gates]"
    remedy = REMEDIES.get(name, OTHERWISE)
    if not _within(value, gate.min, gate.max):
        return f"{name} is {value:.4g}, outside {_range(gate.min, gate.max)}; {remedy}"
    if first is None or (gate.min_ratio is None and gate.max_ratio is None):
        return None
    start = getattr(first, name)
    if start is None or start <= 0:
        what = "has no value" if start is None else f"is {start:.4g}, to which there is no ratio"
        return f"{name} has a gate relative to iter{first.iteration}, where it {what}; use min and max"
    if not _within(value / start, gate.min_ratio, gate.max_ratio):
        times = f"{value / start:.3g} times its {start:.4g} in iter{first.iteration}"
        return f"{name} is {value:.4g}, {times}, outside {_range(gate.min_ratio, gate.max_ratio)} times; {remedy}"
    return None


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
