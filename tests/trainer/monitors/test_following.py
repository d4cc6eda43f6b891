"""Shares of answers that do what is asked, and the judge's accuracy on pairs of them, by hand."""

import math

import msgspec
import pytest

from judges.tools.constraints.rows import CheckedConstraint, Outcome
from trainer.monitors.compute import monitors_of
from trainer.monitors.following import CheckedAnswer, Following, following_of, known_pairs

FOLLOWED: Outcome = "followed"
BROKEN: Outcome = "broken"


def checked(name: str, prompt: str, *outcomes: Outcome | None, loose: Outcome | None = None) -> CheckedAnswer:
    checks = [
        CheckedConstraint(kind=f"kind{n}", strict=outcome, loose=loose or outcome, reason="")
        for n, outcome in enumerate(outcomes)
    ]
    return CheckedAnswer(response_id=name, prompt_id=prompt, checks=checks)


ANSWERS = [
    checked("a1", "a", FOLLOWED),
    checked("a2", "a", BROKEN, loose=FOLLOWED),
    checked("b1", "b", FOLLOWED, BROKEN),
    checked("b2", "b", FOLLOWED, FOLLOWED),
    checked("c1", "c", FOLLOWED, None),  # nobody knows
    checked("c2", "c", BROKEN, None),  # nor of this: else its prompt would count failures alone
    checked("d1", "d"),  # its prompt has no constraint
]
SCORES = {"a1": 3.0, "a2": 2.0, "b1": 2.5, "b2": 2.50001, "c1": 1.0, "c2": 4.0, "d1": 5.0}


def found(answers: list[CheckedAnswer], **more: object) -> Following:
    following = following_of(answers, SCORES, **more)  # type: ignore[arg-type]
    assert following is not None
    return following


def test_shares_by_hand() -> None:
    following = found(ANSWERS)
    assert (following.follows.value, following.follows.n) == (pytest.approx(2 / 4), 4)
    assert (following.follows_loose.value, following.follows_loose.n) == (pytest.approx(3 / 4), 4)
    assert (following.follows_each.value, following.follows_each.n) == (pytest.approx(5 / 8), 8)
    assert (following.n_prompts, following.n_unknown) == (3, 2)


def test_the_judge_is_right_on_one_pair_and_ties_the_other() -> None:
    assert known_pairs(ANSWERS, SCORES) == [("a", 1.0), ("b", 0.5)]
    assert found(ANSWERS).known_pairs.value == 0.75 and found(ANSWERS).known_pairs.n == 2
    assert known_pairs(ANSWERS, {**SCORES, "a1": 1.0}) == [("a", 0.0), ("b", 0.5)]
    assert known_pairs(ANSWERS, {"b1": 1.0, "b2": 2.0}) == [("b", 1.0)]  # a pair without a score is no pair


def test_several_answers_make_several_pairs_but_only_across_the_line() -> None:
    answers = [checked(f"{n}", "p", FOLLOWED if n < 2 else BROKEN) for n in range(4)]
    assert known_pairs(answers, {"0": 4.0, "1": 1.0, "2": 2.0, "3": 3.0}) == [("p", 1.0)] * 2 + [("p", 0.0)] * 2


def test_answers_that_repeat_their_prompts_outcome_narrow_no_interval() -> None:
    """Eight equal answers of a prompt say no more than one, so the interval is that of single answers."""

    def width(n_each: int) -> float:
        answers = [
            checked(f"{prompt}-{n}", f"{prompt}", FOLLOWED if prompt % 2 else BROKEN)
            for prompt in range(40)
            for n in range(n_each)
        ]
        share = found(answers).follows
        assert share.value == 0.5 and share.low is not None and share.high is not None
        return share.high - share.low

    assert width(8) == pytest.approx(width(1)) == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 40), rel=0.1)


def test_a_share_of_everything_has_an_interval_over_prompts() -> None:
    share = found([checked(f"{n}", f"{n // 2}", FOLLOWED) for n in range(20)]).follows
    assert share.value == share.high == 1 and share.low == pytest.approx(0.722, abs=0.001)  # Wilson's, of ten prompts


def test_the_gain_is_paired_by_prompt() -> None:
    """Prompts differ much and each gains the same half, so the gain has hardly any error though the shares have."""
    base = [checked(f"{p}-{n}", f"{p}", FOLLOWED if p % 2 and n else BROKEN) for p in range(20) for n in range(2)]
    now = [checked(f"{p}-{n}", f"{p}", FOLLOWED if p % 2 or n else BROKEN) for p in range(20) for n in range(2)]
    following = found(now, base=base)
    assert following.gain is not None and following.gain.value == 0.5 and following.gain.n == 20
    assert following.gain.low is None  # each prompt gains exactly that
    assert following.follows.low is not None and following.follows.low < 0.65
    some = [*now[:-1], checked("19-1", "19", BROKEN)]
    gain = found(some, base=base).gain
    assert gain is not None and gain.low is not None and gain.high is not None and gain.high - gain.low < 0.2


def test_prompts_without_constraints_have_no_shares_and_the_monitor_says_why() -> None:
    from judges.rubrics.rubric import load_rubric

    assert following_of([checked("d1", "d")], SCORES) is None
    plain = monitors_of(1, [], [], load_rubric("additive"))
    assert plain.follows is None and plain.reasons["follows"] == "no held-out prompt has constraints"
    one_each = found([checked("a1", "a", FOLLOWED), checked("b1", "b", BROKEN)])
    monitors = monitors_of(1, [], [], load_rubric("additive"), following=one_each)
    assert monitors.follows == 0.5 and monitors.n["follows"] == 2
    assert monitors.known_pairs is None and "[eval] n must be above 1" in monitors.reasons["known_pairs"]


def test_the_shares_survive_their_file() -> None:
    following = found(ANSWERS, base=ANSWERS)
    assert msgspec.json.decode(msgspec.json.encode(following), type=Following) == following
