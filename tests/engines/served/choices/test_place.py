import pytest

from engines.served.choices.place import place_of

FIVE = ["0", "1", "2", "3", "4", "5"]
TEN = [str(n) for n in range(1, 11)]
AB = ["A", "B"]
ARENA = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]
SAFE = ["safe", "unsafe"]
YES = ["yes", "partly", "no"]


def named(text: str, choices: list[str], *labels: str) -> str | None:
    found = place_of(text, choices, labels)
    return None if found is None else text[found.start : found.end]


@pytest.mark.parametrize(
    ("text", "choices", "label", "expected"),
    [
        ("Score: 4", FIVE, "Score", "4"),
        ("score:4\n", FIVE, "Score", "4"),
        ("**Score:** 4", FIVE, "Score", "4"),
        ("**Score: 4**", FIVE, "Score", "4"),
        ("Score: [[4]]", FIVE, "Score", "4"),
        ("Score: $\\boxed{4}$", FIVE, "Score", "4"),
        ("Score: <|begin_of_box|>4<|end_of_box|>", FIVE, "Score", "4"),
        ("Score：４", FIVE, "Score", "４"),
        ("Score (0-5): 4", FIVE, "Score", "4"),
        ('{"score": 4}', FIVE, "Score", "4"),
        ('{"score": "4"}', FIVE, "Score", "4"),
        ("## Score\n4", FIVE, "Score", "4"),
        ("Score 4", FIVE, "Score", "4"),
        ("The final score is 4.", FIVE, "Score", "4"),
        ("Sure! Here it is.\n\nScore: 4", FIVE, "Score", "4"),
        ("Score: 4 points", FIVE, "Score", "4"),
        ("Score: 4 out of 5", FIVE, "Score", "4"),
        ("Score: 4\nThe answer has 2 faults.", FIVE, "Score", "4"),
        ("Score: 4/5", FIVE, "Score", "4"),
        ("4/5", FIVE, "Score", "4"),
        ("Score: 4 because it helps", FIVE, "Score", "4"),
        ("Score: 4. It helps.", FIVE, "Score", "4"),
        ("Score: 4\nScore: 4", FIVE, "Score", "4"),
        ("BLEU score: 2\nScore: 4", FIVE, "Score", "4"),
        ("评分：4", FIVE, "评分", "4"),
        ("Rating: 10", TEN, "Rating", "10"),
        ("Rating: [[10]]", TEN, "Rating", "10"),
        ("4", FIVE, "Score", "4"),
        (" **4**\n", FIVE, "Score", "4"),
        ("4.", FIVE, "Score", "4"),
        ("4 points", FIVE, "Score", "4"),
        ("Better: A", AB, "Better", "A"),
        ("Better: Answer B", AB, "Better", "B"),
        ("Better: [[B]]", AB, "Better", "B"),
        ("The better answer is B.", AB, "Better", "B"),
        ("Better: A because B is wrong", AB, "Better", "A"),
        ("(B)", AB, "Better", "B"),
        ("Answer B", AB, "Better", "B"),
        ("Verdict: A>>B", ARENA, "Verdict", "A>>B"),
        ("[[B>A]]", ARENA, "Verdict", "B>A"),
        ("Verdict: Unsafe.", SAFE, "Verdict", "Unsafe"),
        ("Same meaning: Yes", ["yes", "no"], "Same meaning", "Yes"),
        ("same_meaning: no", ["yes", "no"], "Same meaning", "no"),
        ("Followed: partly", YES, "Followed", "partly"),
    ],
)
def test_a_choice_is_named_after_its_label_or_alone(text: str, choices: list[str], label: str, expected: str) -> None:
    assert named(text, choices, label) == expected


@pytest.mark.parametrize(
    ("text", "choices", "label"),
    [
        ("A better answer would be shorter", AB, "Better"),
        ("A better answer is B-like", AB, "Better"),
        ("A is short", AB, "Better"),
        ("Answer: A", AB, "Better"),
        ("Answer A is better than B", AB, "Better"),
        ("Better: Answer", AB, "Better"),
        ("Better: neither A nor B", AB, "Better"),
        ("Better: A or B", AB, "Better"),
        ("Better: A/B", AB, "Better"),
        ("Better: A, B", AB, "Better"),
        ("Better: A>B", AB, "Better"),
        ("Better: A tie", AB, "Better"),
        ("Better: A?", AB, "Better"),
        ("Better: A\nBetter: B", AB, "Better"),
        ("Better: A. Actually, B.", AB, "Better"),
        ("Better: A\nNo, B.", AB, "Better"),
        ("Score: 4.5", FIVE, "Score"),
        ("Score: 4,5", FIVE, "Score"),
        ("Score: 4/50", FIVE, "Score"),
        ("Score: 10", FIVE, "Score"),
        ("Score: 42", FIVE, "Score"),
        ("Score: 4½", FIVE, "Score"),
        ("Score: 4%", FIVE, "Score"),
        ("Score: 4-5", FIVE, "Score"),
        ("Score: 4 – 5", FIVE, "Score"),
        ("Score: 4 to 5", FIVE, "Score"),
        ("Score: 4 or 5", FIVE, "Score"),
        ("Score: 4 and 5", FIVE, "Score"),
        ("Score: **4** or **5**", FIVE, "Score"),
        ("Score: [[1]]0", FIVE, "Score"),
        ("Score: 4 out of 10", FIVE, "Score"),
        ("Score: -4", FIVE, "Score"),
        ("Score: ~4", FIVE, "Score"),
        ("Score: 4?", FIVE, "Score"),
        ("Score: 4 errors", FIVE, "Score"),
        ("Score: 4. Actually no, 2.", FIVE, "Score"),
        ("Score: 4\nWait, 2.", FIVE, "Score"),
        ("Score: none\nScore: 4", FIVE, "Score"),
        ("BLEU score: 4", FIVE, "Score"),
        ("Rescore: 4", FIVE, "Score"),
        ("Scores: 4", FIVE, "Score"),
        ("Rating: 4", FIVE, "Score"),
        ("4 or 5", FIVE, "Score"),
        ("4.5", FIVE, "Score"),
        ("4/10", FIVE, "Score"),
        ("I would say 4", FIVE, "Score"),
        ("1. The answer", FIVE, "Score"),
        ("Verdict: safe, but borderline", SAFE, "Verdict"),
        ("Verdict: not safe", SAFE, "Verdict"),
        ("Verdict: safety first", SAFE, "Verdict"),
        ("Verdict: safe/unsafe", SAFE, "Verdict"),
        ("Verdict: A>B>A", ARENA, "Verdict"),
        ("Followed: no constraint is broken", YES, "Followed"),
        ("", FIVE, "Score"),
        ("Score:", FIVE, "Score"),
    ],
)
def test_a_choice_that_goes_on_or_stands_elsewhere_is_none(text: str, choices: list[str], label: str) -> None:
    assert named(text, choices, label) is None


def test_a_choice_without_its_label_is_not_meant_for_one_of_several() -> None:
    assert place_of("4", FIVE, ("accuracy",), alone=False) is None
    found = place_of("accuracy: 4\nclarity: 2", FIVE, ("clarity",), alone=False)
    assert found is not None and found.start == len("accuracy: 4\nclarity: ")


def test_of_several_places_the_last_counts_that_a_reader_of_the_text_takes() -> None:
    text = 'It says "Score: 5".\nScore: 4\nNo.\nScore: 2'
    found = place_of(text, FIVE, ("Score",), agrees=lambda _, choice: choice == "4")
    assert found is not None and (found.choice, found.start) == ("4", text.index("4"))
    assert place_of(text, FIVE, ("Score",), agrees=lambda *_: False) is None
    assert place_of("Score: 4.5", FIVE, ("Score",), agrees=lambda *_: True) is None


def test_any_of_several_labels_is_the_one_asked_for() -> None:
    assert named("Puntuación: 4", FIVE, "Score", "Puntuación") == "4"


def test_time_is_linear_in_the_length_of_the_text() -> None:
    for text in ("Score" * 20_000, "Score: " * 20_000, "*" * 100_000, " " * 100_000 + "4", "Score" + " " * 100_000):
        place_of(text, FIVE, ("Score",))


@pytest.mark.parametrize(
    ("text", "settled"), [("Score: 4", False), ("Score: 4.", False), ("Score: 4\n", True), ("Score: 4 because", True)]
)
def test_a_choice_is_settled_if_more_follows(text: str, settled: bool) -> None:
    found = place_of(text, FIVE, ("Score",))
    assert found is not None and found.settled is settled
