"""The tables: the results of each arm over the seeds, and the accuracy of its reward model."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from experiments.rlp_truth.arms import ARMS, PPO
from experiments.rlp_truth.results import ArmResult
from judges.intervals.mean import Mean, mean_of_known

if TYPE_CHECKING:
    from console.table import Cell

Value = Callable[[ArmResult], float | None]

POLICY_WORDS = (
    "quality: true, of the answers to held-out instructions, 0 to 5, with its 95% interval over seeds;\n"
    "differences are paired by seed. right: share of right answers. reward: by the first reward model, from SFT's\n"
    "mean in SFT's standard deviations. KL: to SFT, nats an answer. worth: quality as the labeller sees it."
)
REWARD_WORDS = (
    "SFT's, PPO's: how often the arm's reward model orders two answers to an instruction as the truth; a tie is\n"
    "half right, equally good answers are left out. synthetic, right: how many pairs it learnt from beside the\n"
    "preferences, and the share of those with a better side that are ordered rightly. minutes: of an arm; the\n"
    "first one also made the base model, SFT and PPO."
)


def policy_table(results: Sequence[ArmResult]) -> "list[dict[str, Cell]]":
    """Return the quality of each arm's answers."""
    return [
        {
            "arm": arm,
            "seeds": sum(row.arm == arm for row in results),
            "quality": _over(results, arm, lambda row: row.quality, 2),
            "- ppo": _text(against(results, arm, PPO, lambda row: row.quality), 2, sign=True),
            "right, %": _over(results, arm, lambda row: 100 * row.perfect, 1),
            "reward": _over(results, arm, lambda row: row.reward, 2),
            "worth": _over(results, arm, lambda row: row.worth, 2),
            "KL": _over(results, arm, lambda row: row.kl, 2),
            "symbols": _over(results, arm, lambda row: row.symbols, 2),
        }
        for arm in _arms(results)
    ]


def reward_table(results: Sequence[ArmResult]) -> "list[dict[str, Cell]]":
    """Return the accuracy and training data of each arm's reward model: the first one for SFT."""
    return [
        {
            "reward model of": arm,
            "SFT's": _over(results, arm, lambda row: row.on_sft.half, 3),
            "PPO's": _over(results, arm, lambda row: row.on_ppo.half, 3),
            "PPO's - the first's": _text(against(results, arm, PPO, lambda row: row.on_ppo.half), 3, sign=True),
            "pairs": _over(results, arm, lambda row: float(row.n_learnt), 0),
            "synthetic": _over(results, arm, lambda row: float(row.n_synthetic), 0),
            "right": _over(results, arm, lambda row: row.right, 3),
            "minutes": mean_minutes(results, arm),
        }
        for arm in _arms(results)
    ]


def against(results: Sequence[ArmResult], arm: str, other: str, value: Value) -> Mean | None:
    """Return the mean difference of an arm to another one, paired by seed, or None to itself."""
    if arm == other:
        return None
    theirs = {row.seed: value(row) for row in results if row.arm == other}
    differences: list[float | None] = []
    for row in results:
        mine, its = value(row), theirs.get(row.seed)
        if row.arm == arm and mine is not None and its is not None:
            differences.append(mine - its)
    return mean_of_known(differences)


def mean_minutes(results: Sequence[ArmResult], arm: str) -> float:
    """Return the mean wall time of an arm in minutes."""
    seconds = [row.seconds for row in results if row.arm == arm]
    return sum(seconds) / len(seconds) / 60


def _arms(results: Sequence[ArmResult]) -> list[str]:
    done = {row.arm for row in results}
    return [arm for arm in ARMS if arm in done]


def _over(results: Sequence[ArmResult], arm: str, value: Value, digits: int) -> str:
    return _text(mean_of_known([value(row) for row in results if row.arm == arm]), digits)


def _text(mean: Mean | None, digits: int, *, sign: bool = False) -> str:
    return "-" if mean is None else mean.text(digits, sign=sign)
