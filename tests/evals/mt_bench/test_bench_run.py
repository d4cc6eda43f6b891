"""The whole command with scripted engines in the place of the model and the judge."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, JudgeError
from engines.protocol import Request
from evals.mt_bench.files.questions import read_answers, read_questions
from records.files import BadRows
from tests.evals.mt_bench.conftest import QUESTIONS, Bench, answer_row, part


def content(request: Request) -> str:
    return request.messages[-1]["content"]


def test_the_second_turn_is_asked_after_the_first_answer(bench: Bench) -> None:
    bench.run()
    assert bench.n_asked() == (6, 6)
    second = [request.messages for request in bench.model.asked if len(request.messages) == 3]
    assert [turn["role"] for turn in second[0]] == ["user", "assistant", "user"]
    first = bench.rows("model_answer/mine.jsonl")[0]["choices"][0]["turns"]
    assert first == ["answer 1 to: Write a line.", "answer 2 to: Now rhyme it."]
    assert second[0][1]["content"] == first[0]


def test_answers_have_the_temperature_of_their_category(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    temperatures: dict[str, float] = {}
    generate = bench.model.generate

    def noted(requests: Any, sampling: Any, done: Any = ()) -> Any:
        temperatures.update({content(request): sampling.temperature for request in requests})
        return generate(requests, sampling, done)

    monkeypatch.setattr(bench.model, "generate", noted)
    bench.run()
    assert (temperatures["Write a line."], temperatures["And twice that?"]) == (0.7, 0.0)
    bench.run("--temperature", "0.3", out="other")
    assert set(temperatures.values()) == {0.3}


def test_each_kind_of_question_has_its_rubric_and_only_three_categories_a_reference(bench: Bench) -> None:
    bench.run()
    by_rubric = {row["judge"][1]: row for row in bench.rows("model_judgment/*_single.jsonl")}
    assert set(by_rubric) == {"single_10", "single_turn_2", "single_reference", "single_reference_turn_2"}
    math = by_rubric["single_reference"]["user_prompt"]
    assert part(math, "reference_answer") == "It is 4." and part(math, "answer") == "answer 1 to: What is 2 + 2?"
    second = by_rubric["single_reference_turn_2"]["user_prompt"]
    assert "It is 4." in part(second, "reference_answers") and "It is 8." in part(second, "reference_answers")
    assert part(second, "last_answer") == "answer 2 to: And twice that?"
    assert part(second, "conversation").endswith("user: And twice that?")
    assert "reference" not in by_rubric["single_10"]["user_prompt"]


def test_the_files_are_in_the_community_formats(bench: Bench) -> None:
    bench.run()
    [answer, *_] = bench.rows("model_answer/mine.jsonl")
    assert set(answer) == {"question_id", "answer_id", "model_id", "choices"} and answer["question_id"] == 81
    rows = bench.rows("model_judgment/*_single.jsonl")
    assert [(row["question_id"], row["turn"], row["score"]) for row in rows] == [
        (question["question_id"], turn, 7) for question in QUESTIONS for turn in (1, 2)
    ]
    assert set(rows[0]) == {"question_id", "model", "judge", "user_prompt", "judgment", "score", "turn"}
    assert rows[0]["judgment"] == "Fine. Rating: [[7]]" and rows[0]["judge"][0].startswith("judge-")
    (path,) = bench.folder.glob("out/model_judgment/*_single.jsonl")
    bench.run("--judgments", str(path), out="again")
    assert bench.result(out="again")["models"] == bench.result()["models"]


def test_scores_by_turn_and_category(bench: Bench) -> None:
    bench.judge.reply = lambda request: f"Rating: [[{3 if 'last_answer' in content(request) else 9}]]"
    bench.run()
    [model] = bench.result()["models"]
    assert [model["by_turn"][turn]["value"] for turn in ("1", "2")] == [9, 3]
    assert model["average"]["value"] == 6 and model["by_category"]["math"]["value"] == 6


def test_an_unparsed_reply_is_null_and_is_not_averaged(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.judge.reply = lambda request: "No idea." if "Write a line" in content(request) else "Rating: [[8]]"
    bench.run("--min-coverage", "0.5")
    [model] = bench.result()["models"]
    assert (model["n"], model["n_scored"], model["average"]["value"]) == (6, 4, 8)
    rows = bench.rows("model_judgment/*_single.jsonl")
    assert (rows[0]["score"], rows[0]["judgment"]) == (None, "No idea.") and rows[0]["error"]
    assert "mine: no verdict on 2 of 6 answers, which count nowhere" in capsys.readouterr().err
    with pytest.raises(JudgeError, match="mine: only 4 of 6 answers got a verdict"):
        bench.run()


def test_a_failed_call_is_asked_again(bench: Bench) -> None:
    def failing(request: Request) -> str:
        if "Sort them" in content(request):
            raise RuntimeError("timed out")
        return "Rating: [[8]]"

    bench.judge.reply = failing
    bench.run("--min-coverage", "0.5")
    assert bench.rows("model_judgment/*_single.jsonl")[-1]["error"] == "timed out"
    bench.judge.reply = lambda request: "Rating: [[8]]"
    bench.judge.asked.clear()
    bench.run()
    assert len(bench.judge.asked) == 1 and bench.result()["models"][0]["n_scored"] == 6


def test_a_question_with_an_unanswered_turn_has_no_verdict(bench: Bench) -> None:
    def reply(request: Request) -> str:
        if content(request) == "What is 2 + 2?":
            raise RuntimeError("too long")
        return bench.answer(request)

    bench.model.reply = reply
    bench.run("--min-coverage", "0.5")
    [model] = bench.result()["models"]
    assert model["reasons"] == {"the model gave no answer": 2} and len(bench.judge.asked) == 4


def test_a_first_turn_is_judged_without_the_second(bench: Bench) -> None:
    def reply(request: Request) -> str:
        if content(request) == "And twice that?":
            raise RuntimeError("too long")
        return bench.answer(request)

    bench.model.reply = reply
    bench.run("--min-coverage", "0.5")
    rows = bench.rows("model_judgment/*_single.jsonl")
    assert [(row["turn"], row["score"]) for row in rows if row["question_id"] == 101] == [(1, 7), (2, None)]
    assert rows[3]["error"] == "the model gave no answer" and len(bench.judge.asked) == 5


def test_running_again_asks_nothing_and_fresh_asks_all(bench: Bench) -> None:
    bench.run()
    bench.run()
    assert bench.n_asked() == (6, 6)
    bench.run("--fresh")
    assert bench.n_asked() == (12, 12)


def better(request: Request) -> str:
    first, second = (len(part(content(request), f"{kind}_{side}")) for kind, side in sides(request))
    return f"Better: {'A' if first > second else 'B'}"


def sides(request: Request) -> list[tuple[str, str]]:
    kind = "conversation" if "<conversation_a" in content(request) else "answer"
    return [(kind, "a"), (kind, "b")]


def test_pairs_play_two_games_a_turn_against_the_baseline(bench: Bench) -> None:
    bench.judge.reply = better
    bench.run("--mode", "pair", "--baseline", "base.jsonl")
    assert bench.n_asked() == (6, 12)
    rows = bench.rows("model_judgment/*_pair.jsonl")
    assert {(row["model_1"], row["model_2"], row["g1_winner"], row["g2_winner"]) for row in rows} == {
        ("mine", "base", "model_1", "model_1")
    }
    assert {row["judge"][1] for row in rows} == {
        "pairwise", "pair_turn_2", "pairwise_reference", "pair_reference_turn_2"
    }  # fmt: skip
    second = rows[1]
    assert part(second["g1_user_prompt"], "conversation_b").endswith("assistant: brief")
    assert part(second["g2_user_prompt"], "conversation_a").endswith("assistant: brief")
    mine, base = bench.result("mt_bench_pair")["models"]
    assert (mine["model"], mine["wins"], mine["win_rate"]["value"], base["losses"]) == ("mine", 6, 1, 6)


def test_a_game_without_a_verdict_is_an_error_in_the_file_and_no_tie(bench: Bench) -> None:
    bench.judge.reply = lambda request: "Hm." if "Write a line" in content(request) else better(request)
    bench.run("--mode", "pair", "--baseline", "base.jsonl", "--min-coverage", "0.5")
    rows = bench.rows("model_judgment/*_pair.jsonl")
    assert (rows[0]["g1_winner"], rows[0]["g2_winner"], rows[0]["g1_judgment"]) == ("error", "error", "Hm.")
    mine = bench.result("mt_bench_pair")["models"][0]
    assert (mine["n_scored"], mine["ties"], mine["wins"]) == (4, 0, 4)


def test_vicuna_has_one_turn(bench: Bench) -> None:
    bench.write("v/question.jsonl", [{"question_id": n, "category": "generic", "turns": ["Why?"]} for n in (1, 2)])
    bench.run("--bench", "vicuna_bench", "--data", "v", data=False)
    assert bench.n_asked() == (2, 2)
    [model] = bench.result("vicuna_bench")["models"]
    assert list(model["by_turn"]) == ["1"] and model["average"]["value"] == 7


def test_an_answers_file_is_judged_in_the_place_of_a_model(bench: Bench) -> None:
    rows = [
        answer_row(81, "theirs", "<think>Hm.</think>A line.", "A rhyme."),
        answer_row(101, "theirs", "4", "$ERROR$"),
    ]
    bench.run("--answers", str(bench.write("theirs.jsonl", rows)), "--min-coverage", "0.3")
    assert bench.n_asked() == (0, 3), "the first turn of an answer whose second one failed is judged too"
    [model] = bench.result()["models"]
    assert (model["model"], model["n"], model["n_scored"]) == ("theirs", 6, 3)
    assert part(bench.rows("model_judgment/*_single.jsonl")[0]["user_prompt"], "answer") == "A line."


def test_a_dry_run_asks_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run("--dry-run", "--json", "--mode", "pair", "--baseline", "base.jsonl")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["questions"], plan["answers"], plan["judge_calls"], plan["baseline"]) == (3, 6, 12, "base")
    assert bench.n_asked() == (0, 0) and not Path("out").exists()


@pytest.mark.parametrize("mode", [(), ("--mode", "pair", "--baseline", "base.jsonl")])
def test_a_dry_run_counts_what_is_there_apart(
    bench: Bench, mode: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    bench.judge.reply = lambda request: "I choose [[A]]" if mode else "Fine. Rating: [[7]]"
    bench.run("--limit", "2", "--min-coverage", "0", *mode)
    capsys.readouterr()
    n_asked = bench.n_asked()
    bench.run("--dry-run", "--json", *mode)
    plan, games = json.loads(capsys.readouterr().out), 2 if mode else 1
    assert (plan["answers"], plan["answers_there"]) == (2, 4)
    assert (plan["judge_calls"], plan["judge_calls_there"]) == (2 * games, 4 * games)
    assert bench.n_asked() == n_asked


def test_bad_input_is_named_before_anything_is_asked(bench: Bench) -> None:
    bench.write("q1.jsonl", [*QUESTIONS, QUESTIONS[0] | {"turns": ["other", "one"]}])
    bench.write("q2.jsonl", [{"question_id": 1, "turns": ["one"]}])
    bench.write("q3.jsonl", [{"question_id": 1, "turns": []}])
    bench.write("lacks.jsonl", bench.base[:1])
    bench.write("empty.jsonl", [*bench.base[:2], answer_row(131, "base", "x", " ")])
    bench.write("null.jsonl", [*bench.base[:2], answer_row(131, "base", "x", None)])
    bench.write("half.jsonl", [*bench.base[:2], answer_row(131, "base", "x")])
    bench.write("two.jsonl", [bench.base[0], answer_row(101, "other", "x", "y")])
    bench.write("again.jsonl", [*bench.base, answer_row(81, "base", "x", "y")])
    bench.write(
        "mine.jsonl", [answer_row(81, "mine", "x", "y"), *(row | {"model_id": "mine"} for row in bench.base[1:])]
    )
    bench.write("none.jsonl", [answer_row(81, "x", "", "")])
    bench.write("refs.jsonl", [answer_row(101, "gpt-4", "It is 4.")])
    pair = ["--mode", "pair", "--baseline"]
    bad = [
        (["--questions", "q1.jsonl"], "q1.jsonl:4: the id 81 stands for another question above"),
        (["--questions", "q2.jsonl"], r"1 questions have not 2 turns \(1\): are they of --bench vicuna_bench"),
        (["--questions", "q3.jsonl"], "q3.jsonl: no usable row"),
        (["--references", "refs.jsonl"], "the reference gpt-4 has 1 empty or null answers: 101"),
        (["--references", "lacks.jsonl"], "the reference base has no answer to 1 of 1 questions: 101"),
        (["--mode", "pair"], "give its answers with --baseline FILE"),
        (["--baseline", "base.jsonl"], "--baseline goes with --mode pair"),
        ([*pair, "lacks.jsonl"], "the baseline base has no answer to 2 of 3 questions: 101, 131"),
        *(([*pair, f"{name}.jsonl"], "has 1 empty or null answers: 131") for name in ("empty", "null", "half")),
        ([*pair, "two.jsonl"], r"two.jsonl: answers of 2 models \(base, other\)"),
        ([*pair, "again.jsonl"], "again.jsonl:4: a second answer to 81, which differs from the first"),
        ([*pair, "mine.jsonl"], "mine is the baseline"),
        ([*pair, "nope.jsonl"], "nope.jsonl: no such file"),
        (["--answers", "none.jsonl"], "no whole answer to any of the 3 questions"),
        (["--data", "nope"], "--data nope: no such folder"),
        (["--judge-rubric", "pairwise"], "--mode single needs one that scores one answer"),
        ([*pair, "base.jsonl", "--judge-rubric", "single_10"], "--mode pair needs one that compares two answers"),
        (["--judgments", "nope.jsonl"], "nope.jsonl: no such file"),
    ]
    for words, message in bad:
        with pytest.raises(InputError, match=message):
            bench.run(*words)
    assert bench.n_asked() == (0, 0) and not Path("out").exists()


def test_data_that_is_not_at_hand_is_named_with_the_way_to_get_it(bench: Bench) -> None:
    with pytest.raises(InputError, match="no questions: give --data or --questions; it is in the repository lm-sys"):
        bench.run(data=False)
    (bench.folder / "data/reference_answer/gpt-4.jsonl").unlink()
    with pytest.raises(InputError, match="1 questions on math, reasoning, coding are judged beside reference answers"):
        bench.run()
    bench.run("--judge-rubric", "single_10")
    assert bench.n_asked() == (6, 6), "another rubric shows no reference"


def test_the_real_questions_and_references_are_read(data: Path) -> None:
    strict = BadRows(strict=True)
    for name, n, n_references in (("mt_bench", 80, 30), ("vicuna_bench", 80, 10)):
        bench_name: Any = name
        questions = read_questions(data / "fastchat" / f"{name}_question.jsonl", bench_name, strict)
        assert len(questions) == n
        references = read_answers(data / "fastchat" / f"{name}_reference_answer_gpt-4.jsonl", strict)
        needed = {question.id for question in questions if question.category in ("math", "reasoning", "coding")}
        assert len(references.by_id) == n_references and needed == set(references.by_id)
