import math

import pytest
from scipy import stats

from judges.intervals.mean import MANY, half_width


@pytest.mark.parametrize("n", [2, 30, 5_000, MANY, MANY + 1, MANY + 2, 65_536, 1_000_000])
def test_the_half_width_is_students_for_few_values_and_for_many(n: int) -> None:
    assert half_width(2.0, n) == pytest.approx(stats.t.ppf(0.975, n - 1) * 2.0 / math.sqrt(n), rel=1e-14)
