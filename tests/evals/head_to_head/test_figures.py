"""The figures of matches, beside scipy, brute force and hand-computed examples."""

import math
from dataclasses import asdict
from fractions import Fraction
from itertools import product
from typing import Literal

import numpy as np
import pytest
from scipy.optimize import minimize

from evals.head_to_head.kinship import family_of
from evals.head_to_head.measures.figures import Measured, measure, sign_test
from evals.head_to_head.measures.ratings import POINTS, rate
from evals.head_to_head.questions import Question
from evals.head_to_head.stages import Match, seen_from
from judges.intervals.bootstrap import resampled
from records import Comparison, Prompt, Usage

Side = Literal["a", "b", "tie"]


def verdict(preference_b: float | None, first: Side | None, second: Side | None, a: str = "x", b: str = "y"):
    known = first is not None and second is not None
    return Comparison(
        id="c", prompt_id="p", prompt="Q", response_a="long answer", response_b="short", model_a=a, model_b=b,
        winner=None if not known else first if first == second else "tie", first_order=first, second_order=second,
        flipped=first != second if known else None, preference_b=preference_b, replies=[], error=None,
        rubric="pairwise", judge="j", usage=Usage(),
    )  # fmt: skip


def questions(n: int) -> list[Question]:
    return [Question(Prompt(id=str(k), prompt=str(k)), str(k)) for k in range(n)]


def measured(first: str, second: str, preferences: list[float], n_resamples: int = 50) -> Measured:
    """Return a match with these preferences for `first`."""
    rows = [verdict(value, *(("a", "a") if value < 0.5 else ("b", "b")), a=second, b=first) for value in preferences]
    asked = questions(len(rows))
    weights_BN = resampled([question.key for question in asked], n_resamples, 0)
    return measure(Match(first, second, [None] * len(rows)), rows, asked, weights_BN)


@pytest.mark.parametrize(("wins", "losses"), [*product(range(7), range(7)), (60, 41), (400, 405), (805, 0)])
def test_the_sign_test_counts_the_outcomes_that_are_no_likelier(wins: int, losses: int) -> None:
    n = wins + losses
    if n == 0:
        assert sign_test(wins, losses) is None
        return
    tail = sum(Fraction(math.comb(n, k), 2**n) for k in range(min(wins, losses) + 1))
    assert sign_test(wins, losses) == pytest.approx(float(min(1, 2 * tail)), rel=1e-9)


def test_each_question_is_one_of_the_five_counts() -> None:
    rows = [
        verdict(0.9, "b", "b"), verdict(0.2, "a", "a"), verdict(0.5, "tie", "tie"), verdict(0.5, "a", "b"),
        verdict(0.6, "tie", "b"), verdict(None, "a", None), None,
    ]  # fmt: skip
    asked = questions(len(rows))
    weights_BN = resampled([question.key for question in asked], 20, 0)
    found = measure(Match("y", "x", [None] * len(rows)), rows, asked, weights_BN)
    figures = found.figures
    assert (figures.wins, figures.losses, figures.ties, figures.flipped, figures.unscored) == (1, 1, 1, 2, 2)
    assert (figures.first_place, figures.second_place) == (1, 0)
    assert figures.win_rate.value == pytest.approx((0.9 + 0.2 + 0.5 + 0.5 + 0.6) / 5) and figures.win_rate.n == 5
    assert (figures.longer.value, figures.longer.n) == (0.5, 2)
    assert found.reasons == ["unknown", "a model gave no answer"]


@pytest.mark.parametrize(("first", "second"), product(("a", "b", "tie"), repeat=2))
def test_a_verdict_seen_from_the_other_model_is_that_of_the_answers_exchanged(first: Side, second: Side) -> None:
    row = verdict(0.7, first, second)
    turned = seen_from("x", row)
    assert seen_from("y", row) is row and seen_from("y", turned) == row
    assert (turned.model_b, turned.response_b, turned.preference_b) == ("x", "long answer", pytest.approx(0.3))
    # The new a is the old b, so the order that shows it first is the old second order.
    assert turned.first_order == {"a": "b", "b": "a", "tie": "tie"}[second]
    named_first = (first, second) == ("a", "b")
    assert ((turned.first_order, turned.second_order) == ("a", "b")) == named_first


def test_ratings_of_a_chain_are_those_of_the_docs() -> None:
    # x beats y 3 times of 4, y beats z 3 times of 4, x and z never meet: 400 log10(3) points from one to the next.
    x_y, y_z = measured("x", "y", [1, 1, 1, 0]), measured("y", "z", [1, 1, 1, 0])
    ratings = rate(["x", "y", "z"], [x_y, y_z], np.ones((3, 4))).ratings
    step = 400 * math.log10(3)
    assert [rating.value for rating in ratings] == pytest.approx([step, 0, -step], abs=1e-6)
    assert step == pytest.approx(190.8, abs=0.05)


def test_ratings_maximise_the_likelihood_that_scipy_maximises() -> None:
    draw = np.random.default_rng(2)
    names = ["w", "x", "y", "z"]
    matches = [
        measured(a, b, draw.uniform(0.1, 0.9, size=30).tolist()) for n, a in enumerate(names) for b in names[n + 1 :]
    ]

    def loss(free: np.ndarray) -> float:
        points = dict(zip(names, [0.0, *free], strict=True))
        total = 0.0
        for match in matches:
            share = 1 / (1 + 10 ** ((points[match.second] - points[match.first]) / 400))
            total -= (match.preferences * np.log(share) + (1 - match.preferences) * np.log(1 - share)).sum()
        return total

    free = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-13}).x
    expected = np.array([0.0, *free]) - np.mean([0.0, *free])
    found = rate(names, matches, np.ones((3, 30))).ratings
    assert [rating.value for rating in found] == pytest.approx(expected.tolist(), abs=1e-3)


def test_the_interval_of_a_rating_has_the_truth_about_as_often_as_it_says() -> None:
    true, n_held, n_tries = {"x": 100.0, "y": 0.0, "z": -100.0}, 0, 40
    draw = np.random.default_rng(3)
    for _ in range(n_tries):
        matches = []
        for a, b in (("x", "y"), ("x", "z"), ("y", "z")):
            share = 1 / (1 + 10 ** ((true[b] - true[a]) / 400))
            matches.append(measured(a, b, draw.binomial(1, share, size=60).astype(float).tolist()))
        weights_BN = resampled([str(k) for k in range(60)], 200, 1)
        ratings = rate(list(true), matches, weights_BN).ratings
        n_held += sum(rating.low <= true[rating.name] <= rating.high for rating in ratings)
    assert 0.88 <= n_held / (3 * n_tries) <= 1


def test_without_a_finite_resample_a_rating_has_no_interval() -> None:
    circle = [measured("x", "y", [1, 0, 0.5]), measured("y", "z", [1, 0, 0.5])]
    [x, *_] = rate(["x", "y", "z"], circle, np.array([[3.0, 0.0, 0.0]])).ratings
    assert (x.value, x.low, x.high) == (pytest.approx(0, abs=1e-6), None, None)


def test_a_model_that_never_lost_has_no_rating_and_the_reason_is_told() -> None:
    matches = [measured("x", "y", [1, 1]), measured("x", "z", [1, 1]), measured("y", "z", [1, 0])]
    found = rate(["x", "y", "z"], matches, np.ones((2, 2)))
    assert found.ratings == [] and found.problem is not None and "between x and y" in found.problem


def test_points_are_those_of_chess() -> None:
    assert POINTS * math.log(10) == pytest.approx(400)


def test_one_seed_gives_one_result() -> None:
    one, other = (asdict(measured("x", "y", [0.9, 0.1, 0.6, 0.7]).figures) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen3-8B", "qwen"), ("smollm2", "smollm"), ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm"),
        ("gpt-4.1-mini", "gpt"), ("meta-llama/Llama-3.1-8B", "llama"), ("mistralai/Mixtral-8x7B", "mistral"),
        ("runs/mine/iter3/model", None), ("philosophy", None), ("my-model", None),
    ],
)  # fmt: skip
def test_a_models_family_is_read_from_its_name(name: str, family: str | None) -> None:
    assert family_of(name) == family
