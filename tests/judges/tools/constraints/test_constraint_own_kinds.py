"""The kinds that IFEval lacks: regular expressions, JSON schemas, code fences, few words, languages."""

import json
import socket

import pytest

from judges.tools.constraints.checking import check_constraints
from judges.tools.constraints.rows import CheckedConstraint
from records.rows import Constraint

PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
PLATE = {"type": "string", "pattern": "^[A-Z]{2}$"}
NUMBERED = {"patternProperties": {"^n": {"type": "integer"}}}
GERMAN = "Der Hund schläft heute unter dem großen Tisch in der Küche, weil es draußen regnet."
ENGLISH = "The dog sleeps under the big table in the kitchen today because it rains outside."
CHINESE = "今天外面下雨，所以狗在厨房的大桌子底下睡觉。"


def check(response: str, kind: str, prompt: str = "Write.", **kwargs: object) -> CheckedConstraint:
    return check_constraints(prompt, response, [Constraint(kind=f"judgeloop:{kind}", kwargs=kwargs)])[0]


@pytest.mark.parametrize(
    ("kind", "kwargs", "response", "strict"),
    [
        ("at_most_words", {"num_words": 2}, "one two", "followed"),
        ("at_most_words", {"num_words": 2}, "one two three", "broken"),
        ("at_most_words", {"num_words": 3}, "绿茶是一种非常健康的饮料", None),
        ("at_most_words", {"num_words": 3}, "ชาเขียวดีต่อสุขภาพ", None),
        ("at_most_words", {"num_words": 3}, "초록 차", "followed"),
        ("contains", {"text": "C++"}, "I like C++.", "followed"),
        ("contains", {"text": "C++"}, "I like C.", "broken"),
        ("regex", {"pattern": r"^\d{4}-\d\d$"}, "2024-05", "followed"),
        ("regex", {"pattern": r"^\d{4}-\d\d$"}, "May 2024", "broken"),
        ("json_schema", {"schema": PERSON}, '{"age": 3}', "followed"),
        ("json_schema", {"schema": PERSON}, '```json\n{"age": 3}\n```', "followed"),
        ("json_schema", {"schema": PERSON}, '{"age": "3"}', "broken"),
        ("json_schema", {"schema": PERSON}, "He is 3.", "broken"),
        ("json_schema", {"schema": {}}, '{"age": NaN}', "broken"),
        ("json_schema", {"schema": {"type": "number"}}, "-Infinity", "broken"),
        ("json_schema", {"schema": {"type": "string"}}, '"NaN"', "followed"),
        ("json_schema", {"schema": json.dumps(PERSON)}, '{"age": 3}', "followed"),
        ("json_schema", {"schema": json.dumps(PERSON)}, '{"age": "3"}', "broken"),
        ("json_schema", {"schema": PLATE}, '"AB"', "followed"),
        ("json_schema", {"schema": PLATE}, '"ab"', "broken"),
        ("json_schema", {"schema": NUMBERED}, '{"n1": 1, "x": "y"}', "followed"),
        ("json_schema", {"schema": NUMBERED}, '{"n1": "one"}', "broken"),
        ("code_fence", {}, "Look:\n```\nx = 1\n```", "followed"),
        ("code_fence", {}, "Look:\n```\n```", "followed"),
        ("code_fence", {}, "Look:\n```\nx = 1", "broken"),
        ("code_fence", {}, "~~~\nx = 1\n~~~", "followed"),
        ("code_fence", {"code_language": "Python"}, "```py\nx = 1\n```", "followed"),
        ("code_fence", {"code_language": "js"}, "```javascript\nx = 1\n```", "followed"),
        ("code_fence", {"code_language": "zorg"}, "```zorg\nx = 1\n```", "followed"),
        ("code_fence", {}, "Look: `x = 1`", "broken"),
        ("code_fence", {"code_language": "python"}, "1. Look:\n   ~~~Python\n   x = 1\n\n   ~~~\n", "followed"),
        ("code_fence", {"code_language": "python"}, "```js\nx = 1\n```", "broken"),
        ("language", {"language": "de"}, GERMAN, "followed"),
        ("language", {"language": "de"}, ENGLISH, "broken"),
        ("language", {"language": "zh"}, CHINESE, "followed"),
    ],
)
def test_an_answer_follows_a_constraint_of_ours_or_breaks_it(
    kind: str, kwargs: dict[str, object], response: str, strict: str
) -> None:
    assert check(response, kind, **kwargs).strict == strict


def test_a_schema_elsewhere_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket, "create_connection", connect)
    checked = check("3", "json_schema", schema={"$ref": "http://example.com/s.json"})
    assert checked.strict is None and "refers to http://example.com/s.json, which is not in it" in checked.reason
    inside = {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}
    assert check("3", "json_schema", schema=inside).strict == "followed"


def test_an_answer_can_be_held_to_the_language_of_its_prompt() -> None:
    assert (
        check(GERMAN, "prompt_language", prompt="Wo schläft der Hund heute Nacht, wenn es regnet?").strict == "followed"
    )
    assert (
        check(ENGLISH, "prompt_language", prompt="Wo schläft der Hund heute Nacht, wenn es regnet?").strict == "broken"
    )


@pytest.mark.parametrize("response", ["123", "..."])
def test_a_language_that_cannot_be_told_is_not_guessed(response: str) -> None:
    checked = check(response, "language", language="de")
    assert checked.strict is checked.loose is None
    assert "language" in checked.reason


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("regex", {"pattern": r"^(a|a)*\1$"}),
        ("json_schema", {"schema": {"type": "string", "pattern": r"^(a|a)*\1$"}}),
    ],
)
def test_a_regular_expression_that_never_ends_is_stopped(kind: str, kwargs: dict[str, object], monkeypatch) -> None:
    monkeypatch.setattr("judges.tools.constraints.own.REGEX_TIMEOUT_S", 0.05)
    checked = check('"' + "a" * 5000 + '!"' if kind == "json_schema" else "a" * 5000 + "!", kind, **kwargs)
    assert checked.strict is checked.loose is None
    assert "took longer than" in checked.reason


def test_a_schema_on_the_web_is_never_fetched() -> None:
    checked = check("{}", "json_schema", schema={"$ref": "https://example.org/schema.json"})
    assert checked.strict is None
    assert "example.org" in checked.reason


def test_json_of_more_than_the_limit_is_not_held_against_a_schema() -> None:
    checked = check('"' + "x" * 300_000 + '"', "json_schema", schema={})
    assert checked.strict is None
    assert "300,002 characters" in checked.reason
