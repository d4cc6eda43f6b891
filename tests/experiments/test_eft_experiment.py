import json
from typing import Any

import pytest

from experiments.eft.comparison import BOTH, IFT, LONGER, UNTRAINED, _print, _table, with_likeliest
from records import Judgment, Usage


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


def judged(score: float | None, logprobs: dict[str, float]) -> Judgment:
    return Judgment(
        id="j", response_id="r", prompt_id="p", prompt="Why?", response="So.", model="m", score=score, scores=[score],
        replies=[json.dumps(logprobs)], error=None if score else "call failed", spread=0.5, rubric="additive",
        judge="f", usage=Usage(),
    )  # fmt: skip


def test_the_likeliest_score_takes_the_place_of_the_expected_one() -> None:
    row = with_likeliest(judged(2.7, {"1": -3.0, "2": -1.2, "3": -0.5, "4": -4.0}))
    assert (row.score, row.scores) == (3.0, [3.0])


def test_of_equally_likely_scores_the_lowest_is_taken() -> None:
    assert with_likeliest(judged(2.5, {"2": -0.7, "3": -0.7})).score == 2.0


def test_an_answer_without_a_score_gets_none_by_the_likeliest_one() -> None:
    assert with_likeliest(judged(None, {})).score is None


def test_as_json_both_ways_to_take_the_score_are_one_list(capsys: pytest.CaptureFixture[str]) -> None:
    _print([{"measure": "accuracy"}], [{"measure": "accuracy"}], as_json=True)
    assert [row["score"] for row in json.loads(capsys.readouterr().out)] == ["expected", "likeliest"]
