"""Wrong settings and contradictions are said before any answer is checked, once per kind."""

import pytest

from judges.tools.constraints.checking import check_constraints, check_settings, describe
from judges.tools.constraints.kinds import all_kinds
from records.rows import Constraint

WORDS = "length_constraints:number_words"


def one(kind: str, **kwargs: object) -> Constraint:
    return Constraint(kind=kind, kwargs=kwargs)


def test_what_is_wrong_with_a_kind_is_said_once_with_the_number_of_prompts() -> None:
    wrong = one(WORDS, relation="at least", num_words="3")
    other = one(WORDS, relation="at least", num_words=-1)
    problems = check_settings([[wrong, wrong], [other], None, [one("punctuation:no_comma")]])
    assert problems == [f"{WORDS}: num_words must be a whole number of at least 0, not '3' (2 prompts)"]


@pytest.mark.parametrize(
    ("constraint", "says"),
    [
        (one("length_constraints:number_word"), "the nearest name is length_constraints:number_words"),
        (one("count:numbers", N=3), "count:numbers: no checker for this kind (1 prompt)"),
        (one(WORDS, relation="at least"), "num_words is missing"),
        (one(WORDS, relation="at most", num_words=3), "one of less than, at least, not 'at most'"),
        (one("punctuation:no_comma", num_words=3), "there is no setting num_words"),
        (one("keywords:existence", keywords="rock"), "must be a list of texts, not 'rock'"),
        (one("keywords:existence", keywords=[]), "not an empty list"),
        (one("keywords:existence", keywords=["rock", 3]), "must be a text, not 3"),
        (one("keywords:frequency", keyword=["rock"], relation="at least", frequency=1), "must be a text, not 'rock'"),
        (one("keywords:forbidden_words", forbidden_words=["C++"]), "judgeloop:contains takes it"),
        (one("keywords:letter_frequency", letter="ab", let_relation="at least", let_frequency=1), "a single letter"),
        (one("language:response_language", language="zh"), "one of ar, bg"),
        (one("judgeloop:language", language="Chinese"), "'Chinese' is unknown; the nearest code is zh (1"),
        (one("judgeloop:language", language="pt-BR"), "the nearest code is pt (1"),
        (one("judgeloop:language", language="?"), "codes are known, such as en, de and zh"),
        (one("Punctuation:NO_COMMA"), "the nearest name is punctuation:no_comma"),
        (one("no_comma"), "the nearest name is punctuation:no_comma"),
        (one("judgeloop:json_schema", schema='{"type": 3}'), "is no JSON schema"),
        (
            one("length_constraints:nth_paragraph_first_word", num_paragraphs=2, nth_paragraph=3, first_word="it"),
            "nth_paragraph is 3 of 2 paragraphs",
        ),
        (one("judgeloop:regex", pattern="(a"), "is no regular expression"),
        (one("judgeloop:json_schema", schema={"type": 3}), "is no JSON schema"),
        (one("judgeloop:json_schema", schema="object"), "must be a JSON schema"),
        (one("judgeloop:json_schema", schema={"maximum": float("nan")}), "schema holds NaN or an infinite number"),
        (one("judgeloop:json_schema", schema='{"items": {"minimum": -Infinity}}'), "schema holds NaN or an infinite"),
    ],
)
def test_a_constraint_that_no_checker_can_work_with_is_named(constraint: Constraint, says: str) -> None:
    (problem,) = check_settings([[constraint]])
    assert says in problem


def test_one_of_a_thing_is_written_as_one() -> None:
    kinds = {"judgeloop:at_most_words": "num_words", "length_constraints:number_paragraphs": "num_paragraphs"}
    asked = [describe(one(kind, **{name: 1})) for kind, name in kinds.items()]
    assert asked == ["it has at most 1 word", "it has 1 paragraph, parted by ***"]
    [checked] = check_constraints("Q", "a, b", [one("punctuation:no_comma")])
    assert checked.reason == "no comma stands in it: it has 1 comma"
    limit = one("judgeloop:at_most_words", num_words=1)
    [problem] = check_settings([[limit, one(WORDS, relation="at least", num_words=2)]])
    assert "at least 2 and at most 1 word (1 prompt)" in problem
    for kind in all_kinds().values():
        assert all(f"{{{name}:" in kind.asks for name, type_ in kind.settings.items() if type_ == "count"), kind


def test_a_model_reads_the_kinds_with_the_names_of_their_settings() -> None:
    entries = [kind.table_entry for kind in all_kinds().values()]
    assert "it has at most {num_words} words" in entries and not any(":" in entry for entry in entries)


LOWER, UPPER = one("change_case:english_lowercase"), one("change_case:english_capital")
REPEAT = one("combination:repeat_prompt", prompt_to_repeat="Say hello, twice")


@pytest.mark.parametrize(
    "together",
    [
        (UPPER, LOWER),
        (one(WORDS, relation="at least", num_words=300), one(WORDS, relation="less than", num_words=20)),
        (one(WORDS, relation="at least", num_words=300), one("judgeloop:at_most_words", num_words=299)),
        (REPEAT, one("punctuation:no_comma")),
        (REPEAT, one("judgeloop:at_most_words", num_words=2)),
        (REPEAT, one("keywords:forbidden_words", forbidden_words=["hello"])),
        (REPEAT, one("startend:quotation")),
        (REPEAT, one("detectable_format:json_format")),
        (one("keywords:existence", keywords=["rock"]), one("keywords:forbidden_words", forbidden_words=["Rock"])),
        (LOWER, one("change_case:capital_word_frequency", capital_relation="at least", capital_frequency=1)),
        (LOWER, one("detectable_format:multiple_sections", section_spliter="Section", num_sections=2)),
        (LOWER, one("language:response_language", language="de")),
        (one("judgeloop:language", language="zh"), one("language:response_language", language="de")),
        (one("startend:end_checker", end_phrase="The end."), one("startend:end_checker", end_phrase="Good night.")),
        (UPPER, one("detectable_format:constrained_response")),
        (
            one("detectable_format:number_bullet_lists", num_bullets=3),
            one("detectable_format:number_bullet_lists", num_bullets=4),
        ),
        (
            one("length_constraints:number_sentences", relation="at least", num_sentences=3),
            one("length_constraints:number_sentences", relation="less than", num_sentences=3),
        ),
    ],
)
def test_constraints_that_contradict_each_other_are_named(together: tuple[Constraint, ...]) -> None:
    (problem,) = check_settings([list(together)])
    assert all(constraint.kind in problem for constraint in together)
    assert "contradict each other" in problem
    assert check_settings([[constraint] for constraint in together]) == []


def test_constraints_that_only_look_alike_do_not_contradict_each_other() -> None:
    assert (
        check_settings(
            [
                [
                    one("keywords:existence", keywords=["rename"]),
                    one("keywords:forbidden_words", forbidden_words=["name"]),
                    one(WORDS, relation="at least", num_words=20),
                    one(WORDS, relation="less than", num_words=21),
                    LOWER,
                    one("startend:end_checker", end_phrase="The end"),
                    one("language:response_language", language="en"),
                ]
            ]
        )
        == []
    )
