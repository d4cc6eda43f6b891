import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from console.errors import EngineError
from engines.options import EngineOptions
from judges.options import JudgeOptions, PanelOptions
from judges.serve.options import Config, Limits
from judges.tools.options import EvidenceOptions
from records import Judgment, read_rows
from tests.judges.opened import patch_open_engine
from tests.judges.serve.conftest import LengthJudge, Serve
from tests.judges.serve.running import Running, running


def score(server: Running, *answers: str) -> list[Any]:
    status, reply = server.post("/score", {"rows": [{"prompt": "Q", "response": answer} for answer in answers]})
    assert status == 200, reply
    return [judgment["score"] for judgment in reply["judgments"]]


def test_answers_are_scored_in_order_and_one_without_a_verdict_is_null(serve: Serve) -> None:
    server = serve()
    assert score(server, "x", "xxx", "", "x" * 9) == [1, 3, None, None]
    status, reply = server.post("/score", {"prompt": "Q", "response": "xx"})
    assert status == 200 and reply["judgments"][0]["score"] == 2 and reply["usage"]["n_calls"] == 1


def test_a_stored_verdict_is_not_asked_for_again_and_costs_nothing(serve: Serve, engine: LengthJudge) -> None:
    server = serve()
    assert score(server, "x", "xx", "x") == [1, 2, 1] and len(engine.asked) == 2
    _, reply = server.post("/score", {"rows": [{"prompt": "Q", "response": "x"}, {"prompt": "Q", "response": "xx"}]})
    assert len(engine.asked) == 2 and reply["usage"]["n_calls"] == 0


def test_a_new_server_goes_on_with_the_verdicts_of_an_earlier_one(
    serve: Serve, engine: LengthJudge, tmp_path: Path
) -> None:
    config = Config(judge=JudgeOptions(read="text", samples=1), out=tmp_path / "kept")
    with running(config) as server:
        assert score(server, "x", "xx") == [1, 2]
    with running(config) as server:
        assert score(server, "xx", "xxx") == [2, 3] and len(engine.asked) == 3
    [path] = (tmp_path / "kept").glob("scores-*.jsonl")
    assert [row.score for row in read_rows(path, Judgment)] == [1, 2, 3]


def test_questions_of_different_callers_are_asked_together_and_equal_ones_once(
    serve: Serve, engine: LengthJudge
) -> None:
    server = serve()
    engine.open.clear()  # the first batch waits while the others come
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(score, server, "x")
        _until(lambda: bool(server.server.bench.desks[0].scores._waiting))  # type: ignore[union-attr]
        later = [pool.submit(score, server, "x" * (2 + n % 4)) for n in range(8)]
        _until(lambda: server.server.n_under_way == 9)
        _until(lambda: len(server.server.bench.desks[0].scores._waiting) == 5)  # type: ignore[union-attr]
        engine.open.set()
        assert first.result() == [1] and [done.result() for done in later] == [[2 + n % 4] for n in range(8)]
    assert engine.batches == [1, 4]


def test_a_batch_has_no_more_questions_than_the_limit(serve: Serve, engine: LengthJudge) -> None:
    server = serve(limits=Limits(batch=2))
    assert score(server, "x", "xx", "xxx", "xxxx", "xxxxx") == [1, 2, 3, 4, 5]
    assert engine.batches == [2, 2, 1]


def test_a_failed_call_is_null_with_its_reason_and_is_asked_again(serve: Serve, engine: LengthJudge) -> None:
    server = serve()
    _, reply = server.post("/score", {"rows": [{"prompt": "Q", "response": "down"}, {"prompt": "Q", "response": "x"}]})
    failed, good = reply["judgments"]
    assert failed["score"] is None and "down" in failed["error"] and good["score"] == 1
    n = len(engine.asked)
    assert score(server, "down", "x") == [None, 1] and len(engine.asked) == n + 1


def test_a_failed_verdict_may_be_asked_for_again_before_its_batch_has_ended(serve: Serve, engine: LengthJudge) -> None:
    server = serve()
    engine.end.clear()
    assert score(server, "down") == [None]
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(score, server, "down")
        _until(lambda: server.server.n_under_way == 1)
        engine.end.set()
        assert again.result() == [None] and len(engine.asked) == 2


def test_only_the_missing_samples_of_a_verdict_are_asked_for_again(serve: Serve, engine: LengthJudge) -> None:
    server = serve(judge=JudgeOptions(read="text", samples=3))
    n = 0

    def second_fails(request: Any) -> str:
        nonlocal n
        n += 1
        if n == 2:
            raise RuntimeError("call failed: once")
        return "Score: 4"

    engine.reply = second_fails
    body = {"prompt": "Q", "response": "x"}
    [first] = server.post("/score", body)[1]["judgments"]
    assert first["score"] is None and len(first["replies"]) == 2
    _, reply = server.post("/score", body)
    assert reply["judgments"][0]["score"] == 4 and n == 4 and reply["usage"]["n_calls"] == 1


def test_an_engine_that_fails_is_an_error_of_the_request_and_not_of_the_next_one(
    serve: Serve, engine: LengthJudge
) -> None:
    server = serve()
    engine.fails = EngineError("the model is gone")
    for path in ("/score", "/reward"):
        status, reply = server.post(path, {"prompt": "Q", "response": "x"})
        assert (status, reply["error"]["message"]) == (503, "the model is gone")
    engine.fails = ZeroDivisionError("a fault")
    assert server.post("/score", {"prompt": "Q", "response": "x"})[0] == 500
    engine.fails = None
    assert score(server, "x") == [1]


def test_two_answers_are_compared_in_both_orders(serve: Serve, engine: LengthJudge) -> None:
    rows = [{"prompt": "Q", "response_a": "x", "response_b": "xx"}, {"prompt": "Q", "chosen": "xx", "rejected": "x"}]
    status, reply = serve().post("/compare", {"rows": rows})
    assert status == 200 and [row["winner"] for row in reply["comparisons"]] == ["b", "a"]
    assert len(engine.asked) == 4 and reply["usage"]["n_calls"] == 4


def test_a_judge_that_compares_refuses_to_score(serve: Serve) -> None:
    server = serve(judge=JudgeOptions(rubric="pairwise", read="text", samples=1))
    assert server.post("/compare", {"prompt": "Q", "response_a": "x", "response_b": ""})[1]["comparisons"]
    status, reply = server.post("/score", {"prompt": "Q", "response": "x"})
    assert status == 400 and reply["error"]["message"] == "this judge scores nothing: its rubric compares two answers"


def test_a_panel_gives_one_verdict_of_all_judges(
    serve: Serve, engine: LengthJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_engine(options: Any) -> LengthJudge:
        member = LengthJudge()
        member.name = member.digest = options.model
        if options.model == "b":
            member.reply = lambda _: "Score: 5"
        return member

    patch_open_engine(monkeypatch, open_engine)
    server = serve(panel=PanelOptions(judge=("a@http://127.0.0.1:1/v1", "b@http://127.0.0.1:1/v1")))
    _, reply = server.post("/score", {"prompt": "Q", "response": "x"})
    [judgment] = reply["judgments"]
    assert judgment["score"] == 3 and judgment["scores"] == [1, 5] and len(judgment["members"]) == 2
    models = server.get("/v1/models")[1]["data"]
    assert models[0]["id"] == "a" and len(models[0]["judges"]["score"]) == 2


def test_a_panel_of_one_model_with_two_rubrics_has_two_votes_on_a_score_and_one_on_a_pair(
    serve: Serve, engine: LengthJudge, tmp_path: Path
) -> None:
    for rubric in ("criteria", "multiple_choice"):
        (tmp_path / f"{rubric}.toml").write_text(f'rubric = "{rubric}"')
    files = tuple(str(tmp_path / f"{rubric}.toml") for rubric in ("criteria", "multiple_choice"))
    server = serve(judge=JudgeOptions(), panel=PanelOptions(judge=files, quorum=2))
    _, reply = server.post("/score", {"prompt": "Q", "response": "x"})
    assert len(reply["judgments"][0]["members"]) == 2
    _, reply = server.post("/compare", {"prompt": "Q", "response_a": "x", "response_b": "xx"})
    assert reply["comparisons"][0]["rubric"] == "pairwise" and reply["usage"]["n_calls"] == 2  # in both orders
    body = {"model": "length", "input": "x", "questions": [{"type": "predicate", "instructions": "It is short."}]}
    status, reply = server.post("/v1/decisions", body)
    assert status == 200 and reply["answers"][0]["probability"] == pytest.approx(2 / 3)


def test_the_form_of_answers_alone_is_scored_without_a_model(tmp_path: Path) -> None:
    with running(Config(evidence=EvidenceOptions(tool="constraints", verify="share"), out=tmp_path)) as server:
        form = [{"kind": "punctuation:no_comma", "kwargs": {}}]
        rows = [{"prompt": "Q", "response": text, "constraints": form} for text in ("a, b", "a b")]
        assert server.post("/reward", {"rows": rows})[1] == {"rewards": [0.0, 5.0], "errors": {}}
        status, reply = server.post("/group", {"prompt": "Q", "responses": ["a", "b"]})
        assert status == 400 and "compares nothing" in reply["error"]["message"]


def test_a_reward_model_serves_its_rewards(tmp_path: Path, tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path / "rm"
    shutil.copytree(tiny_model, folder)
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1).save_pretrained(folder)
    with running(Config(engine=EngineOptions(model=str(folder)), out=tmp_path / "out")) as server:
        status, reply = server.post("/reward", {"rows": [{"prompt": "Q", "response": text} for text in ("a b", "")]})
        assert status == 200 and isinstance(reply["rewards"][0], float) and reply["rewards"][1] is None
        assert reply["errors"] == {"1": "the response is empty"}


def test_metrics_count_requests_verdicts_and_calls(serve: Serve) -> None:
    server = serve()
    score(server, "x", "", "xx")
    score(server, "x")
    server.post("/nowhere", {})
    text = server.get("/metrics")[1]
    for line in (
        'judgeloop_requests_total{path="/score",status="200"} 2.0',
        'judgeloop_requests_total{path="other",status="404"} 1.0',
        'judgeloop_verdicts_total{outcome="verdict"} 2.0',
        'judgeloop_verdicts_total{outcome="null"} 1.0',
        "judgeloop_verdicts_reused_total 1.0",
        'judgeloop_calls_total{outcome="answered"} 2.0',
    ):
        assert line in text.splitlines()


def _until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("it did not come to that")


def test_rows_are_those_of_the_commands(serve: Serve, tmp_path: Path) -> None:
    _, reply = serve().post("/score", {"prompt": "Q", "response": "x"})
    [path] = (tmp_path / "out").glob("scores-*.jsonl")
    assert json.loads(path.read_text()) == reply["judgments"][0]
