import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from judges.intervals import statistics
from judges.intervals.bootstrap import interval, mean_of, resampled

RANDOM = np.random.default_rng(0)
N = 60
X = RANDOM.integers(0, 6, N).astype(float)
Y = X + RANDOM.integers(-2, 3, N)
WEIGHTS = RANDOM.multinomial(N, np.full(N, 1 / N), size=5).astype(float)


def drawn(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.repeat(values, weights.astype(int))


@pytest.mark.parametrize(
    ("ours", "library"),
    [
        (statistics.pearsons, stats.pearsonr),
        (statistics.spearmans, stats.spearmanr),
        (statistics.kendalls, stats.kendalltau),
    ],
)
def test_each_resample_has_the_correlation_that_scipy_gives_for_its_rows(ours, library) -> None:
    expected = [library(drawn(X, weights), drawn(Y, weights)).statistic for weights in WEIGHTS]
    assert ours(X, Y, WEIGHTS) == pytest.approx(expected, abs=1e-12)


def test_a_constant_side_has_no_correlation() -> None:
    for measure in (statistics.pearsons, statistics.spearmans, statistics.kendalls):
        assert np.isnan(measure(X, np.ones(N), WEIGHTS)).all()


@pytest.mark.parametrize("weighting", [None, "quadratic"])
def test_each_resample_has_the_kappa_that_scikit_learn_gives_for_its_rows(weighting: str | None) -> None:
    truth, said = RANDOM.integers(0, 3, N), RANDOM.integers(0, 3, N)
    expected = [
        cohen_kappa_score(drawn(truth, w), drawn(said, w), labels=[0, 1, 2], weights=weighting) for w in WEIGHTS
    ]
    tables = statistics.tables(truth, said, WEIGHTS, 3)
    assert statistics.kappas(tables, quadratic=weighting is not None) == pytest.approx(expected, abs=1e-12)


def test_each_resample_has_the_macro_scores_that_scikit_learn_gives_for_its_rows() -> None:
    truth, said = RANDOM.integers(0, 3, N), RANDOM.integers(0, 4, N)  # class 3 is never right: no verdict
    expected = [
        precision_recall_fscore_support(
            drawn(truth, w), drawn(said, w), labels=[0, 1, 2], average="macro", zero_division=0
        )[:3]
        for w in WEIGHTS
    ]
    tables = statistics.tables(truth, said, WEIGHTS, 4)
    found = statistics.macro_prf(tables, [0, 1, 2]).T
    assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_partial_correlation_is_that_of_the_residuals() -> None:
    x, y, z = RANDOM.normal(size=(3, N))
    x, y = x + z, y - 2 * z
    residuals = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (x, y)]
    plain = [np.array([np.corrcoef(a, b)[0, 1]]) for a, b in ((x, y), (x, z), (y, z))]
    assert statistics.partial(*plain)[0] == pytest.approx(np.corrcoef(*residuals)[0, 1])


def test_calibration_error_by_hand() -> None:
    # Bin 0.60-0.65: two rows at 0.6, one right: gap 0.1. Bin 0.90-0.95: two rows at 0.9, both right: gap 0.1.
    confidence, right = np.array([0.6, 0.6, 0.9, 0.9]), np.array([1.0, 0.0, 1.0, 1.0])
    assert statistics.calibration_errors(confidence, right, np.ones((1, 4)))[0] == pytest.approx(0.1)
    only_the_wrong_one = np.array([[0.0, 1.0, 0.0, 0.0]])
    assert statistics.calibration_errors(confidence, right, only_the_wrong_one)[0] == pytest.approx(0.6)


def test_confidence_of_one_falls_into_the_last_bin() -> None:
    assert statistics.bins_of(np.array([0.5, 0.549, 0.551, 0.999, 1.0])).tolist() == [0, 0, 1, 9, 9]


def test_the_interval_of_a_mean_is_that_of_scipys_bootstrap() -> None:
    expected = stats.bootstrap(
        (X,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    found = mean_of("mean", X, resampled([str(i) for i in range(N)], 20_000, 0))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_rows_of_one_prompt_are_drawn_together_and_widen_the_interval() -> None:
    alone = np.repeat([0.0, 1.0], 20)
    copies = np.repeat(alone, 5)
    groups = [str(i // 5) for i in range(200)]
    weights = resampled(groups, 50, 0)
    assert all(len(set(row)) == 1 for row in weights.reshape(50, 40, 5).reshape(-1, 5))
    clustered = mean_of("mean", copies, resampled(groups, 4000, 0))
    as_if_independent = mean_of("mean", copies, resampled([str(i) for i in range(200)], 4000, 0))
    assert clustered.value == as_if_independent.value == 0.5
    assert clustered.high - clustered.low > 2 * (as_if_independent.high - as_if_independent.low)


def test_the_same_seed_draws_the_same_resamples() -> None:
    groups = list("aabbccdd")
    assert (resampled(groups, 9, 3) == resampled(groups, 9, 3)).all()
    assert (resampled(groups, 9, 3) != resampled(groups, 9, 4)).any()


def test_no_interval_where_all_resamples_are_alike_or_many_are_undefined() -> None:
    assert interval(np.ones(100)) == (None, None)
    assert interval(np.r_[np.full(10, np.nan), np.arange(90.0)]) == (None, None)
    assert interval(np.r_[np.full(2, np.nan), np.arange(98.0)]) != (None, None)
    assert mean_of("mean", np.array([np.nan, np.nan]), np.ones((3, 2))).value is None
