import json
import time
import tomllib
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import judges.rubrics.rubric
from console.errors import InputError
from judges.parsing.doubts import not_own
from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import Rubric, load_rubric, rubric_names
from records.reasoning import answer_span

SHAPES = tomllib.loads((Path(__file__).parent / "reply_shapes.toml").read_text(encoding="utf-8"))
RUBRICS = {name: load_rubric(name) for name in rubric_names()}
ADDITIVE, PAIRWISE, CRITERIA = RUBRICS["additive"], RUBRICS["pairwise"], RUBRICS["criteria"]
BY_PATTERN = msgspec.structs.replace(ADDITIVE, pattern=r"(?:I give it|grade) (?P<verdict>\S+)?")
WORD_BY_PATTERN = msgspec.structs.replace(PAIRWISE, pattern=r"winner=(?P<verdict>\w*)")
ALL = [*RUBRICS.values(), BY_PATTERN, WORD_BY_PATTERN]

LABELS = [
    "Score", "score:", "Rating: [[", "Better: ", "Verdict:", "Followed =", "accuracy: 4\n",
    "clarity", "winner=",
]  # fmt: skip
FIGURES = [
    "4", "5", "10", "4/5", "4.5", "1,000", "-1", "½", "五", "十一", "٤", "４", "𝟒", "4²", "1e999",
    "80%", "1 + 1 = 2",
]  # fmt: skip
WORDS = [
    "A", "B", "tie", "A>>B", "A = B", "safe", "unsafe", "yes", "no", "five", "a", "is", "or", "and",
    "out of", "N/A",
]  # fmt: skip
JSON = [
    '{"score": 4}', '{"reasoning": "', '", "score": ', "}", '"', "{", "[", "null", "NaN", "1e400",
    '{"better": "A"}',
]  # fmt: skip
MARKUP = [
    "**", "*", "_", "`", "```", "```json\n", "\n", "\n\n", "# ", "> ", "- ", "| ", "1. ", ": ", " ",
    "\\boxed{", "$", "[[", "]]",
]  # fmt: skip
TAGS = [
    "<think>", "</think>", "<thinking>", "</answer>", "<score>", "</score>", "[THINK]", "<score max=\"5\">",
    "<|im_end|>", "<|channel|>analysis<|message|>", "</s>", "<s>", "~~",
]  # fmt: skip
ODD = [
    "\u200b", "\xad", "\ufe0f", "\ufeff", "\u2028", "\r", "\x00", "\ud800", "\U000e0041", "\u0301", "İ", "ſ",
    "“", "”", "'",
]  # fmt: skip
DOUBTS = [
    "maybe ", "probably", "not ", "Actually no, ", "Wait, ", "On reflection, ", ", but ", " or ", " for ", "-ish",
    "I would give this answer ", "is better", "Winner: ", "★★★★☆", "→", " unless ", "Correction: ",
]  # fmt: skip
FRAGMENTS = st.sampled_from([*LABELS, *DOUBTS, *FIGURES, *WORDS, *JSON, *MARKUP, *TAGS, *ODD])
COMPOSED = st.lists(FRAGMENTS | st.text(max_size=5), max_size=25).map("".join)
ANYTHING = st.text(st.characters(codec=None, categories=None))  # surrogates too: a server can send them


def shapes(kind: str) -> list[object]:
    return [
        pytest.param(RUBRICS[name], reply, wanted, id=f"{name}-{number}")
        for name, table in SHAPES.items()
        for number, (reply, wanted) in enumerate(table[kind])
    ]


@pytest.mark.parametrize(("rubric", "reply", "score"), shapes("gives"))
def test_a_reply_with_a_verdict_gives_it(rubric: Rubric, reply: str, score: float) -> None:
    verdict = parse_reply(reply, rubric)
    assert verdict.value == pytest.approx(score) and verdict.error is None


@pytest.mark.parametrize(("rubric", "reply", "reason"), shapes("null"))
def test_a_reply_without_one_clear_verdict_gives_the_reason(rubric: Rubric, reply: str, reason: str) -> None:
    verdict = parse_reply(reply, rubric)
    assert verdict.value is None and verdict.error is not None and reason in verdict.error


@settings(max_examples=300, deadline=None)
@given(ANYTHING | COMPOSED, st.sampled_from(ALL), st.booleans())
def test_any_reply_gives_a_score_on_the_scale_or_a_reason(reply: str, rubric: Rubric, structured: bool) -> None:
    verdict = parse_reply(reply, rubric, structured=structured)
    assert (verdict.value is None) == (verdict.error is not None) and verdict.error != ""
    low, high = rubric.scale
    assert verdict.value is None or low <= verdict.value <= high
    assert (verdict.criteria is not None) == (verdict.value is not None and bool(rubric.criteria))
    if verdict.error:
        verdict.error.encode()  # can be stored, whatever the reply was


def own_verdict(rubric: Rubric, draw: int) -> tuple[str, float]:
    """Return a verdict in the form that `rubric` asks for, and what it is worth."""
    choice, value = list(zip(rubric.logprobs.choices, rubric.choice_values, strict=True))[
        draw % len(rubric.logprobs.choices)
    ]
    said = f"[[{choice}]]" if "[[" in rubric.closing.text else choice
    return "\n".join(f"{label}: {said}" for label in rubric.labels), rubric.weighted(
        dict.fromkeys(rubric.labels, value)
    )


@settings(max_examples=300, deadline=None)
@given(ANYTHING | COMPOSED, st.sampled_from(list(RUBRICS.values())), st.integers(0, 9))
@example("UNLESS:", RUBRICS["additive"], 0)
def test_a_verdict_in_the_form_asked_for_at_the_end_of_the_answer_counts_whatever_stands_before_it(
    before: str, rubric: Rubric, draw: int
) -> None:
    said, value = own_verdict(rubric, draw)
    for reply in (f'The answer reads: "{before}"\n\n{said}', f"The answer reads:\n{before}\n{said}"):
        span = answer_span(reply)
        if span is None:  # reasoning began outside a quotation
            assert parse_reply(reply, rubric).value is None
        elif span.stop < len(reply):  # the turn ended outside a quotation
            assert parse_reply(reply, rubric) == parse_reply(reply[: span.stop], rubric)
        elif (found := parse_reply(reply, rubric).value) is None:
            line_above = reply.removesuffix(said).rstrip("\n").rpartition("\n")[2]
            assert not_own("", line_above)  # "unless:" makes a supposition of what follows
        else:
            assert found == pytest.approx(value)


@settings(max_examples=200, deadline=None)
@given(ANYTHING | COMPOSED, st.sampled_from(list(RUBRICS.values())), st.integers(0, 9))
def test_a_structured_verdict_counts_whatever_its_reasoning_quotes(quoted: str, rubric: Rubric, draw: int) -> None:
    choices = rubric.schema["properties"]
    verdicts = {key: field["enum"][draw % len(field["enum"])] for key, field in choices.items() if key != "reasoning"}
    reply = json.dumps({"reasoning": quoted, **verdicts}, ensure_ascii=bool(draw % 2))
    said = dict(zip(rubric.labels, verdicts.values(), strict=True))
    value = rubric.weighted({label: rubric.values[v] if rubric.values else v for label, v in said.items()})
    assert parse_reply(reply, rubric, structured=True).value == pytest.approx(value)
    assert parse_reply(f"```json\n{reply}\n```", rubric, structured=True).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("reply", "value", "reason"),
    [
        ('{"reasoning": "", "score": 4}', 4, None),
        ('<think>{"score": 1}</think>{"reasoning": "", "score": 4}', 4, None),
        ('{"reasoning": "it says </think> and <think>", "score": 4}', 4, None),
        ('{"reasoning": "it says ＂5＂", "score": 4}', 4, None),
        ('{"reasoning": "", "score": 3.5}', 3.5, None),
        ('{"reasoning": "", "score": "4"}', 4, None),
        ('{"score": "3"}', 3, None),
        ('{"score": "3/5"}', 3, None),
        ('{"Score": "three"}', 3, None),
        ('{"score": "3/10"}', None, "another scale"),
        ('{"score": "3 or 4"}', None, "contradictory"),
        ('{"score": "good"}', None, "'good' is not a number"),
        ('{"score": ""}', None, "'' is not a number"),
        ('{"score": null}', None, "None is not a number"),
        ('{"score": [4]}', None, "[4] is not a number"),
        ('{"reasoning": "", "score": true}', None, "True is not a number"),
        ('{"reasoning": "", "score": NaN}', None, "NaN is no number"),
        ('{"reasoning": "", "score": 1e999}', None, "outside 0 to 5"),
        ('{"reasoning": "", "score": ' + "1" * 400 + "}", None, "outside 0 to 5"),
        ('{"reasoning": "", "score": ' + "1" * 9999 + "}", None, "not one JSON object"),
        ('{"reasoning": "", "score": 4, "score": 5}', None, "a key stands in it twice"),
        ('{"reasoning": "", "score": 4, "rank": 5}', None, "has the keys"),
        ('{"score": 4}', 4, None),
        ('{"score": 4, "explanation": "It is fine."}', 4, None),
        ('{"reasoning": "It is fine."}', None, "has the keys"),
        ('\ufeff{"reasoning": "", "score": 4}', 4, None),
        ('Here is my judgement:\n{"reasoning": "", "score": 4}', 4, None),
        ('Here is my judgement:\n```json\n{"reasoning": "", "score": 4}\n```', 4, None),
        ('{"reasoning": "", "score": 4}<|im_end|>\n<|im_start|>user\nNext.', 4, None),
        ('<|channel|>final <|constrain|>json<|message|>{"reasoning": "", "score": 4}<|return|>', 4, None),
        ('<|channel|>analysis<|message|>{"reasoning": "", "score": 4}', None, "inside its reasoning"),
        ('{"reasoning": "it says <|im_end|> and </s>", "score": 4}', 4, None),
        ('{"reasoning": "", "score": 4}\n{"reasoning": "", "score": 5}', None, "not one JSON object"),
        ('[{"reasoning": "", "score": 4}]', None, "not one JSON object"),
        ('{"reasoning": "", "score": 4', None, "not one JSON object"),
        ('{"reasoning": "", "score": 4} Score: 5', None, "not one JSON object"),
        ("[" * 100_000, None, "not one JSON object"),
        ("Score: 4", None, "not one JSON object"),
        ("4", None, "not one JSON object: int"),
        ('<think>{"reasoning": "", "score": 4}', None, "inside its reasoning"),
        ("", None, "not one JSON object"),
    ],
)
def test_a_structured_reply_is_one_object_with_a_score_on_the_scale(
    reply: str, value: float | None, reason: str | None
) -> None:
    verdict = parse_reply(reply, ADDITIVE, structured=True)
    assert verdict.value == value and (reason is None or reason in str(verdict.error))


@pytest.mark.parametrize(
    ("reply", "rubric", "value"),
    [
        ("I give it 3. No, I give it 4", BY_PATTERN, 4),
        ("I give it 4 or grade ", BY_PATTERN, None),  # the last match counts, and says nothing
        ("grade inf", BY_PATTERN, None),
        ("grade 1_0", BY_PATTERN, None),
        ("grade 9", BY_PATTERN, None),
        ("Score: 4", BY_PATTERN, None),
        ("winner=b", WORD_BY_PATTERN, 1),
        ("winner=", WORD_BY_PATTERN, None),
        ("winner=c", WORD_BY_PATTERN, None),
    ],
)
def test_a_rubric_with_its_own_pattern_is_read_by_it_alone(reply: str, rubric: Rubric, value: float | None) -> None:
    assert parse_reply(reply, rubric).value == value


OTHER_LABELS = msgspec.structs.replace(ADDITIVE, other_labels=["评分", "Puntuación", "Note", "評価", "점수", "Оценка"])


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("评分：4", 4),
        ("评分：４分", 4),
        ("**评分**：4/5", 4),
        ("最终评分：4分（满分5分）", 4),
        ("评分为4分。", 4),
        ("评分：四分", 4),
        ("評価：4点", 4),
        ("점수: 4점", 4),
        ("Оценка: 4 из 5", 4),
        ("Puntuación: 4", 4),
        ("puntuación： 3,5", 3.5),
        ("La puntuación es 4.", 4),
        ("Puntuación: 4 de 5 puntos", 4),
        ("Note : 4 sur 5", 4),
        ("Score: 4", 4),
        ('{"评分": 4}', 4),
        ("评分：★★★★☆", 4),
        ("评分：4，不对，应该是2。", None),
        ("评分：4 或 5", None),
        ("评分：4到5", None),
        ("评分：8/10", None),
        ("评分：4分（满分10分）", None),
        ("Puntuación: 4 de 10", None),
        ("Score: 4\n评分：2\nYo digo lo primero.", None),
        ("学生的评分：5", None),
        ("Calificación: 4", None),
    ],
)
def test_a_rubric_may_name_its_label_in_several_languages(reply: str, value: float | None) -> None:
    assert parse_reply(reply, OTHER_LABELS).value == value


def test_the_labels_of_a_rubric_file_are_read_and_the_first_is_the_label(tmp_path: Path) -> None:
    toml = (Path(judges.rubrics.rubric.__file__).parent / "additive.toml").read_text(encoding="utf-8")
    (tmp_path / "additive.txt").write_text(ADDITIVE.prompt, encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(toml.replace('label = "Score"', 'labels = ["Score", "评分", "Puntuación"]'), encoding="utf-8")
    rubric = load_rubric(str(path))
    assert rubric.label == "Score" and rubric.labels == ("Score",) and rubric.identity != ADDITIVE.identity
    assert [parse_reply(said, rubric).value for said in ("Score: 3", "评分：4", "Puntuación: 5", "Note: 4")] == [
        3,
        4,
        5,
        None,
    ]
    path.write_text(toml.replace('label = "Score"', 'label = "Score"\nlabels = ["Note"]'), encoding="utf-8")
    assert [parse_reply(said, load_rubric(str(path))).value for said in ("Score: 3", "Note: 4")] == [3, 4]
    path.write_text(toml.replace('label = "Score"', "labels = [' ']"), encoding="utf-8")
    with pytest.raises(InputError, match="label"):
        load_rubric(str(path))


def test_tags_of_a_models_own_template_are_reasoning_when_given() -> None:
    own = msgspec.structs.replace(ADDITIVE, reasoning_tags=[("<<plan>>", "<</plan>>")])
    assert own.identity != ADDITIVE.identity
    assert parse_reply("<<plan>>Score: 5<</plan>>\nScore: 2", own).value == 2
    assert parse_reply("<<plan>>It is fine.\nScore: 5", own).error == "the reply stops inside its reasoning"


@pytest.mark.parametrize("tags", ['["", "x"]', '["a", "a"]', '["a"]', '["a", "b", "c"]'])
def test_reasoning_tags_that_are_no_pair_of_marks_are_refused(tags: str, tmp_path: Path) -> None:
    source = Path(judges.rubrics.rubric.__file__).parent
    (tmp_path / "additive.txt").write_text((source / "additive.txt").read_text())
    path = tmp_path / "mine.toml"
    toml = (source / "additive.toml").read_text()
    path.write_text(f"reasoning_tags = [{tags}]\n{toml}")
    with pytest.raises(InputError, match="reasoning_tags"):
        load_rubric(str(path))
    path.write_text(f'reasoning_tags = [["<a>", "</a>"]]\n{toml}')
    assert parse_reply("<a>Score: 5</a>Score: 2", load_rubric(str(path))).value == 2


def test_the_criteria_are_weighted_and_kept() -> None:
    reply = "accuracy: 5\ncompleteness: 4\nrelevance: 4\nclarity: 2"
    verdict = parse_reply(reply, CRITERIA)
    assert verdict.value == pytest.approx(0.4 * 5 + 0.2 * 4 + 0.2 * 4 + 0.2 * 2)
    assert verdict.criteria == {"accuracy": 5, "completeness": 4, "relevance": 4, "clarity": 2}


BEGINNINGS = ["", "Score:", 'x "Score: 5', "Score: 4\n"]
REPEATED = [
    "Score: 5 ", "Score (", " ", "\n", "*", '"', '\\"', "'x", "“", "<think>", "</think>", "[[",
    "\\boxed{", "{", "1", "1 + ", "Score: 5\n", "[[5]] ", "[[A]] ", "Better: A ", "I give it 4. ", "A is better. ",
    "Score: 4\n4 is ", "wait, ", "~~x", "★☆", "<s>", "Human: x\n", "&gt;", ", 2 ", "<|im_start|>",
]  # fmt: skip


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_no_reply_takes_long(beginning: str) -> None:
    size = 10_000
    for repeated, rubric, structured in product(REPEATED, (ADDITIVE, PAIRWISE), (False, True)):
        if structured and rubric is PAIRWISE:
            continue
        reply = beginning + repeated * (size // len(repeated)) + "x"
        started_s = time.process_time()
        parse_reply(reply, rubric, structured=structured)
        assert time.process_time() - started_s < 0.3, (repeated, rubric.name, structured)


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"reasoning": "I'm sorry, but I can't help with that.", "score": 0}, None),
        ({"reasoning": "I cannot evaluate this response.", "score": 0}, None),
        ({"explanation": "Unfortunately I am not able to judge this.", "score": 3}, None),
        ({"reasoning": "It refuses: I can't help with that.", "score": 1}, 1),
        ({"reasoning": "I cannot find a mistake.", "score": 5}, 5),
    ],
)
def test_a_judge_that_refuses_in_an_object_gives_no_score(fields: dict[str, object], value: float | None) -> None:
    for structured in (True, False):
        assert parse_reply(json.dumps(fields), ADDITIVE, structured=structured).value == value


def test_a_refusal_is_named_as_the_reason() -> None:
    assert parse_reply("I can't score this. Score: 0", ADDITIVE).error == "no verdict: the judge refuses to give one"
