"""Arena-hard-auto's files, old and new, and bad input, which is named before anything is asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from evals.arena_hard.files.answers import read_answers
from evals.arena_hard.files.judgments import read_judgments
from evals.arena_hard.files.questions import Question, read_questions
from records.files import BadRows
from tests.evals.arena_hard.conftest import Arena

STRICT, QUIET = BadRows(strict=True), BadRows(quiet=True)


def test_the_first_files_of_v01_are_read(arena: Arena) -> None:
    question = {"question_id": "q1", "cluster": "c", "turns": [{"content": "Hello?"}]}
    assert read_questions(arena.write("q.jsonl", [question]), "v0.1", STRICT) == [
        Question("q1", "arena-hard-v0.1", "Hello?")
    ]
    choices = [{"index": 0, "turns": [{"content": "Hi.", "token_len": 2}]}]
    answers = read_answers(arena.write("a.jsonl", [{"question_id": "q1", "model_id": "m", "choices": choices}]), STRICT)
    assert answers.model == "m" and answers.by_uid["q1"].text == "Hi."
    games = [{"user_prompt": "...", "judgment": "[[A>B]]", "score": "A>B"}] * 2
    row = {"question_id": "q1", "model": "m", "judge": "j", "games": games}
    [judged] = read_judgments([arena.write("j.jsonl", [row])], STRICT)
    assert (judged.uid, judged.baseline, judged.is_scored) == ("q1", "gpt-4-0314", True)


def test_the_real_questions_of_v01_are_read(data: Path) -> None:
    questions = read_questions(data / "arena-hard" / "question_v0.1.jsonl.gz", "v0.1", STRICT)
    assert len(questions) == 500 and {question.category for question in questions} == {"arena-hard-v0.1"}


def test_reasoning_is_no_part_of_an_answer(arena: Arena) -> None:
    path = arena.write("a.jsonl", arena.answers("m", text="<think>Hm.</think>\n\nYes."))
    assert read_answers(path, STRICT).by_uid["h0"].text == "Yes."


def judged_row(uid: str, *labels: Any, **more: Any) -> dict[str, Any]:
    games = [None if label == "null" else {"score": label, "judgment": {"answer": ""}} for label in labels]
    names = {"uid": uid, "category": "hard_prompt", "judge": "j", "model": "m", "baseline": "o3-mini-2025-01-31"}
    return names | {"games": games} | more


def test_a_row_that_was_asked_again_replaces_its_null(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [judged_row("1", "null", "A>B"), judged_row("1", "A=B", "A>B"), judged_row("2", "A>B", "[[A]]")]
    first, second = read_judgments([arena.write("m.jsonl", rows)], STRICT)
    assert first.is_scored and not second.is_scored
    assert second.games[1].reason == "'[[A]]' is none of A>>B, A>B, A=B, B>A, B>>A"
    assert "1 repeat of another row, not counted" in capsys.readouterr().err


def test_rows_that_contradict_each_other_have_no_verdict(arena: Arena) -> None:
    rows = [judged_row("1", "A=B", "A>B"), judged_row("1", "A=B", "B>A"), judged_row("1", "A=B", "A>B")]
    [judged] = read_judgments([arena.write("m.jsonl", rows)], STRICT)
    assert not judged.is_scored and judged.games[0].reason == "several rows with different verdicts"


ODD = [
    "1e400",
    "NaN",
    '"a\\u0000b"',
    '"\\ud800"',
    '""',
    "null",
    "[]",
    "{}",
    "true",
    "[null]",
    "[{}]",
    "-1",
    '"\\u001b[2J"',
]
ROWS: list[tuple[Callable[[Path], object], dict[str, Any]]] = [
    (lambda path: read_questions(path, "v2.0", QUIET), {"uid": "1", "category": "math", "prompt": "Q"}),
    (lambda path: read_questions(path, "v2.0", QUIET), {"uid": "1", "category": "math", "turns": ["Q"]}),
    (
        lambda path: read_answers(path, QUIET),
        {"uid": "1", "model": "m", "messages": [{"role": "assistant", "content": "A"}], "metadata": {"token_len": 1}},
    ),
    (lambda path: read_answers(path, QUIET), {"uid": "1", "model": "m", "choices": [{"turns": ["A"]}]}),
    (lambda path: read_judgments([path], QUIET), judged_row("1", "A>B", "A>B")),
]


@pytest.mark.parametrize(("read", "row"), ROWS, ids=range(len(ROWS)))
def test_a_field_with_anything_in_it_is_read_or_one_line_of_error(
    arena: Arena, read: Callable[[Path], object], row: dict[str, Any]
) -> None:
    texts = [json.dumps(row | {name: "ODD"}).replace('"ODD"', odd) for name in row for odd in ODD]
    nested = json.dumps(row).replace('"A"', '"ODD"').replace('"A>B"', '"ODD"').replace(": 1}", ': "ODD"}')
    for text in [*texts, *(nested.replace('"ODD"', odd) for odd in ODD)]:
        path = arena.folder / "rows.jsonl"
        path.write_text(f"{json.dumps(row | {'uid': 'other'})}\n{text}\n", encoding="utf-8")
        try:
            assert read(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_two_judges_count_together_if_both_are_named(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    places = [
        arena.write(f"{judge}/m.jsonl", [judged_row("1", "A>B", label, judge=judge)])
        for judge, label in (("j", "A>B"), ("k", "B>A"))
    ]
    assert [judged.judge for judged in read_judgments(places, STRICT)] == ["j", "k"]
    assert "the verdicts of 2 judges count together: j, k" in capsys.readouterr().err


BAD_JUDGMENTS = [
    ({"two.jsonl": [judged_row("1", "A>B", "A>B"), judged_row("2", "A>B", "A>B", judge="k")]}, "2 judges"),
    ({"x.jsonl": [judged_row("1", "A>B", "A>B"), judged_row("2", "A=B", "A>B", baseline="b")]}, "2 baselines of hard"),
    ({"a.jsonl": [judged_row("1", "A>B", "A>B")], "b.jsonl": [judged_row("1", "A>B", "A>B")]}, "two files have judgm"),
    ({"one.jsonl": [judged_row("1", "A>B")]}, "one.jsonl: no usable row"),
    ({"a.jsonl": [judged_row("1", "A>B", "A>B", category="mine", baseline="")]}, "a.jsonl: no usable row"),
    ({"a.jsonl": [{"uid": "1", "games": 3}]}, "a.jsonl: no usable row"),
    ({"judge/a.jsonl": [judged_row("1", "A>B", "A>B")]}, "in this folder; did you mean .*judged/judge"),
]


@pytest.mark.parametrize(("files", "message"), BAD_JUDGMENTS, ids=[message[:20] for _, message in BAD_JUDGMENTS])
def test_judgments_that_are_no_one_measurement_are_refused(
    arena: Arena, files: dict[str, list[dict[str, Any]]], message: str
) -> None:
    for name, rows in files.items():
        arena.write(f"judged/{name}", rows)
    with pytest.raises(InputError, match=message):
        arena.run("--judgments", str(arena.folder / "judged"))


def changed(rows: list[dict[str, Any]], answer: Any) -> list[dict[str, Any]]:
    rows[0]["messages"][-1]["content"] = answer
    return rows


def test_a_baseline_that_lacks_answers_is_named_with_the_questions(arena: Arena) -> None:
    arena.write("data/model_answer/o3-mini-2025-01-31.jsonl", arena.answers("o3-mini-2025-01-31", "hard_prompt")[1:2])
    with pytest.raises(InputError, match="has no answer to 2 of 3 questions: h0, h2"):
        arena.run()
    assert arena.n_asked() == (0, 0)


@pytest.mark.parametrize("empty", [None, {"answer": None}, {"answer": ""}, " "])
def test_an_empty_or_null_answer_of_a_baseline_is_named(arena: Arena, empty: Any) -> None:
    rows = changed(arena.answers("o3-mini-2025-01-31", "hard_prompt"), empty)
    arena.write("data/model_answer/o3-mini-2025-01-31.jsonl", rows)
    with pytest.raises(InputError, match="o3-mini-2025-01-31 has 1 empty or null answers: h0"):
        arena.run()
    assert arena.n_asked() == (0, 0)


def test_bad_input_is_named_before_anything_is_asked(arena: Arena) -> None:
    arena.write("two.jsonl", [*arena.answers("x")[:1], *arena.answers("y")[1:]])
    arena.write("again.jsonl", [*arena.answers("x"), *changed(arena.answers("x")[:1], "another")])
    arena.write("moved.jsonl", [row | {"uid": "h0"} for row in arena.answers("x")[1:2]])
    arena.write("none.jsonl", changed(arena.answers("x")[:1], ""))
    arena.write("base.jsonl", arena.answers("mine"))
    arena.write("q2.jsonl", [*arena.questions, arena.questions[0] | {"prompt": "another"}])
    arena.write("q3.jsonl", [arena.questions[0] | {"category": "poems"}])
    arena.write("turns.jsonl", [{"uid": "1", "turns": ["a", "b"]}])
    bad = [
        (["--answers", "two.jsonl"], r"two.jsonl: answers of 2 models \(x, y\)"),
        (["--answers", "again.jsonl"], "again.jsonl:6: a second answer to h0, which differs from the first"),
        (["--answers", "moved.jsonl"], "the answer to h0 is to another prompt than the question's"),
        (["--answers", "none.jsonl"], "none.jsonl: no answer to any of the 5 questions"),
        (["--answers", "two.jsonl", "--answers", "none.jsonl"], "--answers names 2 files"),
        (["--baseline", "base.jsonl"], "mine is the baseline of hard_prompt"),
        (["--baseline", "base.jsonl", "--baseline", "two.jsonl"], "--baseline names two files"),
        (["--baseline", "nope.jsonl"], "nope.jsonl: no such file"),
        (["--questions", "q2.jsonl"], "q2.jsonl:6: the id h0 stands for another prompt above"),
        (
            ["--questions", "q3.jsonl"],
            r"no answers of the baseline \(poems\): give --data, or --baseline CATEGORY=FILE",
        ),
        (["--questions", "turns.jsonl"], "turns.jsonl: no usable row"),
        (["--version", "v0.1"], "questions of the category hard_prompt are of --version v2.0, not v0.1"),
        (["--data", "nope"], "--data nope: no such folder"),
        (["--judge-rubric", "pairwise"], "a game has five verdicts"),
        (["--judge-rubric", "additive"], "a game has five verdicts"),
        (["--judgments", "nope.jsonl"], "nope.jsonl: no such file"),
        (["--judgments", "data/model_answer"], "no usable row"),
    ]
    for words, message in bad:
        with pytest.raises(InputError, match=message):
            arena.run(*words)
    assert arena.n_asked() == (0, 0) and not (arena.folder / "out").exists()


def test_data_that_is_not_at_hand_is_named_with_the_way_to_get_it(arena: Arena) -> None:
    with pytest.raises(
        InputError, match="no questions: give --data or --questions; both are in the repository lmarena"
    ):
        arena.run(data=False)
    (arena.data / "model_answer" / "gemini-2.0-flash-001.jsonl").unlink()
    with pytest.raises(InputError, match=r"no answers of gemini-2.0-flash-001 \(creative_writing\)"):
        arena.run()


def test_an_unknown_version_is_a_wrong_flag(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arena.run("--version", "v3.0")
    assert "v2.0" in capsys.readouterr().err


def test_repeated_questions_and_answers_count_once(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    arena.write("data/question.jsonl", [*arena.questions, arena.questions[0]])
    arena.run()
    assert arena.n_asked() == (5, 10)
    assert "1 of 6 questions repeat another one and count once" in capsys.readouterr().err


def test_another_baseline_is_said_not_to_compare(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    path = arena.write("base.jsonl", arena.answers("base"))
    arena.run("--baseline", f"hard_prompt={path}")
    assert "the baseline of hard_prompt is base, not o3-mini-2025-01-31: the scores do not" in capsys.readouterr().err
