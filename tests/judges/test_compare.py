import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.scripted import ScriptedEngine
from judges.compare import __main__ as compare
from records import Comparison, read_rows
from tests.fences import plain
from tests.judges.opened import patch_open_engine


def shown(request: Any) -> tuple[str, str]:
    content = plain(request.messages[0]["content"])
    return tuple(content.rsplit(f"<answer_{side}>\n", 1)[1].split("\n<")[0] for side in "ab")  # type: ignore[return-value]


def longer(request: Any) -> str:
    a, b = shown(request)
    return "Better: tie" if len(a) == len(b) else f"Better: {'A' if len(a) > len(b) else 'B'}"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    found = ScriptedEngine(reply=longer)
    patch_open_engine(monkeypatch, lambda options: found)
    monkeypatch.chdir(tmp_path)
    write("a.jsonl", *({"prompt": f"Q{n}", "response": "x" * (n + 1), "model": "long"} for n in range(4)))
    write("b.jsonl", *({"prompt": f"Q{n}", "response": "xx", "model": "two"} for n in reversed(range(5))))
    return found


def write(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str) -> list[Comparison]:
    compare.main(parse(compare.Config, [*arguments, "--read", "text", "--out", "c.jsonl"], "prog"))
    return list(read_rows(Path("c.jsonl"), Comparison))


def test_two_files_are_joined_by_their_prompts(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run("a.jsonl", "b.jsonl", "--json")
    assert [row.winner for row in rows] == ["b", "tie", "a", "a"] and len(engine.asked) == 8
    [line] = json.loads(capsys.readouterr().out)["pairs"]
    assert (line["a"], line["b"], line["a wins"], line["ties"], line["b wins"]) == ("long", "two", 2, 1, 1)


def test_an_answer_without_a_partner_is_named(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    run("a.jsonl", "b.jsonl")
    assert "left out: 0 of a.jsonl, 1 of b.jsonl" in capsys.readouterr().err


def test_answers_are_joined_by_their_messages_and_not_by_what_these_look_like(engine: ScriptedEngine) -> None:
    about = {"instruction": "Q", "context": "C"}
    write("s.jsonl", {"system": "S", "prompt": "Q", "response": "x"}, {**about, "output": "y"})
    write("t.jsonl", {**about, "output": "z"}, {"prompt": "system: S\n\nuser: Q", "output": "w"})
    assert [(row.response_a, row.response_b) for row in run("s.jsonl", "t.jsonl")] == [("y", "z")]


def test_a_file_of_pairs_is_enough(engine: ScriptedEngine) -> None:
    write("pairs.jsonl", {"instruction": "Q", "output_1": "x", "output_2": "yyy"})
    assert [row.winner for row in run("pairs.jsonl")] == ["b"]


def test_one_order_is_drawn_from_the_seed_and_recorded(engine: ScriptedEngine) -> None:
    rows = run("a.jsonl", "b.jsonl", "--orders", "one")
    assert len(engine.asked) == 4 and {row.orders for row in rows} == {"ab", "ba"}
    assert [row.winner for row in rows] == ["b", "tie", "a", "a"] and all(row.flipped is None for row in rows)
    for row, request in zip(rows, engine.asked, strict=True):
        expected = (row.response_a, row.response_b) if row.orders == "ab" else (row.response_b, row.response_a)
        assert shown(request) == expected
    asked = list(engine.asked)
    Path("c.jsonl").unlink()
    run("a.jsonl", "b.jsonl", "--orders", "one")
    assert engine.asked[len(asked) :] == asked


def test_five_levels_say_how_much_better(engine: ScriptedEngine) -> None:
    engine.reply = lambda request: f"Verdict: {'A>>B' if len(shown(request)[0]) > len(shown(request)[1]) else 'B>A'}"
    [row] = run("a.jsonl", "b.jsonl", "--rubric", "pairwise_5", "--limit", "1")
    assert row.winner == "b" and row.preference_b == pytest.approx((0.75 + 1) / 2) and row.flipped is False


def test_a_meta_judge_compares_the_replies_about_one_answer(engine: ScriptedEngine, tmp_path: Path) -> None:
    from judges.judging.judge import open_judge
    from judges.options import JudgeOptions
    from records import Response, Store
    from records.rows import Judgment

    replies = iter(["short. Score: 4", "a long reason. Score: 2", "short. Score: 4"])
    judge = open_judge(ScriptedEngine(reply=lambda _: next(replies)), JudgeOptions(read="text"), 0)
    with Store(tmp_path / "j.jsonl", Judgment) as store:
        for row in judge.judge([Response(id="r", prompt_id="p", prompt="Q", response="the answer", model="m")]):
            store.append(row)

    def reply(request: Any) -> str:
        content = plain(request.messages[0]["content"])
        assert "<answer>\nthe answer\n</answer>" in plain(content)
        return "Better: B" if content.index("a long reason") > content.index("short.") else "Better: A"

    engine.reply = reply
    [row] = run("j.jsonl", "--rubric", "meta_judge")
    assert (row.judged, row.response_a, row.winner) == ("the answer", "short. Score: 4", "b")


def test_a_missing_reference_is_no_verdict_and_no_call(engine: ScriptedEngine) -> None:
    with pytest.raises(JudgeError, match="shows a reference, and the row has none"):
        run("a.jsonl", "b.jsonl", "--rubric", "pairwise_reference")
    assert engine.asked == []


def test_a_spent_budget_keeps_what_was_compared(engine: ScriptedEngine) -> None:
    write("a.jsonl", *({"prompt": f"Q{n}", "response": "x", "model": "a"} for n in range(40)))
    write("b.jsonl", *({"prompt": f"Q{n}", "response": "yy", "model": "b"} for n in range(40)))
    with pytest.raises(JudgeError, match="stopped at the budget: 10 of 40"):
        run("a.jsonl", "b.jsonl", "--max-tokens-total", "40")
    assert len(list(read_rows(Path("c.jsonl"), Comparison))) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to compare"),
        (["a.jsonl"], "one answer, and two are needed|no usable|nothing to compare"),
        (["a.jsonl", "b.jsonl", "--rubric", "additive"], "scores one answer"),
        (["a.jsonl", "b.jsonl", "--limit", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(engine: ScriptedEngine, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(*arguments)
