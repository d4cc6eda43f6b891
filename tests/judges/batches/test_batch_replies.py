"""What the lines of a batch's output may look like, from servers and gateways of all kinds."""

import json
from pathlib import Path
from typing import Any

import pytest

from engines.served.openai_engine import open_openai
from judges.batches.files import export_batch, import_batch
from judges.judging.judge import open_judge
from judges.library import response_of
from judges.options import JudgeOptions
from records import Judgment
from tests.openai_server import completion

GOOD = completion("Score: 2")[1]
PARTS = completion([{"type": "thinking", "thinking": "Score: 1"}, {"type": "text", "text": "Score: 2"}])[1]
BUSY = {"error": {"message": "busy", "code": 503}}
CONTENT = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def imported(*outputs: Any) -> Judgment:
    """Return the row of one response whose call has these lines, each without its custom_id."""
    options = JudgeOptions(read="text", samples=1)
    judge = open_judge(open_openai("m", "http://127.0.0.1:9/v1", "NO_KEY", 1), options, 0)
    responses = [response_of("Q", "an answer", None)]
    export_batch(judge, responses, Path("batch.jsonl"))
    custom_id = json.loads(Path("batch.jsonl").read_text())["custom_id"]
    Path("out.jsonl").write_text("".join(json.dumps({"custom_id": custom_id} | one) + "\n" for one in outputs))
    [row] = import_batch(judge, responses, [Path("out.jsonl")])
    return row


@pytest.mark.parametrize(
    "output",
    [
        {"response": {"status_code": 200, "body": GOOD}, "error": None},
        {"response": {"status_code": 200, "body": PARTS}},
        {"response": {"status_code": "200", "body": GOOD}, "error": {}},
        {"response": {"status_code": None, "body": GOOD}, "error": ""},
        {"response": {"body": GOOD | {"usage": None}}, "error": {"code": None, "message": None}},
        {"response": {"body": GOOD | {"usage": {"completion_tokens": None}}, "request_id": 7}, "id": None},
    ],
)
def test_only_what_is_used_of_a_line_decides(output: dict[str, Any]) -> None:
    row = imported(output)
    assert (row.score, row.error, row.replies) == (2, None, ["Score: 2"])


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"response": {"status_code": 200, "body": BUSY}}, "503: busy"),
        ({"response": {"status_code": "429", "body": BUSY}}, "429: busy"),
        ({"response": {"status_code": 500, "body": None}, "error": BUSY}, "500: busy"),
        ({"response": None, "error": {"code": "batch_expired", "message": "it expired"}}, "it expired"),
        ({"response": {"status_code": 200, "body": None}}, "the reply is no chat completion"),
        ({"response": {"status_code": 200, "body": {"choices": [{"error": BUSY["error"]}]}}}, "503: busy"),
        ({"response": {"status_code": 200, "body": completion(None, "content_filter")[1]}}, "content_filter"),
        ({"response": {"status_code": 200, "body": completion("")[1]}}, "the reply is empty"),
    ],
)
def test_a_line_without_a_reply_is_a_failed_call_with_the_providers_words(output: dict[str, Any], reason: str) -> None:
    row = imported(output)
    assert row.score is None and row.replies == [] and row.error is not None and reason in row.error


def test_the_tokens_of_a_reply_that_is_none_are_counted() -> None:
    usage = imported({"response": {"status_code": 200, "body": CONTENT}}).usage
    assert (usage.n_prompt_tokens, usage.n_tokens, usage.n_calls, usage.n_failed) == (7, 3, 1, 1)


@pytest.mark.parametrize("bad", [BUSY, {"choices": []}, None, completion("Score: 4")[1] | BUSY])
@pytest.mark.parametrize("first", [True, False])
def test_an_error_with_a_good_status_does_not_replace_an_answer(bad: Any, first: bool) -> None:
    good = {"response": {"status_code": 200, "body": GOOD}}
    lines = [{"response": {"status_code": 200, "body": bad}}, good]
    assert imported(*(lines if first else lines[::-1])).score == 2
