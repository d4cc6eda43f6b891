import gzip
import json
import random
import re
import time
from pathlib import Path

import pytest

from judges.tools.arithmetic.arithmetic import holds, same_answer
from judges.tools.arithmetic.equations import equations
from judges.tools.choice import check_arithmetic
from records import Response


def verdicts(text: str) -> list[tuple[str, bool | None]]:
    return [(equation.text, holds(equation)[0]) for equation in equations(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So 12 * 7 = 84 apples.", [("12 * 7 = 84", True)]),
        ("So 12 * 7 = 85 apples.", [("12 * 7 = 85", False)]),
        ("3/4 + 1/4 = 1", [("3 / 4 + 1 / 4 = 1", True)]),
        (r"$\frac{3}{4} + \frac{1}{4} = 1$", [(r"\frac{3}{4} + \frac{1}{4} = 1", True)]),
        (r"\(12 \times 7 = 84\)", [("12 * 7 = 84", True)]),
        (r"$12 \cdot 7 = 84\text{ apples}$", [("12 * 7 = 84", True)]),
        ("48/2 = <<48/2=24>>24 clips", [("48 / 2 = 24", True)]),
        ("$5.50 x 3 = $16.50", [("5.50 * 3 = 16.50", True)]),
        ("1,200 × 2 = 2,400.", [("1,200 * 2 = 2,400", True)]),
        ("20% of 50 = 10", [("20% of 50 = 10", True)]),
        ("5/20*100 = 25%", [("5 / 20 * 100 = 25%", True)]),
        ("(3+4)*2 = 14 and 2**3 = 9", [("(3 + 4) * 2 = 14", True), ("2^3 = 9", False)]),
        ("17 - 5 = 12 = 6 * 2", [("17 - 5 = 12", True), ("12 = 6 * 2", True)]),
        ("5 + 5 = 10 + 1 = 11", [("5 + 5 = 10 + 1", False), ("10 + 1 = 11", True)]),
        ("**2 + 3 = 5**", [("2 + 3 = 5", True)]),
        ("3 − 5 = −2", [("3 - 5 = - 2", True)]),
        ("2 + 3 * 4 = 20", [("2 + 3 * 4 = 20", False)]),
        ("5 / 0 = 3", [("5 / 0 = 3", None)]),
    ],
)
def test_stated_equations_are_worked_out(text: str, expected: list[tuple[str, bool | None]]) -> None:
    assert verdicts(text) == expected


@pytest.mark.parametrize(
    ("text", "right"),
    [("10/3 = 3.33", True), ("2/3 = 0.66", True), ("2/3 = 0.67", True), ("2/3 = 0.68", False),
     ("1.5 + 1.2 = 2.6", False), ("10/3 = 3", False), ("22/7 ≈ 3", True), ("22/7 ≈ 5", False),
     ("1.4 - 0.4 = 1", True), ("26.5 + 35 + .5 = 62", True), ("1/3 = 33.3%", True), ("1/3 = 34%", False)],
)  # fmt: skip
def test_a_decimal_may_be_rounded_and_a_whole_number_may_not(text: str, right: bool) -> None:
    assert [found for _, found in verdicts(text)] == [right]


@pytest.mark.parametrize(
    "text",
    ["2x = 10", "x + 4 = 9", "5 apples + 4 = 9", "f(2+1) = 9", "sin 30 + 1 = 1.5", "7 + 5 = 10 (mod 12)", "3 + 4 = 7x",
     "5 + 5 = 2 times 5", "In 2020 3 + 4 = 7", "a - 4 = 9", "5! = 120", "3 != 4 - 1", "n = 5", "7 = 7", "3 + 4 <= 7",
     "3 + 4 = 7^n", "10^64^64 = 1", "9^9^9 = 3", "2^100 = 3", "1234567890123456 + 1 = 2", "(((1 + 2 = 3"],
)  # fmt: skip
def test_what_is_not_plainly_a_calculation_is_left_alone(text: str) -> None:
    assert verdicts(text) == []


def test_nothing_that_an_answer_states_takes_long_to_work_out() -> None:
    started = time.monotonic()
    verdicts("(10^64)^64 = 5 and " + "9*" * 200 + "9 = 1\n" + "(" * 5000 + "1 + 1 = 2")
    same_answer("3", r"$9^{9^{9^9}}$")
    assert time.monotonic() - started < 2


def test_the_calculations_of_real_solutions_hold(data: Path) -> None:
    with gzip.open(data / "gsm8k" / "train.jsonl.gz", "rt") as file:
        answers = [json.loads(line)["answer"] for line in file]
    found = [pair for answer in random.Random(1).sample(answers, 60) for pair in verdicts(answer)]
    assert len(found) > 150
    assert [text for text, right in found if right is not True] == ["10 * 1,248 = 11,480"]  # so it stands there


def test_the_same_calculations_made_wrong_do_not_hold(data: Path) -> None:
    with gzip.open(data / "gsm8k" / "test.jsonl.gz", "rt") as file:
        answers = [json.loads(line)["answer"] for line in file][:40]
    marked = [match for answer in answers for match in re.findall(r"<<([^<>]*)=([\d.]+)>>", answer)]
    wrong = [f"{left}={float(right) * 2 + 1:g}" for left, right in marked]
    found = [right for equation in wrong for _, right in verdicts(equation)]
    assert len(found) > 80 and not any(found)


@pytest.mark.parametrize(
    ("reference", "answer", "same"),
    [
        ("#### 18", "She has 18 left.", True),
        ("She sells <<9*2=18>>18 eggs.\n#### 18", r"The result is \boxed{19}.", False),
        ("1/2", "It is 0.5", True),
        (r"\frac{\sqrt{2}}{2}", r"So $\frac{1}{\sqrt{2}}$", True),
        ("-5", "x = −5", True),
        ("5", "x = −5", False),
        ("7/2", "He is 3 1/2 years old", True),
        ("3", "It is 3½", False),
        ("#### 5,000,000", "He earns 5 million", True),
        ("5", "He earns 5 million", True),
        ("6", "He earns 5 million", False),
        ("1500", "about 1.5e3", True),
        ("Paris", "It is Paris", None),
        ("42", "I do not know", None),
    ],
)
def test_a_result_is_held_against_the_reference(reference: str, answer: str, same: bool | None) -> None:
    assert same_answer(reference, answer) is same


def response(text: str, reference: str | None = None) -> Response:
    return Response(id="r", prompt_id="p", prompt="Q", response=text, model="m", reference=reference)


def test_a_wrong_equation_is_a_refuted_claim_that_is_quoted() -> None:
    claims, reason = check_arithmetic(response("First 12 * 7 = 85. Then 85 - 5 = 80.", "#### 79"), 10)
    assert [(claim.claim, claim.verdict) for claim in claims] == [
        ("12 * 7 = 85", "refuted"),
        ("85 - 5 = 80", "supported"),
        ("the result is the reference's", "refuted"),
    ]
    assert claims[0].quote is not None and claims[0].quote.text == "12 * 7 = 85: the left side is 84"
    assert claims[2].quote is not None and claims[2].quote.text == "#### 79"
    assert reason is None


def test_an_answer_without_a_calculation_has_no_claims_and_a_reason() -> None:
    claims, reason = check_arithmetic(response("It is nice."), 10)
    assert claims == [] and reason is not None and reason.startswith("the answer states no equation")


def test_equations_over_the_limit_are_counted() -> None:
    claims, reason = check_arithmetic(response("1 + 1 = 2, 1 + 2 = 3, 1 + 3 = 4"), 2)
    assert len(claims) == 2 and reason == "only the first 2 of 3 equations are checked"


def test_a_result_that_cannot_be_compared_is_open() -> None:
    [claim], _ = check_arithmetic(response("No idea.", "#### 4"), 5)
    assert claim.verdict == "not enough" and claim.reason == "the answer or the reference has no number"
