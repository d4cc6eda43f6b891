"""The tables of the experiment: compliance, the judge, the price, and the alarms, as means over the seeds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from console.table import Cell
from experiments.arms import Table
from experiments.instruction_following.arms import ARMS, CHECKED, OWN
from experiments.instruction_following.results import ArmResult, IterationResult
from experiments.instruction_following.watch import ALARMS, Alarms, alarms_of, gates_text, range_text, stops_after
from experiments.over_seeds import against, done_arms, mean_minutes, mean_over, shown
from judges.intervals.bootstrap import Estimate
from trainer.monitors.gates import Gate

Value = Callable[[ArmResult], float | None]
Of = Callable[[IterationResult], float | None]
"""A figure of one iteration."""

COMPLIANCE_WORDS = (
    "iter0, iter1, ...: share of answers to held-out prompts that follow all of their constraints, strict, in %,\n"
    "with its 95% interval over seeds. - checked: the last iteration's difference to the arm `checked`, paired by\n"
    "seed. stops after: the last iteration that the recipe's gates would have let the runs make."
)
ELSEWHERE_WORDS = (
    "i1, last: iter1 and the last iteration. loose: the best of eight variants of an answer counts (IFEval, section\n"
    "2.2). unseen: prompts with constraints of kinds that were never trained on, strict. IFEval: its prompts, strict\n"
    "(--ifeval). All in %."
)
JUDGE_WORDS = (
    "iter0, iter1, ...: in % how often the model's own score, without the checks, prefers the right one of two of\n"
    "its own answers, of which one follows everything and the other does not. A tie counts half. n: pairs or\n"
    "answers of a round. right: share of the pairs in the right order, of those with a better side (passing: 100)."
)
PRICE_WORDS = (
    "chars: per answer. distinct-2, self-BLEU: diversity. perplexity: of the answers under iter0. additive: mean\n"
    "score, 0 to 5, of the answers by the `additive` rubric, read by iter0 and by iter1, which stay the same for\n"
    "all arms of a seed. minutes: of an arm, on the machine that ran it."
)
ALARM_WORDS = (
    "own, alarm: in how many runs of `own` the monitor was out of its range, and at which iteration after iter1\n"
    "first. It may have been out of it at iter1 too. checked, false: in how many of the iterations after iter1 it\n"
    "was out of its range in `checked`, of those in which it is known. needs: labels are {labels} pairs that a\n"
    "person might have ordered, or all known pairs if there are fewer. The truth is what the checks find."
)


def tables(results: Sequence[ArmResult], gates: Mapping[str, Gate], labels: int) -> list[Table]:
    """Return every table with the words below it. `gates` are the recipe's."""
    words = f"{COMPLIANCE_WORDS}\nGates: {gates_text(gates)}."
    return [
        (compliance_table(results, gates), words),
        (elsewhere_table(results), ELSEWHERE_WORDS),
        (judge_table(results), JUDGE_WORDS),
        (price_table(results), PRICE_WORDS),
        (alarm_table(results), ALARM_WORDS.format(labels=labels)),
    ]


def compliance_table(results: Sequence[ArmResult], gates: Mapping[str, Gate]) -> list[dict[str, Cell]]:
    """Return the strict compliance of each arm by iteration, on prompts of the kinds seen."""
    last = _last(results)
    return [
        {
            "arm": arm,
            "seeds": sum(result.arm == arm for result in results),
            **{f"iter{number}": _over(results, arm, _at(number, follows), 1) for number in range(last + 1)},
            "- checked": shown(against(results, arm, CHECKED, _at(last, follows)), 1, sign=True),
            "stops after": _stops(results, arm, gates),
        }
        for arm in done_arms(results, ARMS)
    ]


def elsewhere_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return the other measures of compliance: loose, on unseen kinds, and on IFEval if that was measured."""
    last = _last(results)
    measures: dict[str, Of] = {
        "loose": lambda row: _percent(row.seen.follows_loose),
        "unseen": lambda row: _percent(row.unseen.follows),
    }
    if any(row.ifeval is not None for result in results for row in result.iterations):
        measures["IFEval"] = lambda row: None if row.ifeval is None else _percent(row.ifeval.follows)
    return [
        {
            "arm": arm,
            **{
                f"{name} {when}": _over(results, arm, _at(number, of), 1)
                for name, of in measures.items()
                for number, when in ((1, "i1"), (last, "last"))
            },
        }
        for arm in done_arms(results, ARMS)
    ]


def judge_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return how often each model judges rightly, and what the rounds learnt from."""
    last = _last(results)
    rounds = range(2, last + 1)
    return [
        {
            "arm": arm,
            **{f"iter{number}": _over(results, arm, _at(number, is_right), 1) for number in range(last + 1)},
            **{f"n iter{number}": _over(results, arm, _n_learnt(number), 0) for number in rounds},
            **{f"right iter{number}": _over(results, arm, _right(number), 1) for number in rounds},
        }
        for arm in done_arms(results, ARMS)
    ]


def price_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return what obeying the form cost: length, diversity, likelihood and content at iter1 and the last iteration."""
    last = _last(results)
    measures: dict[str, tuple[Of, int]] = {
        "chars": (lambda row: row.monitors.mean_chars, 0),
        "distinct-2": (lambda row: row.monitors.distinct_2, 2),
        "self-BLEU": (lambda row: row.monitors.self_bleu, 3),
        "perplexity": (lambda row: row.perplexity, 2),
        "additive iter0": (lambda row: row.content["iter0"], 2),
        "additive iter1": (lambda row: row.content["iter1"], 2),
    }
    return [
        {
            "arm": arm,
            **{
                f"{name} {when}": _over(results, arm, _at(number, of), digits)
                for name, (of, digits) in measures.items()
                for number, when in ((1, "i1"), (last, "last"))
            },
            "minutes": mean_minutes(results, arm),
        }
        for arm in done_arms(results, ARMS)
    ]


def alarm_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return when each monitor left its range in `own`, the earliest first, and how often in `checked`."""
    own, checked = ([result for result in results if result.arm == arm] for arm in (OWN, CHECKED))
    alarms = {name: (alarms_of(own, name), alarms_of(checked, name)) for name in ALARMS}
    return [
        {
            "monitor": name,
            "needs": ALARMS[name].needs,
            "range": range_text(ALARMS[name].gate),
            "own, alarm": _firsts_text(alarms[name][0].first),
            "checked, false": f"{alarms[name][1].n_out} of {alarms[name][1].n_known}",
        }
        for name in sorted(ALARMS, key=lambda name: _earliest_first(*alarms[name]))
    ]


def follows(row: IterationResult) -> float | None:
    """Return the strict compliance in percent."""
    return _percent(row.seen.follows)


def is_right(row: IterationResult) -> float | None:
    """Return the accuracy of the model's own scores in percent."""
    return _percent(row.seen.known_pairs)


def _earliest_first(own: Alarms, checked: Alarms) -> tuple[float, float]:
    """Return the key of a monitor: the mean iteration of its first alarm, never counting as far away, and the false."""
    never = 99
    mean = sum(number or never for number in own.first) / len(own.first) if own.first else never
    return mean, checked.n_out / max(checked.n_known, 1)


def _firsts_text(firsts: Sequence[int | None], when: str = "at") -> str:
    counts = Counter(firsts)
    numbers = sorted(number for number in counts if number is not None)
    parts = [f"{counts[number]} {when} iter{number}" for number in numbers]
    return ", ".join([*parts, *([f"{counts[None]} never"] if counts[None] else [])]) or "-"


def _stops(results: Sequence[ArmResult], arm: str, gates: Mapping[str, Gate]) -> str:
    return _firsts_text([stops_after(result, gates) for result in results if result.arm == arm], "after")


def _last(results: Sequence[ArmResult]) -> int:
    return min(len(result.iterations) for result in results) - 1  # what every arm has


def _over(results: Sequence[ArmResult], arm: str, value: Value, digits: int) -> str:
    return shown(mean_over(results, arm, value), digits)


def _at(number: int, of: Of) -> Value:
    return lambda result: of(result.iterations[number])


def _n_learnt(number: int) -> Value:
    return lambda result: float(result.rounds[number - 2].n)  # the first round makes iter2


def _right(number: int) -> Value:
    def value(result: ArmResult) -> float | None:
        right = result.rounds[number - 2].right
        return None if right is None else 100 * right

    return value


def _percent(share: Estimate) -> float | None:
    return None if share.value is None else 100 * share.value
