"""The whole command with scripted engines in the place of models."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, JudgeError
from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.results.numbers import numbers_in
from records import Comparison, Response, read_rows
from tests.evals.head_to_head.compared import Engines, N, Run, Write, answers, longer, pair, result


def test_the_model_that_the_judge_prefers_wins_in_both_orders(compare: Run, engines: Engines) -> None:
    folder = compare("m9", "m1")
    found = pair(folder, "m9", "m1")
    assert (found["n"], found["wins"], found["losses"], found["ties"], found["flipped"]) == (N, N, 0, 0, 0)
    ours, theirs = (len(f"m{k} says {'word ' * k}of question 0") for k in (9, 1))
    assert found["win_rate"]["value"] == pytest.approx(ours / (ours + theirs), abs=0.01)
    assert found["p_value"] == pytest.approx(2 / 2**N)
    assert engines.n_asked() == {"m9": N, "m1": N, "judge": 2 * N}


def test_the_rows_are_in_the_projects_formats(compare: Run) -> None:
    folder = compare("m9", "m1")
    responses = list(read_rows(folder / "m9" / "responses.jsonl", Response))
    assert [row.prompt for row in responses] == [f"question {n}" for n in range(N)]
    comparisons = list(read_rows(folder / "comparisons.jsonl", Comparison))
    assert {(row.model_a, row.model_b, row.orders) for row in comparisons} == {("m1", "m9", "both")}
    assert {row.winner for row in comparisons} == {"b"}


def test_models_named_the_other_way_round_ask_nothing_and_turn_the_result(compare: Run, engines: Engines) -> None:
    there = pair(compare("m9", "m1"), "m9", "m1")
    engines.opened.clear()
    back = pair(compare("m1", "m9"), "m1", "m9")
    assert engines.n_asked() == {"m9": 0, "m1": 0, "judge": 0}
    assert (back["wins"], back["losses"]) == (there["losses"], there["wins"])
    assert back["win_rate"]["value"] == pytest.approx(1 - there["win_rate"]["value"])


def test_model_and_baseline_are_the_same_as_names_without_flags(compare: Run) -> None:
    named = pair(compare("m9", "m1", out="named"), "m9", "m1")
    assert pair(compare("--model", "m9", "--baseline", "m1", out="flags"), "m9", "m1") == named


@pytest.mark.parametrize("stage", ["m1", "judge"])
def test_a_killed_command_goes_on_to_the_result_of_an_undisturbed_one(
    compare: Run, engines: Engines, stage: str
) -> None:
    class KilledError(Exception):
        """Stands for a kill: nothing catches it."""

    whole = result(compare("m9", "m1", out="whole"))
    n_asked = engines.n_asked()
    engine = engines.open(EngineOptions(model=stage))
    healthy, n_calls = (engine.reply, engine.logprobs), 0

    def dying(answer: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls > 3:
                raise KilledError
            return answer(*args)

        return call

    engine.reply, engine.logprobs = dying(engine.reply), dying(engine.logprobs)
    with pytest.raises(KilledError):
        compare("m9", "m1", out="resumed")
    engine.reply, engine.logprobs = healthy
    engine.asked.clear()
    assert result(compare("m9", "m1", out="resumed")) == whole
    assert 0 < len(engine.asked) < n_asked[stage]


def test_running_again_asks_nothing_and_fresh_asks_all(compare: Run, engines: Engines) -> None:
    compare("m9", "m1")
    compare("m9", "m1")
    assert engines.n_asked() == {"m9": N, "m1": N, "judge": 2 * N}
    folder = compare("m9", "m1", "--fresh")
    assert engines.n_asked() == {"m9": 2 * N, "m1": 2 * N, "judge": 4 * N}
    assert (folder / "comparisons.jsonl.1").exists() and (folder / "m9" / "responses.jsonl.1").exists()


def test_a_third_model_reuses_the_answers_and_verdicts_of_two(compare: Run, engines: Engines) -> None:
    compare("m9", "m1")
    compare("m5", "m9", "m1")
    assert engines.n_asked() == {"m9": N, "m1": N, "m5": N, "judge": 3 * 2 * N}


def test_another_models_result_stays_under_another_name_and_is_read_with_the_new_one(
    compare: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compare("m9", "m1")
    first = (folder / "head_to_head.json").read_bytes()
    compare("m9", "m5")
    [other] = folder.glob("head_to_head-*.json")
    assert other.read_bytes() == first
    assert f"now {other.name}, because it is of other models" in capsys.readouterr().err
    problems: list[str] = []
    measures = {number.measure for number in numbers_in(folder, problems)}
    assert measures == {"win rate over m1", "win rate over m5"} and problems == []
    compare("m9", "m5")
    assert list(folder.glob("head_to_head-*.json")) == [other], "the same again replaces its own result"
    compare("m9", "m1")
    assert not other.exists() and len(list(folder.glob("head_to_head-*.json"))) == 1


def test_a_damaged_result_is_set_aside(compare: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = compare("m9", "m1")
    (folder / "head_to_head.json").write_text("{")
    compare("m9", "m1")
    assert (folder / "head_to_head.json.1").read_text() == "{" and "cannot be read" in capsys.readouterr().err


def test_three_models_play_round_robin_and_have_ratings_in_the_order_of_the_judge(compare: Run) -> None:
    found = result(compare("m1", "m9", "m5"))
    assert [(row["model"], row["against"]) for row in found["pairs"]] == [("m1", "m9"), ("m1", "m5"), ("m9", "m5")]
    points = {row["model"]: row["value"] for row in found["ratings"]["models"]}
    assert points["m9"] > points["m5"] > points["m1"] and sum(points.values()) == pytest.approx(0, abs=1e-6)


def test_two_models_have_no_ratings(compare: Run) -> None:
    assert result(compare("m9", "m1"))["ratings"] is None


def test_a_reply_without_a_verdict_is_counted_and_is_no_tie(compare: Run, engines: Engines) -> None:
    def reply(request: Request) -> str:
        return "I cannot say." if "question 2" in request.messages[-1]["content"] else longer(request)

    engines.judge["reply"] = reply
    found = pair(compare("m9", "m1", "--judge-read", "text", "--min-coverage", "0.5"), "m9", "m1")
    assert (found["unscored"], found["ties"], found["wins"]) == (1, 0, N - 1)
    assert found["win_rate"]["n"] == N - 1 and sum(found["reasons"].values()) == 1


def test_a_win_rate_of_one_has_wilsons_interval(compare: Run) -> None:
    rate = pair(compare("m9", "m1", "--judge-read", "text"), "m9", "m1")["win_rate"]
    z = 1.959963984540054
    assert (rate["value"], rate["high"]) == (1, 1) and rate["low"] == pytest.approx(N / (N + z * z))


def test_a_failed_call_of_a_model_leaves_no_verdict_and_is_asked_again(compare: Run, engines: Engines) -> None:
    def reply(request: Request) -> str:
        if request.messages[-1]["content"] == "question 1":
            raise RuntimeError("too long")
        return "yes"

    engines.replies["m1"] = reply
    found = pair(compare("m9", "m1", "--min-coverage", "0.5"), "m9", "m1")
    assert (found["unscored"], found["reasons"]) == (1, {"a model gave no answer": 1})
    engines.opened["m1"].reply = lambda request: "yes"
    assert pair(compare("m9", "m1"), "m9", "m1")["unscored"] == 0


def test_too_few_verdicts_fail_name_the_match_and_keep_what_there_is(compare: Run, engines: Engines) -> None:
    engines.judge["reply"] = lambda request: "no idea" if "m5" in request.messages[-1]["content"] else longer(request)
    with pytest.raises(JudgeError, match=f"m9 against m5: only 0 of {N} prompts have a verdict"):
        compare("m9", "m1", "m5", "--judge-read", "text")
    assert pair(Path("out"), "m9", "m1")["wins"] == N
    assert result(Path("out"))["ratings"]["problem"]


def test_a_judge_that_names_the_place_is_warned_of(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    engines.judge["logprobs"] = lambda request, choices: [math.log(0.9), math.log(0.1)]
    found = pair(compare("m9", "m1"), "m9", "m1")
    assert (found["flipped"], found["first_place"], found["second_place"], found["ties"]) == (N, N, 0, 0)
    assert found["p_value"] is None and found["win_rate"]["value"] == pytest.approx(0.5)
    said = capsys.readouterr().err
    assert (
        f"m9 against m1: {N} of {N} comparisons flipped" in said and f"{N} of them for the answer shown first" in said
    )


def test_the_longer_answers_share_of_the_wins_is_told(compare: Run, write: Write) -> None:
    a = write("a.jsonl", answers("a", ["long long", "long long", "s", "same"]))
    b = write("b.jsonl", answers("b", ["short", "short", "longer", "even"]))
    found = pair(compare(str(a), str(b), "--judge-read", "text"), "a", "b")
    assert (found["longer"]["value"], found["longer"]["n"], found["ties"]) == (1, 3, 1)


def test_a_picture_is_drawn(compare: Run, tmp_path: Path) -> None:
    compare("m9", "m1", "m5", "--picture", str(tmp_path / "matrix.png"))
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_json_alone_goes_to_stdout_and_equals_the_file(compare: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = compare("m9", "m1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found.pop("files") == [str(folder / "head_to_head.json")]
    assert found == result(folder)


def test_the_tables_name_the_counts_and_the_judge(compare: Run, capsys: pytest.CaptureFixture[str]) -> None:
    compare("m9", "m1")
    shown_text = capsys.readouterr().out
    for word in ("wins", "flipped", "no verdict", "win rate, %", "judged by judge", "mean chars"):
        assert word in shown_text


def test_a_dry_run_counts_what_is_there_and_asks_nothing(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    compare("m9", "m1", "--limit", "2")
    before = engines.n_asked()
    capsys.readouterr()
    compare("m9", "m1", "m5", "--dry-run", "--json")
    plan = json.loads(capsys.readouterr().out)
    assert plan["answers_there"] == {"m9": 2, "m1": 2, "m5": 0} and plan["answers"] == 3 * N - 4
    assert (plan["comparisons_there"], plan["comparisons"]) == (2, 3 * N - 2)
    assert plan["judge_calls"] == 2 * (3 * N - 2)
    assert before == {name: n for name, n in engines.n_asked().items() if name != "m5"}


def test_a_dry_run_counts_failed_calls_as_calls_to_make(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(request: Request) -> str:
        if "question 2" in request.messages[-1]["content"]:
            raise RuntimeError("timed out")
        return longer(request)

    engines.judge["reply"] = reply
    words = ("m9", "m1", "--judge-read", "text", "--min-coverage", "0.5", "--json")
    compare(*words)
    capsys.readouterr()
    compare(*words, "--dry-run")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["comparisons_there"], plan["comparisons"], plan["judge_calls"]) == (N - 1, 1, 2)


def test_a_judge_that_is_not_there_costs_no_answers(
    compare: Run, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(options: EngineOptions) -> ScriptedEngine:
        raise InputError(f"no model '{options.model}'")

    monkeypatch.setattr("evals.comparing.judge.open_engine", missing)
    with pytest.raises(InputError, match="no model 'judge'"):
        compare("m9", "m1")
    assert engines.n_asked() == {"m9": 0, "m1": 0}


def no_answer(request: Request) -> str:
    raise RuntimeError("500: overloaded")


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (no_answer, "Run the same command again, which asks again for what failed, or accept it with a lower"),
        (lambda request: "I cannot say.", "Try another judge, --judge-read logprobs, or accept it with a lower"),
    ],
)
def test_the_advice_on_too_few_verdicts_is_by_what_most_of_them_lack(
    compare: Run, engines: Engines, reply: Callable[[Request], str], advice: str
) -> None:
    engines.judge["reply"] = reply
    with pytest.raises(JudgeError, match=f"m9 against m1: only 0 of {N} prompts have a verdict.*{advice}"):
        compare("m9", "m1", "--judge-read", "text")


def test_a_rate_at_equal_length_that_cannot_be_had_is_missing_with_its_reason(
    compare: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    found = pair(compare("m9", "m1", "--judge-read", "text"), "m9", "m1")["equal_length"]
    assert found == {"value": None, "low": None, "high": None, "n": N, "reason": found["reason"]}
    assert "differ in length by the same everywhere" in found["reason"]
    assert f"no rate at equal length of m9 against m1: {found['reason']}" in capsys.readouterr().err


def test_failed_calls_of_the_judge_are_not_counted_as_done_and_are_told(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    engines.judge["reply"] = no_answer
    with pytest.raises(JudgeError):
        compare("m9", "m1", "--judge-read", "text")
    said = capsys.readouterr().err
    assert f"judge comparing: {N} of {N} comparisons lack an answer of the judge; the same command asks for" in said
    assert f"judge comparing: {N} of {N}, in" not in said


def test_the_printed_result_is_no_wider_than_80_cells_but_for_a_path(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"a-company/a-long-name-of-a-model-with-{size}-billion-parameters-Instruct-v0.1" for size in (7, 70)]
    files = [str(write(f"{len(name)}.jsonl", answers(name, [name] * 2))) for name in names]
    compare(*files)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80 and "/" not in line.split()[0]] == []
    assert any(line.startswith("judged by judge") for line in lines)


def test_a_single_match_has_its_models_names_and_several_with_long_names_have_numbers(
    compare: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"model-of-length-{n}" for n in (1, 5, 9)]
    compare(*names[:2])
    assert f"| {names[0]} against {names[1]} |" in capsys.readouterr().out
    compare(*names)
    shown_text = capsys.readouterr().out
    assert f"model 3 is {names[2]}" in shown_text and "| model 1 against model 3 |" in shown_text
