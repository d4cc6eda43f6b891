"""The tables of the experiment: means over seeds with 95% intervals, each arm beside the whole loop."""

from collections.abc import Sequence

from console.table import Cell
from experiments.known_truth.arms import ARMS, FULL
from experiments.known_truth.results import ArmResult, Value
from experiments.over_seeds import against, done_arms, mean_minutes, mean_over, shown

QUALITY_WORDS = (
    "M0 to M3: mean quality of the answers to held-out instructions, 0 to 5, with its 95% interval over seeds;\n"
    "differences are paired by seed. right: share of right answers. minutes: of an arm; the first also made M1."
)
JUDGE_WORDS = (
    "own, graded: how often the model scores the better of two answers higher, of its own and of graded ones; a\n"
    "tie counts half, pairs of equal quality are left out. pairs, right: how many it was trained on, and the\n"
    "share ordered rightly of those that differ in quality (positive: chosen answers, and how many are right).\n"
    "DPO: share of held-out pairs of the parent's answers whose better one gained more likelihood than the worse."
)


def quality_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return the quality of the answers of M0 to M3, by arm."""
    rows: list[dict[str, Cell]] = []
    for arm in done_arms(results, ARMS):
        qualities = {f"M{number}": mean_over(results, arm, _quality(number)) for number in range(4)}
        steps = {f"M{number} - M{number - 1}": mean_over(results, arm, _step(number)) for number in (2, 3)}
        difference = against(results, arm, FULL, _quality(3))
        rows.append(
            {
                "arm": arm,
                "seeds": sum(result.arm == arm for result in results),
                **{name: shown(mean, 2) for name, mean in qualities.items()},
                **{name: shown(mean, 2, sign=True) for name, mean in steps.items()},
                "M3 - full": shown(difference, 2, sign=True),
                "right M1, %": shown(mean_over(results, arm, lambda result: 100 * result.measured[1].perfect), 1),
                "right M3, %": shown(mean_over(results, arm, lambda result: 100 * result.measured[3].perfect), 1),
                "symbols M3": shown(mean_over(results, arm, lambda result: result.measured[3].symbols), 2),
                "minutes": mean_minutes(results, arm),
            }
        )
    return rows


def judge_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return the judge's accuracy, the share of correct training pairs, and how well DPO learnt them, by arm."""
    values: dict[str, Value] = {
        **{f"own M{number}": _own(number) for number in range(4)},
        **{f"graded M{number}": _graded(number) for number in range(4)},
    }
    for place, number in enumerate((2, 3)):
        values |= {
            f"pairs M{number}": _n_pairs(place),
            f"right M{number}": _right(place),
            f"DPO M{number}": _dpo(place),
        }
    return [
        {
            "arm": arm,
            **{
                name: shown(mean_over(results, arm, value), 0 if name.startswith("pairs") else 3)
                for name, value in values.items()
            },
        }
        for arm in done_arms(results, ARMS)
    ]


def _quality(number: int) -> Value:
    return lambda result: result.measured[number].quality


def _step(number: int) -> Value:
    return lambda result: result.measured[number].quality - result.measured[number - 1].quality


def _own(number: int) -> Value:
    return lambda result: result.measured[number].own.half


def _graded(number: int) -> Value:
    return lambda result: result.measured[number].graded.half


def _n_pairs(place: int) -> Value:
    return lambda result: float(result.learnt[place].n_pairs)


def _right(place: int) -> Value:
    return lambda result: result.learnt[place].right


def _dpo(place: int) -> Value:
    return lambda result: result.learnt[place].dpo_accuracy
