"""The whole command with a scripted engine in the place of models."""

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.alpaca.__main__ import main
from evals.alpaca.options import Config
from records import Comparison, Response, read_rows
from records.store import write_atomic
from tests.fences import plain

N = 6


class KilledError(Exception):
    """Stands for a kill: nothing catches it."""


def answer(request: Request) -> str:
    return f"an answer to: {request.messages[-1]['content']}"


def prefer_long(request: Request, choices: Sequence[str]) -> Sequence[float]:
    text = plain(request.messages[-1]["content"])
    first, second = (len(text.split(f"<answer_{x}>")[1].split(f"</answer_{x}>")[0]) for x in "ab")
    share = second / (first + second)
    return [math.log(1 - share), math.log(share)]


def scripted(**changes: Any) -> ScriptedEngine:
    return ScriptedEngine(**{"reply": answer, "logprobs": prefer_long, "name": "new", **changes})


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    rows = [{"instruction": f"question {n}", "output": "word " * n + "end", "generator": "base"} for n in range(N)]
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reference: Path) -> Callable[..., Path]:
    def run(engine: ScriptedEngine, *argv: str, out: str = "out") -> Path:
        for module in ("alpaca.evaluation", "comparing.judge", "comparing.there"):
            monkeypatch.setattr(f"evals.{module}.open_engine", lambda _: engine)
        folder = tmp_path / out
        argv = ("--out", str(folder), *argv)
        if "--reference" not in argv:
            argv = ("--reference", str(reference), *argv)
        main(parse(Config, argv, "evals.alpaca"))
        return folder

    return run


def annotations(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    return rows


def test_a_run_leaves_alpaca_evals_files(evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = evaluate(scripted(), "--json")
    outputs = json.loads((folder / "model_outputs.json").read_text())
    assert outputs[0] == {"instruction": "question 0", "output": "an answer to: question 0", "generator": "new"}
    rows = annotations(folder)
    assert [row["instruction"] for row in rows] == [f"question {n}" for n in range(N)]
    ours, base = len(rows[0]["output_2"]), len(rows[0]["output_1"])
    assert rows[0]["preference"] == pytest.approx(1 + (ours + 2) / (ours + base + 4))  # a newline on either side
    assert {(row["generator_1"], row["generator_2"]) for row in rows} == {("base", "new")}
    found = json.loads(capsys.readouterr().out)
    assert found["win_rate"] == pytest.approx(100 * sum(row["preference"] - 1 for row in rows) / N)
    assert (found["n_total"], found["n_unscored"], found["length_controlled_winrate"]) == (N, 0, None)
    assert (folder / "leaderboard.csv").read_text().splitlines()[1].startswith("new,")


def test_another_model_or_judge_in_one_folder_leaves_the_first_ones_files(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluate(scripted())
    names = ("model_outputs.json", "annotations.json", "leaderboard.csv")
    first = {name: (folder / name).read_bytes() for name in names}
    evaluate(scripted())
    assert not list(folder.glob("*.1")), "the same again replaces nothing"
    evaluate(scripted(name="newer", digest="another"))
    assert {name: (folder / f"{name}.1").read_bytes() for name in names} == first
    assert {row["generator_2"] for row in annotations(folder)} == {"newer"}
    evaluate(scripted(name="newer", digest="another"), "--judge-min-mass", "0.01")
    assert (folder / "annotations.json.2").exists() and not (folder / "model_outputs.json.2").exists()
    assert "model_outputs.json: set aside, because it is of new" in capsys.readouterr().err


def test_the_annotators_name_carries_the_judges_fingerprint(evaluate: Callable[..., Path]) -> None:
    folder = evaluate(scripted())
    (comparison, *_) = read_rows(folder / "comparisons.jsonl", Comparison)
    assert {row["annotator"] for row in annotations(folder)} == {f"new-pairwise-{comparison.judge}"}


def test_every_pair_is_asked_in_both_orders(evaluate: Callable[..., Path]) -> None:
    engine = scripted(logprobs=lambda request, _: [math.log(0.9), math.log(0.1)])  # always for the one shown first
    folder = evaluate(engine)
    assert [row["preference"] for row in annotations(folder)] == pytest.approx([1.5] * N)
    assert len(engine.asked) == N + 2 * N


@pytest.mark.parametrize("stage", ["answering", "comparing"])
def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(evaluate: Callable[..., Path], stage: str) -> None:
    n_calls = 0

    def dies(result: Any) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls > 3:
                raise KilledError
            return result(*args)

        return call

    whole = evaluate(scripted(), out="whole")
    killed = scripted(reply=dies(answer)) if stage == "answering" else scripted(logprobs=dies(prefer_long))
    with pytest.raises(KilledError):
        evaluate(killed, out="resumed")
    engine = scripted()
    resumed = evaluate(engine, out="resumed")
    for name in ("annotations.json", "model_outputs.json", "leaderboard.csv"):
        assert (resumed / name).read_text() == (whole / name).read_text(), name
    # Three answers are kept, or all answers and the one pair of which both orders were there.
    assert len(engine.asked) == (N - 3 + 2 * N if stage == "answering" else 2 * (N - 1))


def test_running_again_asks_nothing_and_fresh_asks_all(evaluate: Callable[..., Path]) -> None:
    evaluate(scripted())
    again, fresh = scripted(), scripted()
    evaluate(again)
    folder = evaluate(fresh, "--fresh")
    assert (len(again.asked), len(fresh.asked)) == (0, 3 * N)
    assert (folder / "responses.jsonl.1").exists()


def test_a_reply_without_a_verdict_is_null_and_counted(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(request: Request) -> str:
        text = request.messages[-1]["content"]
        if "<answer_a>" not in plain(text):
            return answer(request)
        return "I cannot say." if "question 2" in text else "Better: A"

    folder = evaluate(scripted(reply=reply), "--judge-read", "text", "--min-coverage", "0.5", "--json")
    preferences = [row["preference"] for row in annotations(folder)]
    assert preferences == [1.5, 1.5, None, 1.5, 1.5, 1.5]
    assert annotations(folder)[2]["error"]
    assert annotations(folder)[2]["raw_completion"] == ["I cannot say.", "I cannot say."]
    found = json.loads(capsys.readouterr().out)
    assert (found["n_total"], found["n_unscored"], found["n_draws"]) == (5, 1, 5)


def test_a_failed_call_is_null_and_asked_again_by_the_next_run(evaluate: Callable[..., Path]) -> None:
    def reply(request: Request) -> str:
        text = request.messages[-1]["content"]
        if "<answer_a>" not in plain(text):
            return answer(request)
        if "question 2" in text:
            raise RuntimeError("timed out")
        return "Better: A"

    argv = ("--judge-read", "text", "--min-coverage", "0.5")
    first = annotations(evaluate(scripted(reply=reply), *argv))[2]
    assert (first["preference"], first["error"]) == (None, "timed out")
    again = scripted(reply=lambda request: "Better: A")
    assert annotations(evaluate(again, *argv))[2]["preference"] == 1.5
    assert len(again.asked) == 2


def test_a_prompt_without_an_answer_is_null_and_counted(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(request: Request) -> str:
        if request.messages[-1]["content"] == "question 1":
            raise RuntimeError("too long")
        return answer(request)

    folder = evaluate(scripted(reply=reply), "--min-coverage", "0.5", "--json")
    row = annotations(folder)[1]
    assert (row["output_2"], row["preference"], row["error"]) == (None, None, "the model gave no answer")
    assert len(json.loads((folder / "model_outputs.json").read_text())) == N - 1
    assert json.loads(capsys.readouterr().out)["n_unscored"] == 1


def test_too_few_verdicts_fail_and_keep_what_there_is(evaluate: Callable[..., Path], tmp_path: Path) -> None:
    engine = scripted(reply=lambda request: "no idea")
    with pytest.raises(JudgeError, match=f"only 0 of {N} prompts have a verdict.*Try another judge, --judge-read logp"):
        evaluate(engine, "--judge-read", "text")
    assert len(annotations(tmp_path / "out")) == N


def test_too_few_verdicts_for_failed_calls_advise_the_same_command(evaluate: Callable[..., Path]) -> None:
    def reply(request: Request) -> str:
        if "<answer_a>" in plain(request.messages[-1]["content"]):
            raise RuntimeError("500: overloaded")
        return answer(request)

    advice = "Run the same command again, which asks again for what failed, or accept it with a lower --min-coverage"
    with pytest.raises(JudgeError, match=f"only 0 of {N} prompts.*most often: 500: overloaded. {advice}"):
        evaluate(scripted(reply=reply), "--judge-read", "text")


def test_stored_annotations_score_as_the_run_did(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluate(scripted(), "--json")
    first = json.loads(capsys.readouterr().out)
    main(parse(Config, ["--annotations", str(folder / "annotations.json"), "--json"], "evals.alpaca"))
    again = json.loads(capsys.readouterr().out)
    assert {**first, "n_truncated": None} == again


def test_limit_takes_the_first_prompts(evaluate: Callable[..., Path]) -> None:
    assert [row["instruction"] for row in annotations(evaluate(scripted(), "--limit", "2"))] == [
        "question 0",
        "question 1",
    ]


def test_the_judge_may_be_another_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reference: Path) -> None:
    opened: dict[str, ScriptedEngine] = {}

    def open_engine(options: Any) -> ScriptedEngine:
        opened[options.model] = scripted(name=options.model, digest=options.model)
        return opened[options.model]

    for module in ("alpaca.evaluation", "comparing.judge"):
        monkeypatch.setattr(f"evals.{module}.open_engine", open_engine)
    argv = ["--model", "small", "--judge-model", "big", "--reference", str(reference), "--out", str(tmp_path / "out")]
    main(parse(Config, argv, "evals.alpaca"))
    assert {name: len(engine.asked) for name, engine in opened.items()} == {"small": N, "big": 2 * N}
    assert annotations(tmp_path / "out")[0]["annotator"].startswith("big-pairwise-")


def test_a_judge_that_is_not_there_costs_no_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reference: Path
) -> None:
    def missing(options: Any) -> ScriptedEngine:
        raise InputError(f"no model '{options.model}'")

    engine = scripted()
    monkeypatch.setattr("evals.alpaca.evaluation.open_engine", lambda _: engine)
    monkeypatch.setattr("evals.comparing.judge.open_engine", missing)
    argv = ["--model", "small", "--judge-model", "big", "--reference", str(reference), "--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="no model 'big'"):
        main(parse(Config, argv, "evals.alpaca"))
    assert engine.asked == []


@pytest.mark.parametrize("model", ["small", "iter0", "served"])
def test_a_judge_that_is_an_iteration_is_of_the_run_that_was_the_newest_at_the_beginning(
    monkeypatch: pytest.MonkeyPatch, reference: Path, tmp_path: Path, model: str
) -> None:
    monkeypatch.chdir(tmp_path)
    opened: list[Any] = []

    def make_newest(name: str) -> None:
        write_atomic(Path("runs") / name / "run.toml", "")
        for other in Path("runs").glob("*/run.toml"):
            os.utime(other, (1, 1) if other.parent.name != name else None)

    def open_engine(options: Any) -> ScriptedEngine:
        opened.append(options)
        make_newest(f"later{len(opened)}")  # another run is worked on while this command is under way
        return scripted(name=options.model, digest=f"{options.model} {options.run}")

    for module in ("alpaca.evaluation", "comparing.judge"):
        monkeypatch.setattr(f"evals.{module}.open_engine", open_engine)
    make_newest("mine")
    where = ("--base-url", "http://127.0.0.1:9/v1", "--judge-engine", "transformers") if model == "served" else ()
    flags = ("--model", model, "--judge-model", "iter1", "--reference", str(reference), "--out", "out", *where)
    main(parse(Config, flags, "evals.alpaca"))
    assert [one.model for one in opened] == [model, "iter1"] and opened[1].run == "runs/mine"


def test_dry_run_prints_the_plan_and_asks_nobody(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    engine = scripted()
    evaluate(engine, "--dry-run", "--json", "--limit", "4")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["prompts"], plan["judge calls"], plan["results"]) == (4, 8, str(tmp_path / "out"))
    assert engine.asked == []
    assert not (tmp_path / "out").exists()


def test_dry_run_counts_what_is_there_apart_from_what_would_be_asked(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(scripted(), "--limit", "3")
    capsys.readouterr()
    engine = scripted()
    evaluate(engine, "--dry-run", "--json", "--limit", "5")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["answers"], plan["answers there"]) == (2, 3)
    assert (plan["judge calls"], plan["judge calls there"], engine.asked) == (4, 6, [])
    evaluate(engine, "--dry-run", "--json", "--limit", "5", "--fresh")
    assert json.loads(capsys.readouterr().out)["answers"] == 5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--limit", "0"], "--limit must be at least 1"),
        (["--judge-rubric", "additive"], "--judge-rubric additive scores one answer"),
        (["--min-coverage", "2"], "--min-coverage must be in"),
        (["--reference", "nothing.json"], "nothing.json: no such file"),
        (["--annotations", "nothing.json"], "nothing.json: no such file"),
    ],
)
def test_bad_flags_are_one_clear_error_before_anything_is_asked(
    evaluate: Callable[..., Path], argv: list[str], message: str
) -> None:
    engine = scripted()
    with pytest.raises(InputError, match=message):
        evaluate(engine, *argv)
    assert engine.asked == []


def test_without_the_hub_a_runs_held_out_prompts_stand_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    for module in ("alpaca.evaluation", "comparing.judge"):
        monkeypatch.setattr(f"evals.{module}.open_engine", lambda options: scripted(name=options.model))
    folder = tmp_path / "runs" / "demo"
    prompts = [{"id": f"p{n}", "prompt": f"question {n}"} for n in range(3)]
    base = {"model": "iter0", "response": "so", "seed": 1, "finish_reason": "length", "n_tokens": 99}
    answers = [{"id": f"r{n}", "prompt_id": f"p{n}", "prompt": f"question {n}", **base} for n in range(3)]
    write_atomic(folder / "run.toml", "")
    for name, rows in (("prompts", prompts), ("iter0", answers)):
        write_atomic(folder / "eval" / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    main(parse(Config, ["--model", "iter3"], "evals.alpaca"))
    message = capsys.readouterr().err.splitlines()[0]
    assert "HF_HUB_OFFLINE is set" in message
    assert "eval/prompts.jsonl" in message
    results = folder / "evals" / "iter3" / "alpaca_eval"
    assert {row["generator_1"] for row in annotations(results)} == {"iter0"}
    assert len(list(read_rows(results / "responses.jsonl", Response))) == 3


def test_a_judge_that_would_rather_say_something_else_is_warned_of(
    evaluate: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(scripted(logprobs=lambda *_: [math.log(0.002), math.log(0.004)]))
    assert "warning: new: probability that the judge gives to the choices: 0.006" in capsys.readouterr().err
    evaluate(scripted(), out="other")
    assert "probability that the judge gives" not in capsys.readouterr().err


def test_ray_that_is_not_there_is_said_before_anything_is_written(
    evaluate: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.shards.options.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="--on ray needs Ray"):
        evaluate(scripted(), "--workers", "2", "--on", "ray")
    assert not (tmp_path / "out").exists()
