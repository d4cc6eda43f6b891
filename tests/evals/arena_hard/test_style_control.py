"""Style control of a shared fixture beside arena-hard-auto's own code, a reference fit and worked examples."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from evals.arena_hard.options import Style
from evals.arena_hard.scoring.battles import Totals
from evals.arena_hard.scoring.controlled import Settings
from evals.arena_hard.scoring.exact import fitted, styled_shares
from evals.arena_hard.scoring.official import Battles, Score
from evals.arena_hard.scoring.scores import CategoryScores
from judges.intervals.bootstrap import Floats
from tests.evals.arena_hard.fixture import MODELS, scored, write_fixture

PLAIN, STYLED = MODELS
Numbers = dict[str, dict[str, tuple[float, float, float]]]

# The function print_leaderboard_with_style_features of arena-hard-auto's show_result.py (commit 196f6b8, pandas 3.1.1,
# torch 2.13) on the folder that `write_fixture` writes, its files taken in the order of their names, each after
# numpy.random.seed(0): what format_confidence_interval is given. First as it is, and then in double precision, with
# torch.float64 in the place of torch.float32 and as the default type.
AS_IT_IS: Numbers = {
    "hard_prompt": {
        PLAIN: (0.8038083612918854, 0.7317754775285721, 0.887034672498703),
        STYLED: (0.7551698684692383, 0.6447984874248505, 0.875650691986084),
    },
    "creative_writing": {
        PLAIN: (0.6878367364406586, 0.3749663755297661, 0.9140575647354126),
        STYLED: (0.3568320572376251, 0.10614410899579525, 0.6523176938295364),
    },
}
IN_DOUBLE: Numbers = {
    "hard_prompt": {
        PLAIN: (0.8038083192243656, 0.731775531332437, 0.8869234241371134),
        STYLED: (0.7551571094051965, 0.64511869871395, 0.8756450101385888),
    },
    "creative_writing": {
        PLAIN: (0.6880297489588514, 0.37496635425828573, 0.9137516160889377),
        STYLED: (0.35762442805883426, 0.10612667878924059, 0.6518315710072344),
    },
}
DOUBLE = 1e-4
"""How far another processor may move a number in double precision, as a share of its interval's width: one that rounds
sums otherwise moved an end by 1.3e-5, as 50 steps are not yet at the maximum."""
SINGLE = 0.003
"""How far single precision may move a number, as a share of its interval's width.

The losses of the fixture are up to 64, where single precision has steps of 2^-18. A sum of them is rounded to within
two steps, so a fit stops as soon as the loss falls by less than 2^-17. Each step goes a tenth of the way that is left,
which takes 1 - 0.9^2 of the loss that is left. So 2^-17 / 0.19 = 4.0e-5 may be left, which is half the square of the
distance from the maximum in standard errors: sqrt(2 * 4.0e-5) = 0.009 of them, and a 90% interval is 3.29 wide.
"""


def triple(scores: CategoryScores, model: str) -> tuple[float, float, float]:
    [styled] = [one.styled for one in scores.models if one.model == model]
    assert styled is not None
    return styled.value, styled.low, styled.high


def in_double(model: Sequence[Sequence[int]], baseline: Sequence[Sequence[int]]) -> Floats:
    """Return the differences of style, written out in double precision."""
    differences = []
    for (length, *counts), (other_length, *others) in zip(model, baseline, strict=True):
        densities = [(n / (length + 1), m / (other_length + 1)) for n, m in zip(counts, others, strict=True)]
        of_length = (length - other_length) / (length + other_length)
        differences.append([of_length, *((a - b) / (a + b + 1) for a, b in densities)])
    return np.array(differences)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fixture(tmp_path_factory.mktemp("arena"))


@pytest.mark.parametrize("category", ["hard_prompt", pytest.param("creative_writing", marks=pytest.mark.slow)])
def test_in_double_precision_the_scores_are_those_of_arena_hard_auto(
    folder: Path, monkeypatch: pytest.MonkeyPatch, category: str
) -> None:
    monkeypatch.setattr("evals.arena_hard.scoring.controlled.differences", in_double)
    scores = scored(folder, category=category)[category]
    assert scores.unit == "tokens", "those of the answers' files"
    for model, numbers in IN_DOUBLE[category].items():
        assert triple(scores, model) == pytest.approx(numbers, abs=DOUBLE * (numbers[2] - numbers[1]))


@pytest.mark.parametrize("category", ["creative_writing", pytest.param("hard_prompt", marks=pytest.mark.slow)])
def test_in_single_precision_only_the_rounding_of_the_loss_differs(folder: Path, category: str) -> None:
    scores = scored(folder, category=category)[category]
    for model, numbers in IN_DOUBLE[category].items():
        bound = SINGLE * (numbers[2] - numbers[1])
        assert AS_IT_IS[category][model] == pytest.approx(numbers, abs=bound), "its own code, on another processor"
        assert triple(scores, model) == pytest.approx(numbers, abs=bound)


def test_the_exact_scores_have_the_least_of_arena_hard_autos_own_loss(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fought: list[Battles] = []

    def keep(battles: Battles, seed: int) -> tuple[dict[str, Score], list[float]]:
        fought.append(battles)
        return {}, []

    monkeypatch.setattr("evals.arena_hard.scoring.controlled.styled_scores", keep)
    for scores in scored(folder).values():
        expected = least_loss(fought.pop(0))
        for model in scores.models:
            assert model.styled_over_prompts is not None
            assert model.styled_over_prompts.at_mean_style.value == pytest.approx(expected[model.model], abs=1e-6)


def least_loss(battles: Battles) -> dict[str, float]:
    """Return each model's share where binary_cross_entropy_with_logits(reduction="sum") is least, by scipy's BFGS."""
    names = sorted({*battles.models, battles.baseline})
    played = np.array([[(name == model) - (name == battles.baseline) for name in names] for model in battles.models])
    style = battles.differences.astype(float)
    design = np.hstack([played, (style - style.mean(0)) / style.std(0, ddof=1)])

    def loss(weights: Floats) -> float:
        logits = design @ weights
        return float((np.logaddexp(0, logits) - battles.shares * logits).sum())

    def slope(weights: Floats) -> Floats:
        pull: Floats = design.T @ (1 / (1 + np.exp(-design @ weights)) - battles.shares)
        return pull

    least = minimize(loss, np.full(design.shape[1], 0.5), jac=slope, method="BFGS", options={"gtol": 1e-8}).x
    ahead = least[: len(names)] - least[names.index(battles.baseline)]
    return dict(zip(names, (1 / (1 + np.exp(-ahead))).tolist(), strict=True))


@pytest.mark.parametrize("style", [("length",), ("headers", "lists", "bold"), ("bold", "length")])
def test_any_choice_of_features_keeps_every_model(
    tmp_path: Path, style: tuple[Style, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.arena_hard.scoring.official.ROUNDS", 3)
    # arena-hard-auto cuts the models' columns off with one feature, and the first of them without length
    categories = scored(write_fixture(tmp_path), Settings(style=style, resamples=20))
    assert list(categories) == ["hard_prompt", "creative_writing"], "nor does a second category fail"
    for category in categories.values():
        assert set(category.features) == set(style) == set(category.coefficients)
        for model in category.models:
            assert model.styled is not None and model.styled_over_prompts is not None
            assert 0 < model.styled.value < 1 and model.styled_over_prompts.at_equal_style.value is not None


def test_the_fit_maximises_the_likelihood_that_scikit_learn_maximises() -> None:
    draw = np.random.default_rng(0)
    design = np.hstack([np.eye(2)[draw.integers(0, 2, 80)], draw.normal(size=(80, 2))])
    wins, losses = draw.integers(1, 5, 80), draw.integers(1, 5, 80)
    found = fitted(design, wins / (wins + losses), (wins + losses).astype(float))
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, solver="newton-cholesky").fit(
        np.vstack([design, design]), np.repeat([1, 0], 80), sample_weight=np.concatenate([wins, losses])
    )
    assert found == pytest.approx(theirs.coef_[0], abs=1e-8)


def test_style_control_by_hand() -> None:
    # Two styles, each with as many battles: at +1 the model wins 3 of 4, at -1 one of 4, so the log-odds are
    # 0 + log(3) d. At equal style, d = 0, it wins half. At the mean style, also 0, the same.
    totals = Totals(np.array([3.0, 1.0]), np.array([4.0, 4.0]))
    shares, (effect,) = styled_shares(["m", "m"], totals, np.array([[1.0], [-1.0]], np.float32), np.ones((2, 2)))
    assert shares["m"].at_equal_style.value == pytest.approx(0.5)
    deviation = math.sqrt(8 / 7)
    assert effect == pytest.approx(math.log(3) * deviation)
    # All battles at d = +1 and +3: the mean is 2, so what was the score there is the line at 2, and at 0 it is lower.
    shares, _ = styled_shares(["m", "m"], totals, np.array([[3.0], [1.0]], np.float32), np.ones((2, 2)))
    assert shares["m"].at_mean_style.value == pytest.approx(0.5)
    assert shares["m"].at_equal_style.value == pytest.approx(1 / (1 + 3**2))
