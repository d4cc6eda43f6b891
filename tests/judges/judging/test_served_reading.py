"""Verdicts that are read from the log-probabilities of a server's reply, in every kind of question."""

import math
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engines.protocol import Choice
from engines.scripted import ScriptedEngine
from engines.served.choices.reading import NoReading, read_choices
from engines.served.openai_engine import Asked, OpenAIEngine, open_openai
from engines.served.replies.chat_reply import Alternative, Logprobs, Message, Reply, Token
from judges.cluster.equivalences import same_meaning
from judges.judging.judge import Judge, open_judge
from judges.judging.pairwise import Contest, compare, first_request
from judges.judging.question import load_question
from judges.library import response_of
from judges.options import JudgeOptions
from judges.parsing.verdict import How, Sample, score_of
from judges.rubrics.rubric import Rubric, load_rubric
from judges.tools import choice as tools
from tests.conftest import ROOT
from tests.openai_server import Server, completion

ANSWERS = [response_of("Q", f"answer {number}", None) for number in range(2)]
CONTEST = Contest("p", "Q", "left", "right", "x", "y")


@pytest.fixture
def engine(server: Server) -> OpenAIEngine:
    return open_openai("m", server.url, "NO_KEY", concurrency=2)


def says(*texts: str, finish: str = "stop") -> Any:
    """A server's reply in these tokens, each nearly certain."""
    likely = math.log(0.99)
    tokens = [
        {"token": text, "logprob": likely, "top_logprobs": [{"token": text, "logprob": likely}]} for text in texts
    ]
    return lambda _: completion("".join(texts), finish, logprobs=tokens)


def judge_of(engine: OpenAIEngine, rubric: str) -> Judge:
    return open_judge(engine, JudgeOptions(rubric=rubric), 0)


@pytest.mark.parametrize(
    ("texts", "score"),
    [
        (("<think>", "4", " or", "5", "</think>", "Score", ":", " 2"), 2.0),
        (("Score", ":", " 2"), 2.0),
        (("2",), 2.0),
        (("Score", ":", " 2", "/", "5"), 2.0),
        (("Score", ":", " 2", "/", "10"), None),
        (("The", " answer", " has", " 2", " faults"), None),
        (("<think>", "4", " or", "5"), None),
    ],
)
def test_a_score_is_read_after_its_label(
    server: Server, engine: OpenAIEngine, texts: tuple[str, ...], score: float | None
) -> None:
    server.answer = says(*texts)
    rows = list(judge_of(engine, "additive").judge(ANSWERS))
    assert [row.score for row in rows] == [score, score]
    assert all((row.error is None) == (score is not None) for row in rows)


@pytest.mark.parametrize(
    ("texts", "preference"),
    [
        (("Better", ":", " A"), 0.5),  # the first one in both orders
        (("A", " better", " answer", " would"), None),
        (("<think>", "A", " is", " short"), None),
    ],
)
def test_a_comparison_is_read_after_its_label(
    server: Server, engine: OpenAIEngine, texts: tuple[str, ...], preference: float | None
) -> None:
    server.answer = says(*texts)
    [row] = compare(judge_of(engine, "pairwise"), [CONTEST], ())
    assert row.preference_b == preference
    assert row.flipped is (None if preference is None else True)


def test_any_of_a_rubrics_labels_stands_before_the_choice(server: Server, engine: OpenAIEngine, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("{{closing}} {{prompt}} {{response}}")
    (tmp_path / "own.toml").write_text(
        'name = "own"\nkind = "score"\nsource = "own"\nprompt = "own.txt"\nlabels = ["Score", "评分", "Puntuación"]\n'
        'low = 1\nhigh = 5\n[closing]\nlogprobs = "Score:"\n[logprobs]\nchoices = ["1", "2", "3", "4", "5"]\n'
    )
    for label in ("Score", "评分", "Puntuación"):
        server.answer = says(label, ":", " 2")
        [row] = judge_of(engine, str(tmp_path / "own.toml")).judge(ANSWERS[:1])
        assert row.score == 2


def test_each_criterion_is_read_after_its_own_name(server: Server, engine: OpenAIEngine) -> None:
    lines = list(zip(("accuracy", "completeness", "relevance", "clarity"), (1, 2, 3, 4), strict=True))
    server.answer = says(*(text for name, grade in lines for text in (name, ":", f" {grade}", "\n")))
    [row] = judge_of(engine, "criteria").judge(ANSWERS[:1])
    assert row.criteria == pytest.approx({"accuracy": 1, "completeness": 2, "relevance": 3, "clarity": 4})
    server.answer = says(*(text for name, grade in lines for text in (name, ":", f" {grade}", ", ")))
    [row] = judge_of(engine, "criteria").judge(ANSWERS[:1])
    assert row.criteria == pytest.approx({"accuracy": 1, "completeness": 2, "relevance": 3, "clarity": 4})
    server.answer = says("4")
    [row] = judge_of(engine, "criteria").judge(ANSWERS[:1])
    assert row.score is None and "names no choice" in str(row.error)


def test_a_reply_that_was_cut_off_within_its_number_has_no_score(server: Server, engine: OpenAIEngine) -> None:
    for finish in ("length", "max_tokens", "content_filter"):
        server.answer = says("Rating", ":", " 1", finish=finish)
        [row] = judge_of(engine, "single_10").judge(ANSWERS[:1])
        assert row.score is None and finish in str(row.error)


@pytest.mark.parametrize("logprob", [3.0, 800.0])
def test_a_log_probability_above_zero_is_a_broken_reply(server: Server, engine: OpenAIEngine, logprob: float) -> None:
    token = {"token": "4", "logprob": logprob, "top_logprobs": [{"token": "4", "logprob": logprob}]}
    server.answer = lambda _: completion("4", logprobs=[token])
    [row] = judge_of(engine, "additive").judge(ANSWERS[:1])
    assert row.score is None and row.mass is None and "broken reply" in str(row.error)


@pytest.mark.parametrize(
    ("folder", "name", "line", "other"),
    [
        (
            Path(same_meaning.__file__).parent,
            "same_meaning",
            ("Same", " meaning", ":", " Yes"),
            ("Yes", " they do"),
        ),
        (Path(tools.__file__).parent, "tool", ("Tool", ":", " B"), ("A", " tool", " that", " fits")),
        (Path(tools.__file__).parent / "claims", "stance", ("Verdict", ":", " C"), ("The", " verdict", " for", " A")),
    ],
)
def test_every_question_is_read_after_its_label(
    server: Server, engine: OpenAIEngine, folder: Path, name: str, line: tuple[str, ...], other: tuple[str, ...]
) -> None:
    question = load_question(name, folder)
    request = question.request(prompt="Q", answer_1="a", answer_2="b", passage="p", claim="c", response="r")
    for texts, is_read in ((line, True), ((line[-1],), True), (other, False)):
        server.answer = says("<think>", "A or B, yes or no", "</think>", *texts)
        [choice] = engine.choose([request], list(question.choices))
        assert (choice.error is None) is is_read
        probabilities, _, _ = question.read(choice)
        assert not is_read or (probabilities is not None and max(probabilities.values()) == 1.0)


FILES = sorted((ROOT / "tests/judges/parsing").glob("reply_*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_reply_has_a_choice_that_a_reader_of_its_text_does_not_take(path: Path) -> None:
    tables = tables_of(tomllib.loads(path.read_text(encoding="utf-8")))
    n_read = sum(n_read_of(rubric, shapes) for rubric, shapes in tables if not rubric.criteria)
    assert n_read >= 40


def tables_of(file: dict[str, Any]) -> Iterator[tuple[Rubric, list[list[Any]]]]:
    """Yield each rubric of a file of replies with `[reply, value]`, None where there is no verdict."""
    for one in file.pop("set", []):
        rubric = msgspec.structs.replace(load_rubric(one["rubric"]), other_labels=one.get("labels", []))
        if not one.get("structured"):
            yield rubric, [[text, None if value == "none" else value] for value, text, *_ in one["cases"]]
    for name, table in file.items():
        yield load_rubric(name), table["gives"] + [[shape[0], None] for shape in table.get("null", [])]


def n_read_of(rubric: Rubric, shapes: list[list[Any]]) -> int:
    """Return how many replies name a choice; each must be the one that a person reads."""
    judge = Judge(ScriptedEngine(), rubric)
    request = Asked.of(judge.request(ANSWERS[0]) if rubric.kind == "score" else first_request(judge, CONTEST))
    n_read = 0
    for text, value in shapes:
        parts = re.findall(r"\s?\w+|\s?[^\w\s]|\s+", text)
        tokens = [Token(part, -0.01, [Alternative(part, -0.01)]) for part in parts]
        reply = Reply(Message(text), "stop", Logprobs(tokens))
        found = None
        with suppress(NoReading):
            found = read_choices(reply, rubric.logprobs.choices, request.labels, agrees=request.agrees)
        if found is not None:
            n_read += 1
            assert rubric.choice_values[found.index(max(found))] == value, text
    return n_read


@pytest.mark.parametrize(
    "texts",
    [
        ("The answer just says ", '"', "Score", ":", " 5", '"', "."),
        ("> ", "Score", ":", " 5"),
        ("Score", ":", " 4", ".", " Actually", " no", ",", " 2", "."),
        ("Score", ":", " 2", "<|im_end|>", "\n", "<|im_start|>", "assistant", "\n", "Score", ":", " 5"),
    ],
)
def test_a_choice_that_is_quoted_or_taken_back_is_none(
    server: Server, engine: OpenAIEngine, texts: tuple[str, ...]
) -> None:
    server.answer = says(*texts)
    [row] = judge_of(engine, "additive").judge(ANSWERS[:1])
    assert row.score in (None, 2.0)


@pytest.mark.parametrize("logprob", [3.0, 800.0])
def test_stored_numbers_that_are_no_log_probabilities_are_no_distribution(logprob: float) -> None:
    how = How(load_rubric("additive"), "logprobs", "mean")
    found = score_of([Sample(f'{{"4": {logprob}}}')], how)
    assert found.value is None and "log-probability is above 0" in str(found.error)
    question = load_question("tool", Path(tools.__file__).parent)
    assert question.read(Choice(0, (logprob, -1.0, -1.0)))[0] is None


def test_empty_replies_are_said_to_be_empty_not_to_lack_log_probabilities(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion("", logprobs=[])
    rows = list(judge_of(engine, "additive").judge([response_of("Q", str(number), None) for number in range(9)]))
    assert {row.error for row in rows} == {"the reply is empty"}
    server.answer = lambda _: completion(None, "length", reasoning_content="Hm")
    [row] = judge_of(engine, "additive").judge(ANSWERS[:1])
    assert row.score is None and "--thinking-tokens" in str(row.error)
