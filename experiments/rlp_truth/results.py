"""The stored result of one arm with one seed."""

from experiments.known_truth.measure import OrderAccuracy
from records.rows import Row


class ArmResult(Row, frozen=True, kw_only=True):
    """One arm with one seed, on the held-out instructions."""

    id: str
    arm: str
    seed: int
    n_answers: int
    quality: float
    """Mean true quality, 0 to 5."""
    perfect: float
    """Share of right answers."""
    symbols: float
    """Mean length."""
    worth: float
    """Mean worth to the labeller, its bias included."""
    reward: float
    """Mean by the first reward model, in standard deviations of SFT's answers from their mean."""
    kl: float | None
    """KL to SFT in nats per answer. None for SFT itself, and for best-of-n, whose likelihood no model gives."""
    on_sft: OrderAccuracy
    """How often the arm's own reward model (the first one for SFT) orders two of SFT's answers as the truth does."""
    on_ppo: OrderAccuracy
    """The same on two of PPO's answers: on policy."""
    n_learnt: int
    """Preferences and synthetic pairs that its reward model learnt from."""
    n_synthetic: int
    """The synthetic pairs among them."""
    right: float | None
    """Share of the synthetic pairs in the true order, among those whose sides differ in quality."""
    seconds: float
    """Wall time of the arm's own training and measurement."""
