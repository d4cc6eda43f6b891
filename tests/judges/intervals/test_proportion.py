import math

import numpy as np
import pytest

from judges.intervals.bootstrap import proportion_of, resampled
from judges.intervals.mean import mean_of
from judges.intervals.proportion import knows_nothing, percent_of, percent_text, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    [
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (16, 16, 0.806392, 1.0),
        (1, 1, 0.206549, 1.0),
        (5, 10, 0.236593, 0.763407),
        (3, 40, 0.025838, 0.198638),
    ],
)
def test_wilsons_interval_is_the_known_one(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes / n, n) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(("share", "n"), [(0.5, 0), (-0.1, 3), (1.1, 3), (math.nan, 3)])
def test_no_rows_and_no_share_have_no_interval(share: float, n: int) -> None:
    with pytest.raises(ValueError):
        wilson(share, n)


def test_an_interval_says_nothing_at_the_ends_and_where_all_are_alike() -> None:
    assert knows_nothing(1.0, 0.0) and knows_nothing(0.0, 0.1) and knows_nothing(0.99999, 1e-5)
    assert knows_nothing(0.5, 0.0) and not knows_nothing(0.99, 0.05)


def test_a_percentage_has_wilsons_interval_where_the_error_is_none_or_nought() -> None:
    assert percent_text(1.0, 0.0, 16) == "100.0 [80.6, 100.0]"
    assert percent_text(0.0, None, 10) == "0.0 [0.0, 27.8]"
    assert percent_text(0.5, 0.05, 100) == "50.0 ± 9.8"
    assert percent_of([1.0] * 16) == "100.0 [80.6, 100.0]"
    assert percent_of([0.0]) == "0.0 [0.0, 79.3]"
    assert percent_of([0.0, 1.0, 1.0]) == mean_of([0.0, 100.0, 100.0]).text(1)
    assert percent_of([]) is None


def test_a_share_that_many_resamples_lack_has_wilsons_interval() -> None:
    # one harmful request among four: more than 5% of the resamples have none of it
    values_N = np.array([0.25, np.nan, np.nan, np.nan])
    found = proportion_of("harm", values_N, resampled(["a", "b", "c", "d"], 1000, 0))
    assert (found.value, found.n) == (0.25, 1)
    assert (found.low, found.high) == pytest.approx(wilson(0.25, 1))
