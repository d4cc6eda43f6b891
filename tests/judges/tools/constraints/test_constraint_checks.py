"""A program checks constraints, never guesses, and says why if it cannot check."""

import pytest

from judges.tools.constraints.checking import check_constraints, check_settings, describe, known_kinds
from records.rows import Constraint

HASHES = {"letter": "#", "let_relation": "at least", "let_frequency": 2}


def outcome(response: str | None, kind: str, **kwargs: object) -> tuple[str | None, str | None]:
    checked = check_constraints("Write something.", response, [Constraint(kind=kind, kwargs=kwargs)])[0]
    return checked.strict, checked.loose


@pytest.mark.parametrize(
    ("response", "kind", "kwargs", "expected"),
    [
        ("one two three", "length_constraints:number_words", {"relation": "at least", "num_words": 3}, "followed"),
        ("one two", "length_constraints:number_words", {"relation": "at least", "num_words": 3.0}, "broken"),
        ("# one # two", "keywords:letter_frequency", HASHES, "followed"),
        ("", "punctuation:no_comma", {}, "broken"),
        ("", "keywords:forbidden_words", {"forbidden_words": ["rock"]}, "broken"),
    ],
)
def test_an_answer_follows_a_constraint_or_breaks_it(response, kind, kwargs, expected):
    assert outcome(response, kind, **kwargs)[0] == expected


def test_the_loose_outcome_forgives_a_first_line_and_asterisks():
    assert outcome("Sure, here it is:\n*the end*", "startend:end_checker", end_phrase="the end") == (
        "broken",
        "followed",
    )
    assert outcome("Sure, here it is:\nno commas", "punctuation:no_comma") == ("broken", "followed")


@pytest.mark.parametrize("num_words", [None, "3", -1, 2.5, True])
def test_a_setting_that_is_missing_or_wrong_is_never_guessed(num_words):
    wrong = Constraint(kind="length_constraints:number_words", kwargs={"relation": "at least", "num_words": num_words})
    checked = check_constraints("p", "a b c", [wrong])[0]
    assert (checked.strict, checked.loose) == (None, None)
    assert "num_words" in checked.reason
    assert "num_words" in check_settings([[wrong], [wrong]])[0]
    assert "2 prompts" in check_settings([[wrong], [wrong]])[0]


def test_an_unknown_kind_gets_the_nearest_name():
    problem = check_settings([[Constraint(kind="length_constraints:number_word")]])[0]
    assert "length_constraints:number_words" in problem


def test_no_answer_is_not_checkable():
    assert outcome(None, "punctuation:no_comma") == (None, None)


def test_every_kind_has_a_sentence():
    assert len(known_kinds()) >= 25
    words = Constraint(kind="length_constraints:number_words", kwargs={"relation": "at least", "num_words": 300})
    assert describe(words) == "it has at least 300 words"
