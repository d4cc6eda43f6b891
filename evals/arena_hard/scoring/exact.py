"""The same scores at their maximum of likelihood, with 95% intervals over prompts instead of battles.

Battles of one prompt are not independent, so prompts are drawn whole, with all of their models and games.

Shapes: N rows, one for each model and prompt; M models; F features; D coefficients; B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from evals.arena_hard.scoring.battles import Totals
from evals.arena_hard.scoring.style import Floats32
from judges.intervals.bootstrap import Estimate, Floats, estimate, n_groups
from judges.intervals.proportion import knows_nothing, wilson

STEPS = 50
CLOSE = 1e-8


def share_of(name: str, battles: Totals, weights_BN: Floats) -> Estimate:
    """Return the share of battles that a model won. If all of its battles are alike, the interval is Wilson's."""
    won_N, n_N = battles.won, battles.all
    n = len(n_N)
    if n == 0:
        return Estimate(name, None, None, None, 0)
    value = float(won_N.sum() / n_N.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        shares_B = (weights_BN @ won_N) / (weights_BN @ n_N)
    whole = estimate(name, value, shares_B, n)
    if whole.low is None and knows_nothing(value, float((won_N / n_N).std())):
        return Estimate(name, value, *wilson(min(max(value, 0.0), 1.0), n_groups(weights_BN)), n)
    return whole


@dataclass(frozen=True)
class Styled:
    """The style-controlled shares of one model."""

    at_mean_style: Estimate
    """At the mean difference of style of all battles, as arena-hard-auto has it."""
    at_equal_style: Estimate
    """If both answers were of one style."""


def styled_shares(
    models: Sequence[str], battles: Totals, differences_NF: Floats32, weights_BN: Floats
) -> tuple[dict[str, Styled], list[float]]:
    """Return the style-controlled shares of each model, and the coefficient of each feature of unit deviation.

    The model of a battle's outcome is that of `official.styled_scores`. Shares are undefined if the coefficients have
    no finite maximum of likelihood, as for a model that won every battle.
    """
    names = sorted(set(models))
    style_NF = differences_NF.astype(float)
    mean_F, deviation_F = _moments(style_NF, battles.all)
    scaled_NF = style_NF / deviation_F
    played_NM = np.array([[float(name == model) for name in names] for model in models])
    design_ND = np.hstack([played_NM, scaled_NF])
    shares_N = battles.won / battles.all
    whole_D = fitted(design_ND, shares_N, battles.all)
    resampled_BD = np.array([fitted(design_ND, shares_N, w_N * battles.all, whole_D) for w_N in weights_BN])
    m = len(names)
    # the coefficients of a model are its log-odds at equal style; the rest is the mean style's own part
    of_style, of_style_B = whole_D[m:] @ (mean_F / deviation_F), resampled_BD[:, m:] @ (mean_F / deviation_F)
    shares = {}
    for place, name in enumerate(names):
        n = int(played_NM[:, place].sum())
        ahead, ahead_B = whole_D[place], resampled_BD[:, place]
        shares[name] = Styled(
            estimate("at mean style", float(expit(ahead + of_style)), expit(ahead_B + of_style_B), n),
            estimate("at equal style", float(expit(ahead)), expit(ahead_B), n),
        )
    return shares, whole_D[m:].tolist()


def _moments(style_NF: Floats, n_N: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the standard deviation of each feature over all battles."""
    mean_F = n_N @ style_NF / n_N.sum()
    variance_F = n_N @ (style_NF - mean_F) ** 2 / max(n_N.sum() - 1, 1)
    return mean_F, np.sqrt(variance_F)


def fitted(design_ND: Floats, shares_N: Floats, weights_N: Floats, start_D: Floats | None = None) -> Floats:
    """Return the coefficients of a weighted logistic regression by Newton's method, or NaN without a finite maximum."""
    n_coefficients = design_ND.shape[1]
    c_D = np.zeros(n_coefficients) if start_D is None or not np.isfinite(start_D).all() else start_D.copy()
    undefined_D = np.full(n_coefficients, np.nan)
    for _ in range(STEPS):
        rates_N = expit(design_ND @ c_D)
        pull_D = design_ND.T @ (weights_N * (shares_N - rates_N))
        bend_DD = (design_ND * (weights_N * rates_N * (1 - rates_N))[:, None]).T @ design_ND
        try:
            step_D = np.linalg.solve(bend_DD, pull_D)
        except np.linalg.LinAlgError:
            return undefined_D
        c_D = c_D + step_D
        if not np.isfinite(c_D).all():
            return undefined_D
        if np.abs(step_D).max() < CLOSE:
            return c_D
    return undefined_D
