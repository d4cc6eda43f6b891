"""The tables: the results of each arm over the seeds, and the accuracy of its reward model."""

from collections.abc import Callable, Sequence

from console.table import Cell
from experiments.over_seeds import against, done_arms, mean_minutes, mean_over, shown
from experiments.rlp_truth.arms import ARMS, PPO
from experiments.rlp_truth.results import ArmResult

Value = Callable[[ArmResult], float | None]

POLICY_WORDS = (
    "quality: true, of the answers to held-out instructions, 0 to 5, with its 95% interval over seeds;\n"
    "differences are paired by seed. right: share of right answers. reward: by the first reward model, from SFT's\n"
    "mean in SFT's standard deviations. KL: to SFT, nats per answer. worth: quality as the labeller sees it."
)
REWARD_WORDS = (
    "SFT's, PPO's: how often the arm's reward model orders two answers to an instruction as the truth; a tie is\n"
    "half right, equally good answers are left out. synthetic, right: how many pairs it learnt from beside the\n"
    "preferences, and the share of those with a better side that are ordered rightly. minutes: of an arm; the\n"
    "first one also made the base model, SFT and PPO."
)


def policy_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return the quality of each arm's answers."""
    return [
        {
            "arm": arm,
            "seeds": sum(result.arm == arm for result in results),
            "quality": _over(results, arm, lambda result: result.quality, 2),
            "- ppo": shown(against(results, arm, PPO, lambda result: result.quality), 2, sign=True),
            "right, %": _over(results, arm, lambda result: 100 * result.perfect, 1),
            "reward": _over(results, arm, lambda result: result.reward, 2),
            "worth": _over(results, arm, lambda result: result.worth, 2),
            "KL": _over(results, arm, lambda result: result.kl, 2),
            "symbols": _over(results, arm, lambda result: result.symbols, 2),
        }
        for arm in done_arms(results, ARMS)
    ]


def reward_table(results: Sequence[ArmResult]) -> list[dict[str, Cell]]:
    """Return the accuracy and training data of each arm's reward model: the first one for SFT."""
    return [
        {
            "reward model of": arm,
            "SFT's": _over(results, arm, lambda result: result.on_sft.half, 3),
            "PPO's": _over(results, arm, lambda result: result.on_ppo.half, 3),
            "PPO's - the first's": shown(against(results, arm, PPO, lambda result: result.on_ppo.half), 3, sign=True),
            "pairs": _over(results, arm, lambda result: float(result.n_learnt), 0),
            "synthetic": _over(results, arm, lambda result: float(result.n_synthetic), 0),
            "right": _over(results, arm, lambda result: result.right, 3),
            "minutes": mean_minutes(results, arm),
        }
        for arm in done_arms(results, ARMS)
    ]


def _over(results: Sequence[ArmResult], arm: str, value: Value, digits: int) -> str:
    return shown(mean_over(results, arm, value), digits)
