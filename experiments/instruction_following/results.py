"""The stored result of one arm with one seed."""

from records.rows import Row
from trainer.monitors.following import Following
from trainer.monitors.monitors import Monitors


class IterationResult(Row, frozen=True, kw_only=True):
    """One model of an arm. Each `Following` has its 95 % intervals over prompts."""

    iteration: int
    seen: Following
    """On held-out prompts of the kinds that were trained on. `known_pairs` is the model as the judge, unaided."""
    unseen: Following
    """On prompts with constraints of other kinds."""
    ifeval: Following | None
    """On IFEval's prompts, or None without them."""
    monitors: Monitors
    agreement: float | None
    """Spearman's correlation of the model's own scores and iter1's, on the model's held-out answers."""
    few_labels: float | None
    """The model's accuracy as a judge on a few known pairs of its own answers, drawn by the seed."""
    perplexity: float
    """Of the held-out answers under iter0, per token."""
    content: dict[str, float | None]
    """Mean `additive` score of the held-out answers, 0 to 5, by each fixed judge."""


class RoundResult(Row, frozen=True, kw_only=True):
    """The training data of one round."""

    iteration: int
    n: int
    """Pairs, or answers that passed if there are no pairs."""
    right: float | None
    """The share of pairs whose chosen answer follows everything, among those with one such answer."""
    equal: float | None
    """The share of pairs with two answers that follow everything, or two that do not. None without pairs."""


class ArmResult(Row, frozen=True, kw_only=True):
    """One arm with one seed."""

    id: str
    arm: str
    seed: int
    iterations: list[IterationResult]
    """From iter0 on."""
    rounds: list[RoundResult]
    """From iter2 on."""
    seconds: float
    """Wall time of the arm, without what it shares with others."""
