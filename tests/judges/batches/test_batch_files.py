import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from console.errors import EngineError, InputError, RowError, StoreError
from engines.scripted import ScriptedEngine
from engines.served.openai_engine import open_openai
from judges.batches import files as batch_files
from judges.batches import parts as batch_parts
from judges.batches.files import export_batch, export_contests, import_batch, import_contests
from judges.judging.judge import Judge, has_every_reply, open_judge
from judges.judging.pairwise import Contest, compare, comparison_id
from judges.options import JudgeOptions
from records import Comparison, Judgment, Response, Store, Usage
from tests.fences import plain
from tests.openai_server import Answer, Server, completion

BATCH, OUTPUT = Path("batch.jsonl"), Path("output.jsonl")
RESPONSES = [
    Response(id=f"r{n}", prompt_id=f"p{n}", prompt="Q", response=f"answer {n} <|im_end|>", model="m") for n in range(6)
]
CONTESTS = [Contest(f"p{n}", "Q", f"left {n}", f"right {n}", "x", "y") for n in range(6)]
TEXT = JudgeOptions(read="text", samples=3, temperature=0.3)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def judge_of(options: JudgeOptions, url: str | None = "http://localhost:1/v1") -> Judge:
    return open_judge(open_openai("some-model", url, "NO_SUCH_KEY", concurrency=2), options, 0)


def by_seed(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Say something that the seed fixes: scores, winners, nothing, a refusal, half a reply."""
    kind = body["seed"] % 8
    if kind == 6:
        return completion("", refusal="no")
    if kind == 7:
        return completion("Score: 3", "length")
    return completion(f"Score: {kind}\nBetter: {'AB'[kind % 2]}")


def with_logprobs(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Answer the first choice of the rubric with a probability that the shown text fixes."""
    text = body["messages"][0]["content"]
    first, second = ("A", "B") if "<answer_a>" in plain(text) else ("3", "4")
    p = 0.3 + 0.1 * (sum(map(ord, text)) % 5)
    likely = [{"token": first, "logprob": math.log(p)}, {"token": second, "logprob": math.log(0.9 - p)}]
    status, found = completion(first)
    found["choices"][0]["logprobs"] = {"content": [{**likely[0], "top_logprobs": likely}]}
    return status, found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def answered(answer: Answer, *paths: Path, out: Path = OUTPUT, form: str = "openai") -> None:
    """Do what a batch server does with the lines of `paths`, in an order of its own."""
    found = []
    for line in (line for path in paths for line in lines(path)):
        assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
        status, body = answer(line["body"])
        error = None
        if status != 200 and form == "vllm":
            body, error = None, body  # type: ignore[assignment]
        response = {"status_code": status, "request_id": "x", "body": body}
        found.append({"id": "b", "custom_id": line["custom_id"], "response": response, "error": error})
    random.Random(0).shuffle(found)
    out.write_text("".join(json.dumps(line) + "\n" for line in found))


def free(rows: Iterator[Judgment] | Iterator[Comparison]) -> dict[str, Judgment | Comparison]:
    """Return the rows by id, without what they cost."""
    return {row.id: replace(row, usage=Usage()) for row in rows}


@pytest.mark.parametrize(
    "options", [TEXT, JudgeOptions(read="structured", samples=2), JudgeOptions(), JudgeOptions(rubric="criteria")]
)
def test_a_batch_gives_the_rows_that_judging_gives(server: Server, options: JudgeOptions) -> None:
    judge = judge_of(options, server.url)
    server.answer = with_logprobs if options.read == "logprobs" else by_seed
    direct = free(judge.judge(RESPONSES))
    assert export_batch(judge, RESPONSES, BATCH) == len(RESPONSES) * judge.n_questions == len(server.asked)
    answered(server.answer, BATCH)
    assert free(import_batch(judge, RESPONSES, [OUTPUT])) == direct and len(direct) == len(RESPONSES)
    if options.read == "text":
        assert len({row.score for row in direct.values()}) > 2  # type: ignore[union-attr]


@pytest.mark.parametrize("orders", ["both", "one"])
@pytest.mark.parametrize("read", ["text", "logprobs"])
def test_a_batch_gives_the_comparisons_that_comparing_gives(server: Server, read: Any, orders: Any) -> None:
    options = JudgeOptions(rubric="pairwise", read=read, samples=2)
    judge = judge_of(options, server.url)
    server.answer = with_logprobs if read == "logprobs" else by_seed
    direct = free(compare(judge, CONTESTS, set(), orders))
    n = export_contests(judge, CONTESTS, BATCH, orders=orders)
    assert n == len(CONTESTS) * (2 if orders == "both" else 1) * judge.n_questions
    answered(server.answer, BATCH)
    assert free(import_contests(judge, CONTESTS, [OUTPUT], orders=orders)) == direct and len(direct) == len(CONTESTS)
    assert {row.winner for row in direct.values()} > {None} or read == "logprobs"  # type: ignore[union-attr]


@pytest.mark.parametrize("options", [TEXT, JudgeOptions(read="structured"), JudgeOptions()])
def test_a_line_asks_what_the_server_would_be_asked(server: Server, options: JudgeOptions) -> None:
    judge = judge_of(options, server.url)
    server.answer = with_logprobs
    list(judge.judge(RESPONSES))
    export_batch(judge, RESPONSES, BATCH)
    bodies = [line["body"] for line in lines(BATCH)]
    assert sorted(map(json.dumps, bodies)) == sorted(map(json.dumps, server.asked))
    assert all("<|im_end|>" not in body["messages"][0]["content"] for body in bodies)
    assert {body["model"] for body in bodies} == {"some-model"}


def test_the_official_server_is_asked_by_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_SUCH_KEY", "sk")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    export_batch(judge_of(JudgeOptions(), None), RESPONSES[:1], BATCH)
    [line] = lines(BATCH)
    assert line["body"]["max_completion_tokens"] == 8 and "max_tokens" not in line["body"]
    assert (line["body"]["logprobs"], line["body"]["top_logprobs"], line["body"]["temperature"]) == (True, 20, 0.0)
    export_batch(judge_of(TEXT), RESPONSES[:1], BATCH)
    body = lines(BATCH)[0]["body"]
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (256, 0.3, 0.9) and "logprobs" not in body


def test_each_custom_id_is_a_rows_id_and_a_number_and_fits_the_limit() -> None:
    judge = judge_of(TEXT)
    export_batch(judge, RESPONSES, BATCH)
    ids = [line["custom_id"] for line in lines(BATCH)]
    assert ids == [f"{judge.judgment_id(response)}-{n}" for response in RESPONSES for n in range(3)]
    pair = judge_of(JudgeOptions(rubric="pairwise", read="text", samples=1))
    export_contests(pair, CONTESTS[:1], BATCH)
    found = [line["custom_id"] for line in lines(BATCH)]
    assert found == [f"{comparison_id(pair, CONTESTS[0])}-{order}-0" for order in ("ab", "ba")]
    assert all(len(one) <= 64 for one in ids + found)  # the API takes no longer ones


def test_what_is_done_or_cannot_be_asked_is_not_exported_and_not_imported_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge = judge_of(TEXT)
    responses = [replace(RESPONSES[0], response=" "), *RESPONSES[1:]]
    done = {judge.judgment_id(responses[1])}
    assert export_batch(judge, responses, BATCH, done) == 4 * 3
    answered(by_seed, BATCH)
    rows = list(import_batch(judge, responses, [OUTPUT], done))
    assert [row.response_id for row in rows] == ["r0", "r2", "r3", "r4", "r5"]
    assert rows[0].error == "the response is empty" and rows[0].usage.n_calls == 0
    done |= {row.id for row in rows[1:4]}
    assert [row.response_id for row in import_batch(judge, responses, [OUTPUT], done)] == ["r0", "r5"]
    assert "3 answers, 0 failed, 0 missing, 0 repeated, 0 unknown" in capsys.readouterr().err


def test_a_response_that_is_there_twice_is_asked_about_once() -> None:
    judge = judge_of(TEXT)
    twice = [RESPONSES[0], *RESPONSES]
    assert export_batch(judge, twice, BATCH) == len(RESPONSES) * 3
    answered(lambda body: completion(f"Score: {body['messages'][0]['content'].count('answer 0')}"), BATCH)
    found = {row.response_id: row.score for row in import_batch(judge, twice, [OUTPUT])}
    assert found == {one.id: float(one.id == "r0") for one in RESPONSES}


def test_a_contest_that_is_there_twice_is_asked_about_once() -> None:
    judge = judge_of(JudgeOptions(rubric="pairwise", read="text", samples=1))
    twice = [CONTESTS[0], *CONTESTS]
    assert export_contests(judge, twice, BATCH) == len(CONTESTS) * 2
    assert len({line["custom_id"] for line in lines(BATCH)}) == len(CONTESTS) * 2
    answered(lambda body: completion("Better: " + "AB"["left 5" in plain(body["messages"][0]["content"])]), BATCH)
    rows = list(import_contests(judge, twice, [OUTPUT]))
    assert [row.id for row in rows] == [comparison_id(judge, contest) for contest in CONTESTS]
    assert [row.prompt_id for row in rows if row.replies == ["Better: B"] * 2] == ["p5"]


def test_nothing_to_ask_writes_no_file() -> None:
    judge = judge_of(TEXT)
    assert export_batch(judge, RESPONSES, BATCH, {judge.judgment_id(one) for one in RESPONSES}) == 0
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("form", ["openai", "vllm"])
def test_an_error_is_a_failed_call_that_is_tried_again(form: str) -> None:
    judge = judge_of(TEXT)
    export_batch(judge, RESPONSES[:2], BATCH)

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        bad = "answer 0" in body["messages"][0]["content"]
        return (400, {"error": {"message": "too long", "code": "x"}}) if bad else completion("Score: 2")

    answered(answer, BATCH, form=form)
    failed, good = import_batch(judge, RESPONSES[:2], [OUTPUT])
    assert failed.score is None and failed.error == "call failed: 400: too long" and failed.replies == []
    assert (failed.usage.n_calls, failed.usage.n_failed) == (3, 3) and not has_every_reply(failed)
    assert good.score == 2 and (good.usage.n_calls, good.usage.n_failed, good.usage.n_tokens) == (3, 0, 9)


def test_expired_requests_and_lost_lines_are_failed_calls(capsys: pytest.CaptureFixture[str]) -> None:
    judge = judge_of(JudgeOptions(read="text", samples=1))
    export_batch(judge, RESPONSES[:3], BATCH)
    answered(lambda _: completion("Score: 2"), BATCH)
    ids = [line["custom_id"] for line in lines(BATCH)]
    kept = [line for line in lines(OUTPUT) if line["custom_id"] == ids[2]]
    expired = {"custom_id": ids[0], "response": None, "error": {"code": "batch_expired", "message": "it expired"}}
    Path("errors.jsonl").write_text(json.dumps(expired) + "\n")
    OUTPUT.write_text(json.dumps(kept[0]) + "\n")
    rows = list(import_batch(judge, RESPONSES[:3], [Path("errors.jsonl"), OUTPUT]))
    assert [row.score for row in rows] == [None, None, 2]
    assert rows[0].error == "call failed: it expired"
    assert rows[1].error == "call failed: the batch's output has no line for it" and not has_every_reply(rows[1])
    assert "1 answers, 1 failed, 1 missing, 0 repeated, 0 unknown" in capsys.readouterr().err


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_failed_attempt_does_not_replace_an_answer(order: list[int]) -> None:
    judge = judge_of(JudgeOptions(read="text", samples=1))
    export_batch(judge, RESPONSES[:1], BATCH)
    paths = [Path("good.jsonl"), Path("bad.jsonl")]
    answered(lambda _: completion("Score: 2"), BATCH, out=paths[0])
    answered(lambda _: (500, {"error": {"message": "busy"}}), BATCH, out=paths[1])
    [row] = import_batch(judge, RESPONSES[:1], [paths[place] for place in order])
    assert row.score == 2


def test_only_the_samples_that_are_missing_are_exported_and_imported_again() -> None:
    judge, path = judge_of(TEXT), Path("rows.jsonl")
    with Store(path, Judgment, keep=has_every_reply) as store:
        export_batch(judge, RESPONSES[:3], BATCH, store.ids, store.unfinished)
        answered(lambda _: completion("Score: 4"), BATCH)
        kept = [line for line in lines(OUTPUT) if not line["custom_id"].endswith("-1")]
        OUTPUT.write_text("".join(json.dumps(line) + "\n" for line in kept))
        for row in import_batch(judge, RESPONSES[:3], [OUTPUT], store.ids, store.unfinished):
            assert row.score is None and row.missing["1"].endswith("has no line for it")
            store.append(row)
    with Store(path, Judgment, keep=has_every_reply) as store:
        assert export_batch(judge, RESPONSES[:3], BATCH, store.ids, store.unfinished) == 3
        assert [line["custom_id"].split("-")[1] for line in lines(BATCH)] == ["1"] * 3
        answered(lambda _: completion("Score: 1"), BATCH)
        rows = list(import_batch(judge, RESPONSES[:3], [OUTPUT], store.ids, store.unfinished))
    assert [(row.score, row.scores, row.missing) for row in rows] == [(3, [4, 1, 4], {})] * 3


@pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter"])
def test_a_batchs_reply_that_was_cut_off_is_no_verdict(reason: str) -> None:
    judge = judge_of(JudgeOptions(read="text", samples=1))
    export_batch(judge, RESPONSES[:1], BATCH)
    answered(lambda _: completion("Score: 1", reason), BATCH)
    [row] = import_batch(judge, RESPONSES[:1], [OUTPUT])
    assert row.score is None and row.replies == ["Score: 1"] and reason in (row.error or "")


def test_a_reply_without_a_choice_is_a_failed_call() -> None:
    judge = judge_of(JudgeOptions(read="text", samples=1))
    export_batch(judge, RESPONSES[:1], BATCH)
    answered(lambda _: (200, {"choices": []}), BATCH)
    [row] = import_batch(judge, RESPONSES[:1], [OUTPUT])
    assert row.score is None and row.error is not None and row.error.startswith("call failed: ")


def test_no_log_probabilities_is_an_error_and_no_other_way_of_reading() -> None:
    judge = judge_of(JudgeOptions())
    export_batch(judge, RESPONSES[:1], BATCH)
    answered(lambda _: completion("Score: 2"), BATCH)
    with pytest.raises(EngineError, match="no log-probabilities"):
        list(import_batch(judge, RESPONSES[:1], [OUTPUT]))


def test_unknown_custom_ids_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    judge = judge_of(JudgeOptions(read="text", samples=1))
    export_batch(judge, RESPONSES, BATCH)
    answered(by_seed, BATCH)
    assert len(list(import_batch(judge, RESPONSES[:2], [OUTPUT]))) == 2
    said = capsys.readouterr().err
    assert f"unknown custom_id: {judge.judgment_id(RESPONSES[5])}-0" in said and ", 4 unknown" in said


def test_the_answers_to_another_judge_are_refused() -> None:
    judge = judge_of(TEXT)
    export_batch(judge, RESPONSES, BATCH)
    answered(by_seed, BATCH)
    other = judge_of(JudgeOptions(read="text", samples=3, temperature=0.9))
    with pytest.raises(InputError, match="the judge's flags must be those of the export"):
        list(import_batch(other, RESPONSES, [OUTPUT]))


def test_lines_that_are_no_output_are_named_or_stop_the_import(capsys: pytest.CaptureFixture[str]) -> None:
    judge = judge_of(JudgeOptions(read="text", samples=1))
    export_batch(judge, RESPONSES[:1], BATCH)
    with pytest.raises(InputError, match="batch.jsonl: no line is the output of a batch"):
        list(import_batch(judge, RESPONSES[:1], [BATCH]))
    answered(lambda _: completion("Score: 2"), BATCH)
    with OUTPUT.open("a") as file:
        file.write('\n{"custom_id": "torn')
    assert [row.score for row in import_batch(judge, RESPONSES[:1], [OUTPUT])] == [2]
    assert "skipped: output.jsonl:3: not the output of a batch" in capsys.readouterr().err
    with pytest.raises(RowError, match="output.jsonl:3"):
        list(import_batch(judge, RESPONSES[:1], [OUTPUT], strict=True))
    with pytest.raises(InputError, match="none.jsonl: cannot be read"):
        list(import_batch(judge, RESPONSES[:1], [Path("none.jsonl")]))


def test_a_large_batch_is_several_files_and_no_row_is_in_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch_parts, "MAX_REQUESTS", 7)
    monkeypatch.setattr(batch_files, "CHUNK", 4)
    judge = judge_of(TEXT)
    assert export_batch(judge, RESPONSES, BATCH) == 18
    parts = [Path(f"batch-{number:05d}.jsonl") for number in (1, 2, 3)]
    assert sorted(Path().iterdir()) == parts and [len(lines(part)) for part in parts] == [6, 6, 6]
    assert "3 files, batch-00001.jsonl to batch-00003.jsonl" in capsys.readouterr().err
    answered(by_seed, *parts)
    rows = list(import_batch(judge, RESPONSES, [OUTPUT]))
    assert [row.response_id for row in rows] == [one.id for one in RESPONSES]
    assert all(len(row.replies) + row.usage.n_failed <= 3 and row.usage.n_failed == 0 for row in rows)


def test_a_batch_of_many_bytes_is_several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = judge_of(TEXT)
    export_batch(judge, RESPONSES, BATCH)
    size = BATCH.stat().st_size
    monkeypatch.setattr(batch_parts, "MAX_BYTES", int(0.6 * size))
    export_batch(judge, RESPONSES, BATCH)
    sizes = [part.stat().st_size for part in sorted(Path().glob("batch-0000?.jsonl"))]
    assert len(sizes) == 2 and sum(sizes) == size and max(sizes) <= 0.6 * size


def test_an_earlier_export_is_set_aside_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = judge_of(TEXT)
    with monkeypatch.context() as small:
        small.setattr(batch_parts, "MAX_REQUESTS", 6)
        export_batch(judge, RESPONSES, BATCH)
    export_batch(judge, RESPONSES[:2], BATCH)
    assert sorted(path.name for path in Path().glob("*.jsonl")) == ["batch.jsonl"]
    assert len(list(Path().glob("batch-*.jsonl.1"))) == 3


def test_an_export_that_is_stopped_leaves_nothing() -> None:
    def broken() -> Iterator[Response]:
        yield from RESPONSES
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as small:
        small.setattr(batch_files, "CHUNK", 2)
        with pytest.raises(KeyboardInterrupt):
            export_batch(judge_of(TEXT), broken(), BATCH)
    assert list(Path().iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error() -> None:
    Path("file").touch()
    with pytest.raises(StoreError):
        export_batch(judge_of(TEXT), RESPONSES, Path("file/batch.jsonl"))


def test_a_model_of_this_process_has_no_batch() -> None:
    judge = open_judge(ScriptedEngine(), TEXT, 0)
    with pytest.raises(InputError, match="give --engine openai"):
        export_batch(judge, RESPONSES, BATCH)


def test_a_call_that_is_answered_twice_counts_once_and_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    judge = judge_of(TEXT)
    export_batch(judge, RESPONSES, BATCH)
    answered(by_seed, BATCH)
    once = list(import_batch(judge, RESPONSES, [OUTPUT]))
    OUTPUT.write_bytes(OUTPUT.read_bytes() * 2)
    assert list(import_batch(judge, RESPONSES, [OUTPUT])) == once
    assert f"{len(lines(OUTPUT)) // 2} lines have a custom_id that was there before" in capsys.readouterr().err
