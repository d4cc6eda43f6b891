from typing import Any

from experiments.eft import BOTH, IFT, LONGER, UNTRAINED, _table


def measured(untrained: float, ift: float, both: float) -> dict[str, Any]:
    names = ["smollm2", "model", "model (2)"]
    own = {
        name: [{"name": "accuracy", "value": value}] for name, value in zip(names, (untrained, ift, both), strict=True)
    }
    own[LONGER] = [{"name": "accuracy", "value": 0.7}]
    return {"judges": [{"name": name} for name in names], "measures": {"unscored wrong": own}}


def test_what_eft_adds_is_the_mean_difference_of_the_seeds_with_its_interval() -> None:
    [row] = _table([measured(0.5, 0.5, 0.6), measured(0.4, 0.6, 0.8), measured(0.6, 0.4, 0.7)])
    assert row["EFT adds"] == "+0.200 ± 0.248"  # 0.1, 0.2, 0.3: 4.303 x 0.1 / sqrt 3
    assert (row[UNTRAINED], row[LONGER]) == ("0.500 ± 0.248", "0.700 ± 0.000")
    assert str(row[IFT]).startswith("0.500") and str(row[BOTH]).startswith("0.700")
