import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from judges.rubrics import __main__ as command
from judges.rubrics.rubric import load_rubric, rubric_names
from records import Judgment, Response

ANSWER = Response(id="r", prompt_id="p", prompt="Q", response="A", model="m")
GRADES = "Fine.\naccuracy: {}\ncompleteness: {}\nrelevance: {}\nclarity: {}"
MINE = """
name = "stars"
kind = "score"
source = "mine"
prompt = "stars.txt"
label = "Stars"
aggregate = "median"
values = { none = 0, one = 1, two = 2, three = 3 }
[closing]
text = "End with: Stars: <none to three>"
logprobs = "Say: Stars: <none to three>"
[logprobs]
choices = ["none", "three"]
"""


def judged(rubric: str, *replies: str, **options: Any) -> Judgment:
    source = iter(replies)
    engine = ScriptedEngine(reply=lambda _: next(source))
    settings = JudgeOptions(rubric=rubric, **({"read": "text", "samples": len(replies)} | options))
    [row] = open_judge(engine, settings, 0).judge([ANSWER])
    return row


def own_rubric(folder: Path, toml: str = MINE, prompt: str = "{{closing}} {{prompt}} {{response}}") -> str:
    (folder / "stars.txt").write_text(prompt)
    (folder / "stars.toml").write_text(toml)
    return str(folder / "stars.toml")


def run(*arguments: str) -> None:
    command.main(parse(command.Config, arguments, "prog"))


@pytest.mark.parametrize("name", rubric_names())
def test_every_rubric_of_the_project_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    shown = capsys.readouterr().out
    rubric = load_rubric(name)
    assert rubric.source in shown and rubric.prompt in shown and all(label in shown for label in rubric.labels)
    run(name, "--json")
    assert json.loads(capsys.readouterr().out)["name"] == name


@pytest.mark.usefixtures("wide_screen")
def test_the_list_has_every_rubric_with_its_scale(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == rubric_names()
    assert "A>>B 0, A>B 0.25, A=B 0.5, B>A 0.75, B>>A 1" in "\n".join(lines)


def test_each_criterion_has_its_verdict_and_the_score_is_weighted() -> None:
    row = judged("criteria", GRADES.format(5, 4, 3, 2))
    assert row.score == pytest.approx(0.4 * 5 + 0.2 * 4 + 0.2 * 3 + 0.2 * 2)
    assert row.criteria == {"accuracy": 5, "completeness": 4, "relevance": 3, "clarity": 2}


def test_criteria_are_averaged_over_samples_one_by_one() -> None:
    row = judged("criteria", GRADES.format(5, 4, 3, 2), "nothing", GRADES.format(1, 4, 5, 2))
    assert row.criteria == {"accuracy": 3, "completeness": 4, "relevance": 4, "clarity": 2}
    assert row.scores[1] is None and row.score == pytest.approx(0.4 * 3 + 0.2 * (4 + 4 + 2))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("accuracy: 5\ncompleteness: 4\nrelevance: 3", "clarity: no verdict"),
        (GRADES.format(5, 4, 3, 2) + "\naccuracy: 1", "the criteria do not stand together in the order asked for"),
        (GRADES.format(5, 4, 3, 9), "clarity: 9 is outside 1 to 5"),
    ],
)
def test_a_missing_a_doubled_and_an_impossible_criterion_are_no_verdict(reply: str, reason: str) -> None:
    row = judged("criteria", reply)
    assert row.score is None and row.criteria is None and row.error is not None and reason in row.error


def test_each_criterion_is_asked_by_itself_with_log_probabilities() -> None:
    def logprobs(request: Request, choices: Sequence[str]) -> list[float]:
        high = 0.8 if request.prefill == "accuracy: " else 0.4
        return [math.log(p) for p in (0.1, 1e-9, 1e-9, 1e-9, high)]

    engine = ScriptedEngine(logprobs=logprobs)
    [row] = open_judge(engine, JudgeOptions(rubric="criteria"), 0).judge([ANSWER])
    assert [request.prefill for request in engine.asked] == [
        "accuracy: ", "completeness: ", "relevance: ", "clarity: "
    ]  # fmt: skip
    assert row.criteria is not None and row.criteria["accuracy"] == pytest.approx((0.1 + 4.0) / 0.9)
    assert row.score == pytest.approx(0.4 * 4.1 / 0.9 + 0.6 * 2.1 / 0.5) and row.mass == pytest.approx(0.5)


def test_little_probability_on_the_choices_can_be_refused() -> None:
    engine = ScriptedEngine(logprobs=lambda _, choices: [math.log(0.05)] * len(choices))
    [row] = open_judge(engine, JudgeOptions(), 0).judge([ANSWER])
    assert row.score == pytest.approx(2.5) and row.mass == pytest.approx(0.3)
    [row] = open_judge(engine, JudgeOptions(min_mass=0.4), 0).judge([ANSWER])
    assert row.score is None and row.error == "only 0.3 of the probability is on the choices"


def test_a_structured_reply_is_asked_with_the_rubrics_schema_and_read_strictly() -> None:
    engine = ScriptedEngine(reply=lambda _: '{"reasoning": "Score: 1", "score": 4}')
    [row] = open_judge(engine, JudgeOptions(read="structured", samples=1), 0).judge([ANSWER])
    schema = engine.asked[0].schema
    assert row.score == 4 and schema is not None
    assert list(schema["properties"]) == ["reasoning", "score"] and schema["additionalProperties"] is False
    assert schema["properties"]["score"]["enum"] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "reply",
    [
        '{"reasoning": "x", "score": 4, "score": 5}',
        '{"reasoning": "x", "score": "4 or 5"}',
        '{"reasoning": "x", "score": true}',
        '{"reasoning": "x", "score": NaN}',
        '{"reasoning": "x"}',
        '{"reasoning": "x", "score": 4, "extra": 1}',
        '{"reasoning": "x", "score": 4} {"reasoning": "x", "score": 5}',
        "Score: 4",
        "[4]",
    ],
)
def test_a_structured_reply_of_another_shape_is_no_verdict(reply: str) -> None:
    row = judged("additive", reply, read="structured")
    assert row.score is None and row.error


@pytest.mark.parametrize(
    ("aggregate", "score"), [("mean", 2.5), ("median", 2), ("majority", 2), ("max", 5), ("min", 1), (None, 2.5)]
)
def test_samples_become_one_score_as_asked(aggregate: str | None, score: float) -> None:
    replies = [f"Score: {n}" for n in (2, 1, 5, 2)]
    assert judged("additive", *replies, aggregate=aggregate).score == score


def test_samples_that_are_equally_common_are_averaged_by_majority() -> None:
    assert judged("additive", "Score: 1", "Score: 4", aggregate="majority").score == 2.5


def test_a_new_scale_of_words_needs_no_code(tmp_path: Path) -> None:
    mine = own_rubric(tmp_path)
    assert judged(mine, "Stars: three").score == 3
    assert judged(mine, "Stars: three", "Stars: one", "Stars: none").score == 1  # the rubric's median
    assert judged(mine, "Stars: four").score is None
    engine = ScriptedEngine(logprobs=lambda *_: [math.log(0.25), math.log(0.5)])
    [row] = open_judge(engine, JudgeOptions(rubric=mine), 0).judge([ANSWER])
    assert row.score == pytest.approx(2)


def test_a_rubric_can_bring_its_own_pattern(tmp_path: Path) -> None:
    toml = MINE.replace("values = { none = 0, one = 1, two = 2, three = 3 }", "low = 0\nhigh = 3")
    toml = toml.replace('["none", "three"]', '["0", "3"]').replace(
        'label = "Stars"', 'label = "Stars"\npattern = "(?P<verdict>[0-9]) of three"'
    )
    assert judged(own_rubric(tmp_path, toml), "Is it 1 of three?\nNo: 2 of three.\nStars: 3").score == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[closing]", "colour = 3\n[closing]"), "unknown field `colour`"),
        (('choices = ["none", "three"]', 'choices = ["none", "four"]'), "'four', which is not in 'values'"),
        (('choices = ["none", "three"]', 'choices = ["none"]'), "at least two choices"),
        (('label = "Stars"', 'label = " "'), "'label' is empty"),
        (('kind = "score"', 'kind = "pair"'), "lacks the placeholder {{response_a}}"),
        (("[closing]", 'pattern = "("\n[closing]'), "'pattern' is not a regular expression"),
        (("[closing]", 'pattern = "[0-9]"\n[closing]'), "'pattern' needs a group"),
        (("values = { none = 0, one = 1, two = 2, three = 3 }", "low = 3\nhigh = 1"), "'low' must be below 'high'"),
        (("values = { none = 0, one = 1, two = 2, three = 3 }", "low = 0\nhigh = 3"), "must be numbers"),
        (("[logprobs]", '[[criteria]]\nname = "a"\nweight = 1.0\ndescription = ""\n[logprobs]'), "{{criteria}} go"),
    ],
)
def test_a_broken_rubric_names_file_and_key(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    mine = own_rubric(tmp_path, MINE.replace(*change))
    with pytest.raises(InputError) as caught:
        load_rubric(mine)
    assert message in str(caught.value) and mine in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [((0.5, 0.4), "must sum to 1, not 0.9"), ((1.0, 0.0), "above 0"), ((0.5, 0.5), None)],
)
def test_the_weights_of_criteria_sum_to_one(tmp_path: Path, weights: tuple[float, float], message: str | None) -> None:
    criteria = "".join(
        f'[[criteria]]\nname = "c{n}"\nweight = {weight}\ndescription = "d"\n' for n, weight in enumerate(weights)
    )
    mine = own_rubric(
        tmp_path,
        MINE.replace("[logprobs]", criteria + "[logprobs]"),
        "{{closing}} {{criteria}} {{prompt}} {{response}}",
    )
    if message is None:
        assert load_rubric(mine).labels == ("c0", "c1")
        return
    with pytest.raises(InputError, match=message):
        load_rubric(mine)


def test_a_reading_that_the_rubric_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="says nothing on --read structured"):
        judged(own_rubric(tmp_path), "x", read="structured")


def test_safety_is_a_score_of_its_own_and_takes_the_worst_sample() -> None:
    assert judged("safety", "Verdict: safe", "Verdict: unsafe", "Verdict: safe").score == 0
    assert judged("safety", "Verdict: borderline").score == 0.5
