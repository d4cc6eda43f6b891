import asyncio
import subprocess
import sys

import pytest

import judges
from console.errors import InputError
from engines.scripted import ScriptedEngine
from judges import Judge, Rubric, load_rubric
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from tests.fences import plain


def judge_by_length(rubric: str = "additive") -> tuple[Judge, ScriptedEngine]:
    """A judge whose score is the number of x in the answer, and who prefers the answer with more of them."""

    def reply(request: object) -> str:
        content = plain(request.messages[0]["content"])  # type: ignore[attr-defined]
        if "<answer_a>" in content:
            a, b = (content.rsplit(f"<answer_{s}>\n", 1)[1].split("\n<")[0].count("x") for s in "ab")
            return "Better: tie" if a == b else f"Better: {'A' if a > b else 'B'}"
        return f"Score: {content.rsplit('<answer>', 1)[1].count('x')}"

    engine = ScriptedEngine(reply=reply)
    return Judge(open_judge(engine, JudgeOptions(rubric=rubric, read="text", samples=1), 0)), engine


def test_a_judge_scores_plain_texts_in_order_and_equal_ones_once() -> None:
    judge, engine = judge_by_length()
    rows = judge.score(["Q", "Q", "R", "Q"], ["xx", "xxx", "x", "xx"])
    assert [row.score for row in rows] == [2, 3, 1, 2] and len(engine.asked) == 3


def test_an_answer_without_a_verdict_keeps_its_place() -> None:
    judge, _ = judge_by_length()
    rows = judge.score(["Q", "Q", "Q"], ["x", "", "x" * 9])
    assert [row.score for row in rows] == [1, None, None]
    assert [row.error for row in rows] == [None, "the response is empty", "9 is outside 0 to 5"]


def test_a_judge_compares_plain_texts_in_both_orders() -> None:
    judge, engine = judge_by_length("pairwise")
    rows = judge.compare(["Q", "Q"], ["xx", "x"], ["x", "x"])
    assert [row.winner for row in rows] == ["a", "tie"] and len(engine.asked) == 4


def test_the_asynchronous_calls_give_the_same() -> None:
    judge, _ = judge_by_length()
    pairwise, _ = judge_by_length("pairwise")

    async def both() -> tuple[object, ...]:
        return tuple(await asyncio.gather(judge.ascore(["Q"], ["xx"]), pairwise.acompare(["Q"], ["xx"], ["x"])))

    assert asyncio.run(both()) == (judge.score(["Q"], ["xx"]), pairwise.compare(["Q"], ["xx"], ["x"]))


def test_the_reference_reaches_the_judge() -> None:
    judge, engine = judge_by_length("pairwise_reference")
    [row] = judge.compare(["Q"], ["xx"], ["x"], ["the right one"])
    assert row.winner == "a" and "the right one" in engine.asked[0].messages[0]["content"]


def test_lists_of_different_lengths_are_refused() -> None:
    judge, _ = judge_by_length()
    with pytest.raises(InputError, match="2 prompts, 1 answers"):
        judge.score(["Q", "R"], ["x"])


def test_a_judge_opens_by_the_names_of_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr("judges.library.open_engine", lambda options: found.append(options) or ScriptedEngine())
    judge = Judge.open("mine", rubric="single_10", read="text", samples=5, base_url="http://a/v1", concurrency=3)
    assert (judge.rubric.name, judge.judge.read, judge.judge.samples) == ("single_10", "text", 5)
    assert (found[0].model, found[0].base_url, found[0].concurrency) == ("mine", "http://a/v1", 3)
    with pytest.raises(InputError, match="unknown setting 'sample'"):
        Judge.open("mine", sample=5)


def test_the_package_names_what_a_program_needs_and_loads_it_on_use() -> None:
    assert isinstance(load_rubric("additive"), Rubric)
    with pytest.raises(AttributeError):
        judges.Jury  # noqa: B018
    code = "import sys, judges; sys.exit('judges.judging.judge' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
