"""Anthropic's models at their OpenAI-compatible address, by the shape of its replies.

Source: platform.claude.com, "OpenAI SDK compatibility" (November 2026). seed, logprobs and response_format are ignored,
token details are empty, and errors have OpenAI's envelope around Anthropic's types and words.
"""

from typing import Any

import pytest

from console.errors import EngineError
from engines.protocol import NoLogprobsError, Request, Sampling
from engines.served.openai_engine import OpenAIEngine, open_openai
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from records import Response
from tests.openai_server import Server

ASK = [Request([{"role": "user", "content": "question"}], seed=1)]
ANSWER = [Response(id="r", prompt_id="p", prompt="Q", response="A", model="m")]
MODELS = {
    "data": [
        {"type": "model", "id": "claude-opus-5", "display_name": "Claude Opus 5", "created_at": "2026-02-04T00:00:00Z"}
    ],
    "has_more": False,
    "first_id": "claude-opus-5",
    "last_id": "claude-opus-5",
}


def claude(text: str, finish: str = "stop") -> tuple[int, dict[str, Any]]:
    """Return a reply as the compatible address makes it."""
    message = {"role": "assistant", "content": text, "refusal": None, "audio": None, "tool_calls": None}
    return 200, {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "claude-opus-5",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": 21,
            "completion_tokens": 12,
            "total_tokens": 33,
            "prompt_tokens_details": None,
            "completion_tokens_details": None,
        },
        "service_tier": None,
        "system_fingerprint": None,
    }


def error(status: int, kind: str, message: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    body = {"error": {"code": kind, "message": message, "type": kind, "param": None}}
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def engine(server: Server, monkeypatch: pytest.MonkeyPatch) -> OpenAIEngine:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    server.get = lambda _: (200, MODELS)
    return open_openai("claude-opus-5", server.url, "ANTHROPIC_API_KEY", 1)


def test_a_verdict_in_text_is_read_with_its_tokens(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: claude("The answer is right.\n\nScore: 4")
    [row] = open_judge(engine, JudgeOptions(read="text", samples=1), 0).judge(ANSWER)
    assert row.score == 4 and (row.usage.n_prompt_tokens, row.usage.n_tokens, row.usage.n_cached_tokens) == (21, 12, 0)
    assert server.headers[0]["Authorization"] == "Bearer sk-ant-secret"


def test_one_of_two_settings_that_exclude_each_other_is_left_out(server: Server, engine: OpenAIEngine) -> None:
    words = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    server.answer = lambda body: (
        error(400, "invalid_request_error", words) if {"temperature", "top_p"} <= set(body) else claude("ok")
    )
    [found] = engine.generate(ASK, Sampling())
    assert found.text == "ok" and engine.parameters.not_sent == ("top_p",)


def test_log_probabilities_that_are_ignored_are_no_reading(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: claude("4")
    with pytest.raises(NoLogprobsError, match="claude-opus-5: .*log-probabilities"):
        list(engine.choose(ASK, ("1", "2", "3", "4")))


def test_a_schema_that_is_ignored_gives_no_number_from_prose(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: claude("I would say this deserves four of five points.")
    [row] = open_judge(engine, JudgeOptions(read="structured", samples=1), 0).judge(ANSWER)
    assert row.score is None and row.error


def test_an_overloaded_server_is_asked_again_as_it_says(server: Server, engine: OpenAIEngine) -> None:
    answers = iter([error(529, "overloaded_error", "Overloaded", x_should_retry="true", retry_after="0")])
    server.answer = lambda _: next(answers, None) or claude("ok")
    [found] = engine.generate(ASK, Sampling())
    assert (found.text, found.n_calls, found.n_failed) == ("ok", 2, 1)


@pytest.mark.parametrize(
    ("status", "kind", "words", "hint"),
    [
        (401, "authentication_error", "invalid x-api-key", "is the key right"),
        (404, "not_found_error", "model: claude-opus-x", "is the model served there"),
    ],
)
def test_what_is_wrong_for_all_is_told_in_its_words(
    server: Server, engine: OpenAIEngine, status: int, kind: str, words: str, hint: str
) -> None:
    server.answer = lambda _: error(status, kind, words, x_should_retry="false")
    with pytest.raises(EngineError, match=f"{status}: {words}; .*{hint}"):
        list(engine.generate(ASK, Sampling()))


@pytest.mark.parametrize("status", [200, 401])
def test_its_list_of_models_adds_nothing_but_its_name(server: Server, engine: OpenAIEngine, status: int) -> None:
    server.get = lambda _: (status, MODELS if status == 200 else {"error": {"message": "x-api-key header is required"}})
    assert engine.digest == engine.digest_by_name and server.gets == ["/v1/models"]
