"""The stored result of one arm with one seed."""

from experiments.known_truth.measure import Accuracy
from records.rows import Row


class ArmResult(Row, frozen=True, kw_only=True):
    """One arm with one seed, on the held-out instructions."""

    id: str
    arm: str
    seed: int
    n_answers: int
    quality: float
    """Mean, 0 to 5: the true reward."""
    perfect: float
    """Share of right answers."""
    symbols: float
    """Mean length."""
    worth: float
    """Mean of what the labeller would give, its bias included."""
    reward: float
    """Mean by the first reward model, in standard deviations of SFT's answers from their mean."""
    kl: float | None
    """To SFT, nats an answer; None for SFT itself, and for best-of-n, which no model's likelihood is known of."""
    on_sft: Accuracy
    """How often the arm's own reward model, that of SFT being the first, orders two of SFT's answers as the truth."""
    on_ppo: Accuracy
    """The same of two of PPO's answers: on policy."""
    n_learnt: int
    """Preferences and synthetic pairs that its reward model learnt from."""
    n_synthetic: int
    """Of those, synthetic pairs."""
    right: float | None
    """Share of the synthetic pairs, of those whose sides differ in quality, that are ordered rightly."""
    seconds: float
    """Wall time of what the arm made itself and of its measurement."""
