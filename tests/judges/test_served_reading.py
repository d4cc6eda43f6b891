"""Verdicts that are read from the log-probabilities of a server's reply, in every kind of question."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.openai_engine import OpenAIEngine, open_openai
from judges.clustering.equivalences import same_meaning
from judges.judge import Judge, open_judge
from judges.library import response_of
from judges.options import JudgeOptions
from judges.pairwise import Contest, compare
from judges.question import load_question
from judges.retrieval import tools
from tests.openai_server import Server, completion, running

ANSWERS = [response_of("Q", f"answer {number}", None) for number in range(2)]
CONTEST = Contest("p", "Q", "left", "right", "x", "y")


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


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


def test_each_criterion_is_read_after_its_own_name(server: Server, engine: OpenAIEngine) -> None:
    lines = zip(("accuracy", "completeness", "relevance", "clarity"), (1, 2, 3, 4), strict=True)
    server.answer = says(*(text for name, grade in lines for text in (name, ":", f" {grade}", "\n")))
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
        (Path(tools.__file__).parent, "stance", ("Verdict", ":", " C"), ("The", " verdict", " for", " A")),
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
