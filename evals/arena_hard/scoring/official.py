"""The scores as arena-hard-auto computes them: 100 bootstraps of battles, and style control by 50 steps of LBFGS.

Shapes: N battles, M models with the baseline, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evals.arena_hard.scoring.style import Floats32
from judges.intervals.bootstrap import Floats

ROUNDS = 100
LEARNING_RATE, STEPS, TOLERANCE, START = 0.1, 50, 1e-9, 0.5


@dataclass(frozen=True)
class Score:
    """A score from 0 to 1 with its 90% interval: the 5th and 95th percentile of 100 bootstraps."""

    value: float
    low: float
    high: float


def plain_scores(shares: Mapping[str, Sequence[float]], seed: int) -> dict[str, Score]:
    """Return the score of each model from its battles, each of which is drawn alone.

    The value is the mean of the bootstraps. The draws are those of arena-hard-auto under `numpy.random.seed(seed)`.
    """
    draw = np.random.RandomState(seed)
    means: dict[str, list[float]] = {model: [] for model in sorted(shares)}
    battles = {model: np.array(shares[model], dtype=float) for model in means}
    for _ in range(ROUNDS):
        for model, of_model_N in battles.items():
            n = len(of_model_N)
            means[model].append(float(of_model_N[draw.choice(n, size=n, replace=True)].mean()))
    return {
        model: Score(float(np.mean(values)), *map(float, np.quantile(values, [0.05, 0.95])))
        for model, values in means.items()
    }


@dataclass(frozen=True)
class Battles:
    """The battles of a category, each with its model, its difference of style and its outcome."""

    models: list[str]
    baseline: str
    differences: Floats32 | Floats
    """(N, F). The fits have its precision, single as in arena-hard-auto or double."""
    shares: Floats
    """1 if the model won, 0.5 for a tie, 0 if the baseline won, (N,)."""


def styled_scores(battles: Battles, seed: int) -> tuple[dict[str, Score], list[float]]:
    """Return the style-controlled score of each model, and the median coefficient of each feature.

    A battle is won with probability sigmoid(c_model - c_baseline + sum_f b_f z_f), z the features with mean 0 and
    standard deviation 1 over all battles given. The score is that at z = 0, so at the mean difference of style, and
    the median of the bootstraps. The fits stop after 50 steps, like arena-hard-auto's, near the maximum of likelihood.
    The draws are those of arena-hard-auto under `numpy.random.seed(seed)`.
    """
    models = battles.models
    names = sorted({*models, battles.baseline})
    features_NF = torch.tensor(battles.differences)
    z_NF = (features_NF - features_NF.mean(0)) / features_NF.std(0)
    played_NM = torch.zeros(len(models), len(names))
    played_NM[range(len(models)), [names.index(model) for model in models]] = 1
    of_baseline = names.index(battles.baseline)
    played_NM[:, of_baseline] = -1
    design_ND, outcomes_N = torch.cat([played_NM, z_NF], 1), torch.tensor(battles.shares).to(z_NF)
    draw = np.random.RandomState(seed)
    rounds_BN = draw.randint(low=0, high=len(models), size=(ROUNDS, len(models)))
    fits_BD = np.array([_fitted(design_ND[drawn], outcomes_N[drawn]) for drawn in rounds_BN], dtype=float)
    rates_BM = 1 / (1 + np.exp(fits_BD[:, of_baseline : of_baseline + 1] - fits_BD[:, : len(names)]))
    scores = {}
    for place, name in enumerate(names):
        low, middle, high = np.quantile(rates_BM[:, place], [0.05, 0.5, 0.95])
        if name != battles.baseline:
            scores[name] = Score(float(middle), float(low), float(high))
    return scores, np.quantile(fits_BD[:, len(names) :], 0.5, axis=0).tolist()


def _fitted(design_ND: torch.Tensor, outcomes_N: torch.Tensor) -> list[float]:
    """Return the coefficients of a logistic regression without penalty after at most 50 steps."""
    weights_D = torch.full((design_ND.shape[1],), START, dtype=design_ND.dtype, requires_grad=True)
    steps = torch.optim.LBFGS(
        [weights_D], lr=LEARNING_RATE, max_iter=STEPS, tolerance_grad=TOLERANCE, tolerance_change=TOLERANCE
    )

    def loss() -> torch.Tensor:
        steps.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(design_ND @ weights_D, outcomes_N, reduction="sum")
        value.backward()  # type: ignore[no-untyped-call]
        return value

    steps.step(loss)  # type: ignore[no-untyped-call]
    return weights_D.detach().tolist()
