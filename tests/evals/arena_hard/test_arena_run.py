"""The whole command with scripted engines in the place of the model and the judge."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.protocol import Request
from evals.arena_hard.__main__ import main
from evals.arena_hard.options import Config
from tests.evals.arena_hard.conftest import Arena, Rows


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "arena_hard.json").read_text(encoding="utf-8"))
    return found


def of(folder: Path, category: str) -> dict[str, Any]:
    (found,) = [scores for scores in result(folder)["categories"] if scores["category"] == category]
    (model,) = found["models"]
    return dict(model)


def judgments(folder: Path) -> Path:
    (path,) = folder.glob("model_judgment/*/mine.jsonl")
    return path


def test_a_model_plays_two_games_against_the_baseline_of_each_category(arena: Arena, rows: Rows) -> None:
    folder = arena.run()
    assert arena.n_asked() == (5, 2 * 5)
    written = rows(judgments(folder))
    assert [(row["uid"], row["category"], row["model"]) for row in written] == [
        (question["uid"], question["category"], "mine") for question in arena.questions
    ]
    assert {row["baseline"] for row in written[:3]} == {"o3-mini-2025-01-31"}
    assert {row["baseline"] for row in written[3:]} == {"gemini-2.0-flash-001"}
    # the model's longer answer is B in the first game, and A in the second, which this judge calls better only once
    assert {tuple(game["score"] for game in row["games"]) for row in written} == {("B>>A", "A>B")}
    assert of(folder, "hard_prompt")["over_prompts"]["value"] == 1
    assert of(folder, "hard_prompt")["verdicts"] == {
        "much better": 3, "better": 3, "as good": 0, "worse": 0, "much worse": 0
    }  # fmt: skip


def test_the_files_are_in_the_community_formats(arena: Arena, rows: Rows) -> None:
    folder = arena.run()
    first = rows(judgments(folder))[0]
    assert set(first) == {"uid", "category", "judge", "model", "baseline", "games"}
    game = first["games"][1]
    assert set(game) == {"score", "judgment", "prompt"}
    assert game["judgment"] == {"answer": "The longer one. Verdict: [[A>B]]"}
    shown = Request(game["prompt"])
    assert arena.shown(shown) == ("a long answer of mine", "short"), "the second game shows the model's answer first"
    [answer, *_] = rows(folder / "model_answer" / "mine.jsonl")
    assert (answer["uid"], answer["model"]) == ("h0", "mine")
    assert answer["messages"][-1] == {"role": "assistant", "content": {"answer": "a long answer of mine"}}
    assert "metadata" not in answer, "a count of characters in the place of token_len would mix two units"


def test_the_judges_name_carries_its_fingerprint(arena: Arena, rows: Rows) -> None:
    folder = arena.run()
    name = rows(judgments(folder))[0]["judge"]
    assert name == judgments(folder).parent.name and name.startswith("judge-")
    arena.judge.digest = "other weights"
    arena.run()
    assert len(list(folder.glob("model_judgment/*/mine.jsonl"))) == 2, "another judge's rows are beside these"


def test_stored_judgments_give_the_same_scores_and_ask_nothing(arena: Arena) -> None:
    folder = arena.run()
    asked, before = arena.n_asked(), result(folder)
    arena.run("--judgments", str(judgments(folder)), "--answers", str(folder / "model_answer"),
              "--answers", str(arena.data / "model_answer"), out="again")  # fmt: skip
    assert arena.n_asked() == asked
    again = result(arena.folder / "again")
    assert again["categories"] == before["categories"] and again["judge"] == before["judge"]


def test_stored_judgments_write_nothing_without_out(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    path = judgments(arena.run())
    before = sorted(arena.folder.rglob("*"))
    capsys.readouterr()
    main(parse(Config, ["--judgments", str(path), "--json"], "evals.arena_hard"))
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [] and sorted(arena.folder.rglob("*")) == before


def test_creative_writing_is_judged_by_its_own_rubric(arena: Arena) -> None:
    arena.run()
    own_answer = ["own answer" in request.messages[-1]["content"] for request in arena.judge.asked]
    assert own_answer == [True] * 6 + [False] * 4


def test_a_failed_game_is_null_in_the_files_is_told_and_asked_again(
    arena: Arena, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(request: Request) -> str:
        if "hard_prompt 1" in request.messages[-1]["content"] and arena.shown(request)[0] == "short":
            raise RuntimeError("timed out")
        return arena.longer(request)

    arena.judge.reply = failing
    folder = arena.run("--min-coverage", "0.5")
    [null, fine] = rows(judgments(folder))[1]["games"]
    assert (null["score"], null["judgment"], null["error"]) == (None, None, "timed out") and fine["score"] == "A>B"
    assert (of(folder, "hard_prompt")["n"], of(folder, "hard_prompt")["n_scored"]) == (3, 2)
    assert (
        "1 game without a verdict in 1 prompt, which is left out of the score: timed out (1)" in capsys.readouterr().err
    )
    arena.judge.reply = arena.longer
    arena.judge.asked.clear()
    arena.run()
    assert len(arena.judge.asked) == 1, "only the failed game is asked again"
    assert of(folder, "hard_prompt")["n_scored"] == 3


def test_a_reply_without_a_verdict_is_null_and_kept(arena: Arena, rows: Rows) -> None:
    arena.judge.reply = lambda request: (
        "I cannot say." if "hard_prompt 2" in request.messages[-1]["content"] else arena.longer(request)
    )
    folder = arena.run("--min-coverage", "0.5")
    games = rows(judgments(folder))[2]["games"]
    assert [(game["score"], game["judgment"]) for game in games] == [(None, {"answer": "I cannot say."})] * 2
    assert of(folder, "hard_prompt")["n_null"] == 2


def test_too_few_verdicts_fail_and_keep_what_there_is(arena: Arena) -> None:
    arena.judge.reply = lambda request: "no idea" if "creative" in request.messages[-1]["content"] else "[[A=B]]"
    with pytest.raises(JudgeError, match="mine in creative_writing: only 0 of 2 prompts have a verdict in both games"):
        arena.run()
    assert of(arena.folder / "out", "hard_prompt")["over_prompts"]["value"] == 0.5


def test_an_unanswered_question_has_no_verdict_and_is_asked_again(arena: Arena) -> None:
    def reply(request: Request) -> str:
        if request.messages[-1]["content"] == "hard_prompt 0":
            raise RuntimeError("too long")
        return "a long answer of mine"

    arena.model.reply = reply
    folder = arena.run("--min-coverage", "0.5")
    assert of(folder, "hard_prompt")["reasons"] == {"the model gave no answer": 2}
    arena.model.reply = lambda request: "a long answer of mine"
    assert of(arena.run(), "hard_prompt")["n_scored"] == 3


def test_running_again_asks_nothing_and_fresh_asks_all(arena: Arena) -> None:
    arena.run()
    arena.run()
    assert arena.n_asked() == (5, 10)
    folder = arena.run("--fresh")
    assert arena.n_asked() == (10, 20) and (folder / "responses.jsonl.1").exists()


def test_an_answers_file_is_judged_in_the_place_of_a_model(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    rows = arena.answers("theirs", text="a much longer answer of theirs")
    rows[1]["messages"][-1]["content"] = None
    path = arena.write("theirs.jsonl", rows)
    folder = arena.run("--answers", str(path), "--min-coverage", "0.5")
    assert arena.n_asked() == (0, 2 * 4)
    assert of(folder, "hard_prompt")["model"] == "theirs" and of(folder, "hard_prompt")["n_scored"] == 2
    assert "no answer to 1 of 5 questions: h1" in capsys.readouterr().err


def test_log_probabilities_give_the_likeliest_of_five_verdicts(arena: Arena, rows: Rows) -> None:
    def logprobs(request: Request, choices: Sequence[str]) -> list[float]:
        best = "B>>A" if len(arena.shown(request)[1]) > 10 else "A>B"
        return [math.log(0.6 if choice == best else 0.1) for choice in choices]

    arena.judge.logprobs = logprobs
    folder = arena.run("--judge-read", "logprobs")
    assert {tuple(game["score"] for game in row["games"]) for row in rows(judgments(folder))} == {("B>>A", "A>B")}


def test_style_control_needs_no_network_and_says_its_unit(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    arena.model.reply = lambda request: f"# Header\n{'word ' * (5 + 7 * int(request.messages[-1]['content'][-1]))}"
    arena.judge.reply = lambda request: "[[A>B]]" if "0" in request.messages[-1]["content"] else arena.longer(request)
    arena.run("--style", "length")
    assert "lengths in characters" in capsys.readouterr().out
    with pytest.raises(InputError, match="tiktoken's o200k_base is not in its cache; set TIKTOKEN_CACHE_DIR"):
        arena.run("--style-length", "tokens")


def test_a_dry_run_counts_what_is_there_and_asks_nothing(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    arena.run("--limit", "2")
    before = arena.n_asked()
    capsys.readouterr()
    arena.run("--dry-run", "--json")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["questions"], plan["answers"], plan["answers_there"]) == (5, 3, 2)
    assert (plan["judge_calls"], plan["judge_calls_there"]) == (2 * 3, 2 * 2)
    assert plan["rubrics"] == ["arena_hard", "arena_hard_creative"] and arena.n_asked() == before


def test_the_tables_name_score_intervals_and_judge(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    arena.run()
    shown = capsys.readouterr().out
    for words in ("hard_prompt, against o3-mini-2025-01-31", "score, 90%", "over prompts, 95%", "judged by judge-"):
        assert words in shown
