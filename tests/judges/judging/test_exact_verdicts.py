"""Rows of a judge on a server of vLLM say where their log-probabilities come from, and no other reading mixes in."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from engines.local.transformers_engine import TransformersEngine
from engines.served.openai_engine import OpenAIEngine, open_openai
from judges.calibrate import __main__ as calibrate
from judges.cluster.equivalences.same_meaning import SameMeaning
from judges.compare import __main__ as compare
from judges.judging.judge import Judge, open_judge
from judges.options import JudgeOptions
from judges.panels.rows import without_model
from judges.score import __main__ as score
from judges.tools.claims.verify import JudgeVerifier
from tests.openai_server import Server, completion, token
from tests.vllm_server import Vllm

N = 5
REPLY = completion("4", logprobs=[token("4", {"4": -0.25, "3": -2.0})])


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Vllm:
    return Vllm(tiny_model)


@pytest.fixture(autouse=True)
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{n}", "prompt": f"Q{n}", "response": f"answer {n}", "model": "w"} for n in range(N)]
    for name in "ab":
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row | {"model": name}) + "\n" for row in rows))


@pytest.fixture
def vllm(model: Vllm, server: Server, monkeypatch: pytest.MonkeyPatch) -> Vllm:
    for name, value in {"knows_ids": True, "version": "0.32.0", "chat": REPLY}.items():
        monkeypatch.setattr(model, name, value)
    model.serve(server)
    return model


def engine_of(server: Server) -> OpenAIEngine:
    return open_openai("m", server.url, "NO_KEY", concurrency=2)


def judge_of(server: Server, **options: Any) -> Judge:
    return open_judge(engine_of(server), JudgeOptions(**options), 0)


def run(command: Any, server: Server, *argv: str) -> None:
    flags = ["--engine", "openai", "--model", "m", "--base-url", server.url, "--api-key-env", "NO_KEY"]
    command.main(parse(command.Config, [*argv, *flags], "prog"))


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def n_read(server: Server) -> int:
    return sum("logprob_token_ids" in body for body in server.asked)


def test_a_row_has_the_score_of_the_model_in_process_and_says_where_from(
    server: Server, vllm: Vllm, tiny_model: Path
) -> None:
    run(score, server, "a.jsonl", "--out", "out.jsonl")
    rows = {row["response_id"]: row for row in rows_of("out.jsonl")}
    local = open_judge(TransformersEngine.load(tiny_model, "tiny", 2), JudgeOptions(), 0)
    run_here = {row.response_id: row for row in local.judge(list(read_answers()))}
    for name, row in rows.items():
        assert row["score"] == pytest.approx(run_here[name].score, abs=1e-3)
        assert row["mass"] == pytest.approx(run_here[name].mass, abs=1e-3)
        assert (row["read"], row["choices_from"], run_here[name].choices_from) == (
            "logprobs",
            "vocabulary",
            "vocabulary",
        )
    assert len(rows) == N


def read_answers() -> Any:
    from records import Response

    for n in range(N):
        yield Response(id=f"r{n}", prompt_id=f"r{n}", prompt=f"Q{n}", response=f"answer {n}", model="a")


def test_both_readings_have_names_of_their_own_and_do_not_share_a_file(
    server: Server, vllm: Vllm, capsys: pytest.CaptureFixture[str]
) -> None:
    vllm.knows_ids = False
    run(score, server, "a.jsonl", "--out", "out.jsonl")
    assert {row["choices_from"] for row in rows_of("out.jsonl")} == {"reply"}
    before = Path("out.jsonl").read_bytes()
    vllm.knows_ids = True
    with pytest.raises(InputError, match=r"out\.jsonl"):
        run(score, server, "a.jsonl", "--out", "out.jsonl")
    assert Path("out.jsonl").read_bytes() == before
    told = "out.jsonl: its log-probabilities are of the likeliest tokens of a reply, and those of m now of all tokens"
    assert told in capsys.readouterr().err
    run(score, server, "a.jsonl", "--out", "exact.jsonl")
    assert {row["judge"] for row in rows_of("exact.jsonl")}.isdisjoint(row["judge"] for row in rows_of("out.jsonl"))


def test_a_run_that_stopped_goes_on_to_the_same_rows(server: Server, vllm: Vllm) -> None:
    run(score, server, "a.jsonl", "--out", "whole.jsonl")
    complete, n = vllm.complete, 0

    def stops(body: Any) -> Any:
        nonlocal n
        n += 1
        return complete(body) if n < 4 else (400, {"error": {"message": "out of memory"}})

    vllm.complete = stops  # type: ignore[method-assign]
    try:
        run(score, server, "a.jsonl", "--out", "out.jsonl", "--min-coverage", "0")
        failed = [row for row in rows_of("out.jsonl") if row["score"] is None]
        assert failed and all(row["error"] == "call failed: 400: out of memory" for row in failed)
    finally:
        vllm.complete = complete  # type: ignore[method-assign]
    n_before = n_read(server)
    run(score, server, "a.jsonl", "--out", "out.jsonl")
    assert n_read(server) - n_before == 1 + len(failed)  # that of the probe, and what failed

    def told(name: str) -> Any:
        kept = ("id", "score", "mass", "replies", "choices_from", "judge")
        return sorted([row[key] for key in kept] for row in rows_of(name))

    assert told("out.jsonl") == told("whole.jsonl")


def test_a_comparison_and_a_calibration_are_read_the_same_way(server: Server, vllm: Vllm) -> None:
    run(compare, server, "a.jsonl", "b.jsonl", "--out", "out.jsonl")
    assert {row["choices_from"] for row in rows_of("out.jsonl")} == {"vocabulary"}
    labelled = [{"prompt": f"Q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(4)]
    Path("labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    run(calibrate, server, "labelled.jsonl", "--out", "audit")
    written = [row for path in Path("audit").rglob("*.jsonl") for row in rows_of(str(path))]
    assert {row["choices_from"] for row in written if "choices_from" in row} == {"vocabulary"}
    assert server.paths.count("/v1/chat/completions") == 0


def test_another_reading_asks_no_server_how_it_reads(server: Server, vllm: Vllm) -> None:
    judge = judge_of(server, read="text")
    assert judge.fingerprint and judge.choices_from is None and "/version" not in server.gets
    with_ids, vllm.knows_ids = judge.fingerprint, False
    assert with_ids == judge_of(server, read="text").fingerprint


@pytest.mark.parametrize("flags", [["--dry-run"], ["--export-batch", "batch.jsonl"]])
def test_a_dry_run_and_a_batch_do_not_ask_it_either(server: Server, vllm: Vllm, flags: list[str]) -> None:
    run(score, server, "a.jsonl", *flags)
    assert not server.asked and "/version" not in server.gets


def test_what_else_is_chosen_by_the_model_is_told_apart_too(server: Server, vllm: Vllm) -> None:
    def told() -> list[str]:
        engine = engine_of(server)
        judge = open_judge(engine, JudgeOptions(), 0)
        assert without_model(judge).fingerprint == judge.fingerprint
        return [judge.fingerprint, SameMeaning(engine).digest, JudgeVerifier(engine).digest]

    exact, vllm.knows_ids = told(), False
    assert not set(exact) & set(told())
