"""The win rate at equal length, beside scikit-learn and simulations with a known truth."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from evals.head_to_head.measures.length import at_equal_length
from judges.intervals.bootstrap import Floats, resampled


def weights(n: int, n_resamples: int = 200) -> Floats:
    return resampled([str(k) for k in range(n)], n_resamples, 0)


def drawn(n: int, c: float, b: float, seed: int) -> tuple[Floats, Floats]:
    """Return verdicts and differences of length, drawn from the model with these coefficients."""
    draw = np.random.default_rng(seed)
    longer_by_N = draw.normal(30, 100, size=n)
    share_N = 1 / (1 + np.exp(-c - b * np.tanh(longer_by_N / longer_by_N.std())))
    return draw.binomial(1, share_N).astype(float), longer_by_N


@pytest.mark.parametrize("is_soft", [False, True])
def test_it_is_the_intercept_of_scikit_learns_regression(is_soft: bool) -> None:
    verdicts_N, longer_by_N = drawn(300, 0.4, 1.2, seed=1)
    preferences_N = 0.1 + 0.8 * verdicts_N if is_soft else verdicts_N
    lengths_N1 = np.tanh(longer_by_N / longer_by_N.std())[:, None]
    # A preference of 0.9 is a win with weight 0.9 and a loss with weight 0.1.
    twice, shares = np.repeat([1, 0], 300), np.concatenate([preferences_N, 1 - preferences_N])
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(np.concatenate([lengths_N1, lengths_N1]), twice, sample_weight=shares)
    expected = 1 / (1 + np.exp(-model.intercept_[0]))
    assert at_equal_length(preferences_N, longer_by_N, weights(300)).value == pytest.approx(expected, abs=1e-5)


def test_a_judge_of_length_alone_finds_equal_models_equal() -> None:
    verdicts_N, longer_by_N = drawn(2000, 0.0, 2.0, seed=2)
    assert verdicts_N.mean() > 0.55
    found = at_equal_length(verdicts_N, longer_by_N, weights(2000))
    assert found.low < 0.5 < found.high and found.value == pytest.approx(0.5, abs=0.04)


def test_its_interval_has_the_truth_about_as_often_as_it_says() -> None:
    true, n_held, n_tries = 1 / (1 + np.exp(-0.5)), 0, 60
    for seed in range(n_tries):
        found = at_equal_length(*drawn(150, 0.5, 1.0, seed), weights(150))
        n_held += found.low <= true <= found.high
    assert n_held / n_tries >= 0.87


def test_turning_the_models_turns_the_rate() -> None:
    verdicts_N, longer_by_N = drawn(100, 0.3, 0.7, seed=4)
    one = at_equal_length(verdicts_N, longer_by_N, weights(100))
    other = at_equal_length(1 - verdicts_N, -longer_by_N, weights(100))
    assert other.value == pytest.approx(1 - one.value) and other.low == pytest.approx(1 - one.high)


def test_verdicts_that_are_missing_do_not_count() -> None:
    verdicts_N, longer_by_N = drawn(100, 0.3, 0.7, seed=4)
    whole = at_equal_length(verdicts_N, longer_by_N, weights(100))
    more = at_equal_length(np.append(verdicts_N, np.nan), np.append(longer_by_N, 1e6), weights(101))
    assert (more.value, more.n) == (pytest.approx(whole.value), 100)


@pytest.mark.parametrize(
    ("preferences", "longer_by", "reason"),
    [
        ([1, 0, 1, 0], [10, -20, 30, -40], "cannot be told apart"),  # the longer answer always won
        ([1, 0, 1, 0], [5, 5, 5, 5], "differ in length by the same everywhere"),
        ([1, 1, 1, 1], [5, -5, 10, -10], "cannot be told apart"),
        ([1, 0, 1, 0, 1, 0], [10, -20, 30, -40, -15, 15], "of 200 resamples have no finite fit, so it has no interval"),
        ([0.5, 0.5, 0.5, 0.5], [10, -20, 30, -40], "all resamples give the same rate, so it has no interval"),
        ([np.nan, np.nan], [5, -5], "there is no verdict"),
        ([], [], "there is no verdict"),
    ],
)
def test_a_rate_that_cannot_be_had_with_its_interval_is_missing_with_its_reason(
    preferences: list[float], longer_by: list[float], reason: str
) -> None:
    found = at_equal_length(
        np.array(preferences, dtype=float), np.array(longer_by, dtype=float), weights(len(longer_by))
    )
    assert (found.value, found.low, found.high) == (None, None, None) and reason in found.note
