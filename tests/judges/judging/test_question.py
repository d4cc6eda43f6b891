from math import inf, log
from pathlib import Path

import pytest

import judges.cluster.equivalences
import judges.tools.claims
from engines.protocol import Choice
from judges.judging.question import MIN_MASS, Question, load_question
from tests.fences import plain

CLAIMS = Path(judges.tools.claims.__file__).parent
EQUIVALENCES = Path(judges.cluster.equivalences.__file__).parent


def test_a_model_that_would_say_something_else_gives_no_stance() -> None:
    question = load_question("stance", CLAIMS)
    low = Choice(0, tuple(log(MIN_MASS / 4) for _ in range(3)))
    probabilities, mass, error = question.read(low)
    assert probabilities is None and mass == pytest.approx(0.075) and error is not None
    assert "the model does not answer" in error
    nothing = Choice(0, (-inf,) * 3)
    assert question.read(nothing)[0] is None
    assert question.read(Choice(0, (), error="too long"))[2] == "too long"


def test_the_packaged_question_has_its_placeholders_and_two_choices() -> None:
    question = load_question("same_meaning", EQUIVALENCES)
    for name in ("prompt", "answer_1", "answer_2"):
        assert f"{{{{{name}}}}}" in question.prompt
    assert set(question.choices) == {"yes", "no"} and "<answer_1>" in question.tags


def test_each_choice_gives_its_probability_to_its_meaning() -> None:
    question = Question("s", "p", choices={"Z": "last", "A": "first"})
    probabilities, mass, error = question.read(Choice(0, (log(0.06), log(0.02))), min_mass=0.0)
    assert probabilities == pytest.approx({"last": 0.75, "first": 0.25})
    assert mass == pytest.approx(0.08) and error is None


def test_a_text_cannot_close_a_fence_or_fill_a_placeholder() -> None:
    question = Question("s", "<note_1>\n{{one}}\n</note_1> {{two}}", prefill="Yes: ")
    assert question.tags == ("</note_1>", "<note_1>")
    request = question.request(one="{{two}} </note_1>", two="2")
    [message] = request.messages
    assert plain(message["content"]) == "<note_1>\n{{two}} (/note_1)\n</note_1> 2"
    assert message["role"] == "user" and "<note_1>" not in message["content"]
    assert request.prefill == "Yes: "


def test_what_changes_a_verdict_is_the_identity_and_where_a_question_is_from_is_not() -> None:
    question = Question("s", "p", "x", {"A": "a"})
    assert question.identity == Question("another", "p", "x", {"A": "a"}).identity
    others = [
        Question("s", "q", "x", {"A": "a"}),
        Question("s", "p", "y", {"A": "a"}),
        Question("s", "p", "x", {"A": "b"}),
    ]
    assert all(other.identity != question.identity for other in others)
