import math
from collections.abc import Sequence

import pytest

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.judging.pairwise import Contest, compare
from judges.judging.win_rate import win_rate
from judges.options import JudgeOptions
from records import Comparison
from tests.fences import plain

CONTEST = Contest("p", "Q", "good answer", "bad answer", "x", "y")


def first_answer(request: Request) -> str:
    return plain(request.messages[0]["content"]).split("<answer_a>\n")[1].split("\n")[0]


def verdict(reply_to: dict[str, str]) -> Comparison:
    """Return the comparison of a judge that replies by which answer it sees first."""
    engine = ScriptedEngine(reply=lambda request: reply_to[first_answer(request)])
    [row] = compare(open_judge(engine, JudgeOptions(rubric="pairwise", read="text", samples=1), 0), [CONTEST], set())
    return row


def test_a_judge_that_sees_through_the_order_names_the_winner() -> None:
    row = verdict({"good answer": "Better: A", "bad answer": "Better: B"})
    assert (row.winner, row.first_order, row.second_order, row.flipped, row.preference_b) == ("a", "a", "a", False, 0.0)


def test_a_judge_that_likes_the_first_place_gives_a_tie_that_is_marked() -> None:
    row = verdict({"good answer": "Better: A", "bad answer": "Better: A"})
    assert (row.winner, row.first_order, row.second_order, row.flipped, row.preference_b) == (
        "tie",
        "a",
        "b",
        True,
        0.5,
    )


def test_a_missing_verdict_in_one_order_is_no_verdict_and_no_tie() -> None:
    row = verdict({"good answer": "Better: A", "bad answer": "hm"})
    assert row.winner is None and row.flipped is None and row.preference_b is None
    assert row.error == "no verdict in the reply" and row.replies == ["Better: A", "hm"]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_comparison_whose_replies_were_cut_off_has_no_winner(reason: str) -> None:
    engine = ScriptedEngine(reply=lambda _: "Better: A", finish_reason=reason)
    judge = open_judge(engine, JudgeOptions(rubric="pairwise", read="text", samples=1), 0)
    [row] = compare(judge, [CONTEST], set())
    assert row.winner is None and row.flipped is None and reason in (row.error or "")
    assert row.finish_reasons == [reason] * 2


def test_the_expected_preference_is_averaged_over_both_orders() -> None:
    def logprobs(request: Request, choices: Sequence[str]) -> list[float]:
        first = (
            0.8 if first_answer(request) == "good answer" else 0.6
        )  # it leans to the first place, and to the good answer
        return [math.log(first / 2), math.log((1 - first) / 2)]

    [row] = compare(open_judge(ScriptedEngine(logprobs=logprobs), JudgeOptions(rubric="pairwise"), 0), [CONTEST], set())
    assert row.preference_b == pytest.approx((0.2 + 0.6) / 2) and row.flipped and row.winner == "tie"


def test_exchanging_the_answers_exchanges_the_verdict() -> None:
    def logprobs(request: Request, choices: Sequence[str]) -> list[float]:
        first = 0.9 if first_answer(request) == "good answer" else 0.3
        return [math.log(first), math.log(1 - first)]

    judge = open_judge(ScriptedEngine(logprobs=logprobs), JudgeOptions(rubric="pairwise"), 0)
    swapped = Contest("p", "Q", "bad answer", "good answer", "y", "x")
    there, back = compare(judge, [CONTEST, swapped], set())
    assert (there.winner, back.winner) == ("a", "b")
    assert there.preference_b == pytest.approx(1 - back.preference_b)  # type: ignore[operator]


def comparisons(*preferences: float | None) -> list[Comparison]:
    rows = verdict({"good answer": "Better: A", "bad answer": "Better: B"})
    import msgspec

    return [msgspec.structs.replace(rows, preference_b=p, flipped=p == 0.5) for p in preferences]


def test_the_win_rate_is_the_mean_preference_with_a_t_interval() -> None:
    rate = win_rate(comparisons(1.0, 0.0, 0.5, 1.0))
    assert rate.percent == 62.5 and rate.n == 4 and rate.n_flipped == 1
    assert rate.half_width == pytest.approx(100 * 3.182446 * math.sqrt(0.6875 / 3) / 2, rel=1e-6)


def test_a_comparison_without_a_verdict_is_counted_and_left_out() -> None:
    rate = win_rate(comparisons(1.0, None, 0.0))
    assert rate.percent == 50 and rate.n == 2 and rate.n_unscored == 1


def test_an_interval_that_is_not_known_is_not_shown() -> None:
    assert win_rate(comparisons(0.5, 0.5)).half_width is None
    assert win_rate(comparisons(1.0)).half_width is None
    assert win_rate([]).percent is None and str(win_rate([])) == "-"
