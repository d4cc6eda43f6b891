import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def test_a_reference_that_was_not_given_is_not_counted() -> None:
    judge, engine = judge_by_length()
    with pytest.raises(InputError, match=r"^one of each is needed: 1 prompts, 2 answers$"):
        judge.score(["p"], ["r", "s"])
    with pytest.raises(InputError, match="1 prompts, 1 answers, 0 references"):
        judge.score(["p"], ["r"], [])
    assert not engine.asked


ASSISTANT = {"role": "assistant", "content": "xx"}
USER = {"role": "user", "content": "Q"}
WRONG = [
    ("abc", ["x"], None, "'prompts' must be a list, one for each prompt, found str"),
    (["Q"], "x", None, "'answers' must be a list"),
    (["Q"], b"x", None, "found bytes"),
    (["Q"], {"x": 1}, None, "found dict"),
    (["Q"], {"x"}, None, "found set"),
    (["Q"], None, None, "found NoneType"),
    (["Q"], 5, None, "found int"),
    (["Q"], ["x"], "r", "'references' must be a list"),
    ([None], ["x"], None, r"'prompts\[0\]' must be text, found NoneType"),
    (["Q", USER], ["x", "x"], None, r"'prompts\[1\]' must be text, found dict"),
    (["Q"], [5], None, r"'answers\[0\]' must be text, found int"),
    (["Q"], [None], None, r"'answers\[0\]' must be text, found NoneType"),
    (["Q"], [[USER, ASSISTANT]], None, r"'answers\[0\]' must be text or one assistant message, found 2 messages"),
    (["Q"], ["\ud83d"], None, r"'answers\[0\]' holds U\+D83D at character 0"),
    (["\ud83d"], ["x"], None, r"'prompts\[0\]' holds U\+D83D"),
    (["Q\0"], ["x"], None, r"'prompts\[0\]' holds U\+0000"),
    ([[]], ["x"], None, r"'prompts\[0\]' must be a list of messages"),
    ([["Q"]], ["x"], None, r"'prompts\[0\]' must be a list of messages"),
    ([[{"content": "Q"}]], ["x"], None, "'role' must be text"),
    ([[{"role": "user", "content": 5}]], ["x"], None, "'content' must be text, found int"),
    (["Q"], ["x"], [5], r"'references\[0\]' must be text, found int"),
]


@pytest.mark.parametrize(("prompts", "answers", "references", "said"), WRONG, ids=[one[-1] for one in WRONG])
def test_what_is_no_list_of_texts_is_refused_before_anything_is_asked(
    prompts: Any, answers: Any, references: Any, said: str
) -> None:
    judge, engine = judge_by_length()
    pairwise, other = judge_by_length("pairwise")
    with pytest.raises(InputError, match=said):
        judge.score(prompts, answers, references)
    for sides in ((answers, ["x"] * 2), (["x"] * 2, answers)):
        with pytest.raises(InputError):
            pairwise.compare(prompts, *sides, references)
    with pytest.raises(InputError, match=said):
        asyncio.run(judge.ascore(prompts, answers, references))
    assert not engine.asked and not other.asked


def test_whatever_gives_texts_in_an_order_is_a_list_of_them() -> None:
    judge, _ = judge_by_length()
    rows = judge.score((one for one in "QR"), (one for one in ("x", "xx")), ("r", None))
    assert [row.score for row in rows] == [1, 2]
    rows = judge.score([[USER], [{"role": "human", "content": "R"}]], [[ASSISTANT], "xxx"])
    assert [(row.score, row.response) for row in rows] == [(2, "xx"), (3, "xxx")] and rows[0].prompt == [USER]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"read": "json"}, "read = 'json': must be one of 'decisions', 'logprobs', 'structured', 'text'"),
        ({"read": None}, "read = None: must be one of"),
        ({"aggregate": "sum"}, "aggregate = 'sum': must be one of 'majority'"),
        ({"engine": "sglang"}, "engine = 'sglang': must be one of 'auto'"),
        ({"omit": ["top_k"]}, "must be one of 'seed'"),
        ({"samples": "3"}, "samples = '3': Expected `int`"),
        ({"samples": 2.5}, "samples = 2.5: Expected `int`"),
        ({"temperature": "hot"}, "temperature = 'hot': Expected `float`"),
        ({"rubric": 5}, "rubric = 5: Expected `str`"),
        ({"samples": 0}, "samples must be at least 1"),
    ],
)
def test_a_setting_that_the_flag_would_not_take_is_refused(
    settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judges.library.open_engine", lambda _: ScriptedEngine())
    with pytest.raises(InputError, match=said):
        Judge.open("mine", **settings)
    with pytest.raises(InputError, match="model = None"):
        Judge.open(None)  # type: ignore[arg-type]


def test_a_setting_may_be_a_path_or_a_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = []
    monkeypatch.setattr("judges.library.open_engine", lambda options: found.append(options) or ScriptedEngine())
    source = Path(judges.__file__).parent / "rubrics"
    for name in ("additive.toml", "additive.txt"):
        (tmp_path / name).write_text((source / name).read_text())
    rubric = tmp_path / "additive.toml"
    judge = Judge.open("mine", rubric=rubric, temperature=1, omit=["top_p"], chat_template_kwargs={"think": False})
    assert judge.rubric.name == "additive" and found[0].omit == ("top_p",)
    assert found[0].chat_template_kwargs == {"think": False}


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
