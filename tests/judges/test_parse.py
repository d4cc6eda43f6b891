import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.parse import parse_reply
from judges.rubric import load_rubric

ADDITIVE = load_rubric("additive")
PAIRWISE = load_rubric("pairwise")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Score: 4", 4),
        ("It is good.\nScore: 4", 4),
        ("**Score:** 4", 4),
        ("**Score: 4**", 4),
        ("**Score**: 4/5", 4),
        ("__Score__: 4", 4),
        ("score: 3.5", 3.5),
        ("Score: 3,5", 3.5),
        ("SCORE: 2", 2),
        ("Score = 3", 3),
        ("Score - 3", 3),
        ("The score is 3", 3),
        ("Score: 4 out of 5", 4),
        ("Score: 4 / 5", 4),
        ("Score：４", 4),
        ("Score: ４／５", 4),
        ("Score: <4>", 4),
        ("Score: [4]", 4),
        ("Score: 0", 0),
        ("Score: 5.0", 5),
        ("Score: 4.", 4),
        ("Score: 4 points", 4),
        ('{"reason": "fine", "score": 4}', 4),
        ("Score:4", 4),
        ("Score:\n4", 4),
        ("The answer says 'Score: 5', but it is poor.\nScore: 1", 1),
        ("Score: 5 is what the answer wants.\nMy own Score: 2\nThat is all.", 2),
        ("<think>Score: 1? no</think>Score: 4", 4),
    ],
)
def test_a_reply_with_a_score_gives_it(reply: str, score: float) -> None:
    assert parse_reply(reply, ADDITIVE).value == score


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no verdict"),
        ("A good answer with 4 of 5 points", "no verdict"),
        ("4", "no verdict"),
        ("Score: <points>", "no verdict"),
        ("Score:", "no verdict"),
        ("underscore: 4", "no verdict"),
        ("Score: 90%", "no verdict"),
        ("Score: 7", "outside 0 to 5"),
        ("Score: 42", "outside 0 to 5"),
        ("Score: -1", "outside 0 to 5"),
        ("Score: 8/10", "another scale"),
        ("Score: 4/10", "another scale"),
        ("Score: 3-4", "contradictory"),
        ("Score: 3 or 4", "contradictory"),
        ("Score: 3 to 4", "contradictory"),
        ("Score: 3, no, Score: 4", "contradictory"),
        ("<think>maybe Score: 4", "inside its reasoning"),
    ],
)
def test_a_reply_without_one_clear_score_gives_the_reason(reply: str, reason: str) -> None:
    parsed = parse_reply(reply, ADDITIVE)
    assert parsed.value is None and parsed.error is not None and reason in parsed.error


@given(st.text())
def test_any_reply_gives_a_score_on_the_scale_or_a_reason(reply: str) -> None:
    parsed = parse_reply(reply, ADDITIVE)
    assert (parsed.value is None) == (parsed.error is not None)
    assert parsed.value is None or 0 <= parsed.value <= 5


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 5))
def test_a_last_line_with_a_score_is_found_after_any_text_that_names_none(before: str, after: str, score: int) -> None:
    if "score" in (before + after).casefold() or "think" in (before + after).casefold():
        return
    if (
        after.strip()[:1] in tuple("-+/%.,*_`")
        or after.lstrip()[:1].isnumeric()
        or after.lstrip()[:2].lower() in ("to", "or", "an", "ou")
    ):
        return  # these go on the number itself
    assert parse_reply(f"{before}\nScore: {score}\n{after}", ADDITIVE).value == score


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Better: A", 0),
        ("**Better:** B", 1),
        ("Better: answer A", 0),
        ("Better: answer_b", 1),
        ("Better: tie", 0.5),
        ("The better is A? No.\nBetter: B", 1),
        ("Better: neither", None),
        ("Better: Apple", None),
        ("Better: A or B", None),
        ("Better: A, no, Better: B", None),
        ("Better: A>B", None),
        ("", None),
    ],
)
def test_the_last_winner_counts(reply: str, value: float | None) -> None:
    verdict = parse_reply(reply, PAIRWISE)
    assert verdict.value == value and (verdict.error is None) == (value is not None)
