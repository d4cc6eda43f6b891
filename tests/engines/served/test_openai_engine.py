import math
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from console.errors import EngineError, InputError
from engines.protocol import Request, Sampling
from engines.served.openai_engine import OpenAIEngine, open_openai
from tests.openai_server import Server, completion

ASK = [Request([{"role": "user", "content": f"question {number}"}], seed=number) for number in range(5)]


@pytest.fixture
def engine(server: Server, monkeypatch: pytest.MonkeyPatch) -> OpenAIEngine:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    found = open_openai("m", server.url, "SOME_KEY", concurrency=2)
    yield found


def test_each_request_is_answered_with_its_own_text_and_usage(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda body: completion(f"answer to {body['messages'][0]['content']}")
    found = {c.index: c for c in engine.generate(ASK, Sampling(9, 0.5, 0.8, ("END",)), done={1})}
    assert sorted(found) == [0, 2, 3, 4]
    assert found[3].text == "answer to question 3" and found[3].n_prompt_tokens == 7 and found[3].n_tokens == 3
    asked, headers = next(one for one in zip(server.asked, server.headers, strict=True) if one[0]["seed"] == 3)
    assert (asked["max_tokens"], asked["temperature"], asked["top_p"], asked["stop"]) == (9, 0.5, 0.8, ["END"])
    assert headers["Authorization"] == "Bearer sk-secret"


def test_no_more_calls_than_the_limit_are_under_way(server: Server, engine: OpenAIEngine) -> None:
    def slow(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        threading.Event().wait(0.05)
        return completion("x")

    server.answer = slow
    assert len(list(engine.generate(ASK * 2, Sampling()))) == 10
    assert server.most_at_once == 2


def test_a_passing_server_error_is_retried(server: Server, engine: OpenAIEngine) -> None:
    statuses = iter([500, 429])
    server.answer = lambda _: (
        (status, {"error": {"message": "busy"}}) if (status := next(statuses, None)) else completion("ok")
    )
    [found] = engine.generate(ASK[:1], Sampling())
    assert found.text == "ok" and found.error is None and len(server.asked) == 3
    assert (found.n_calls, found.n_failed) == (3, 2) and found.seconds > 0


@pytest.mark.parametrize(("status", "n_calls"), [(400, 1), (500, 5)])
def test_every_attempt_of_a_failed_call_is_counted(
    server: Server, engine: OpenAIEngine, status: int, n_calls: int
) -> None:
    server.answer = lambda _: (status, {"error": {"message": "no"}})
    [found] = engine.generate(ASK[:1], Sampling())
    assert found.error is not None and len(server.asked) == n_calls
    assert found.n_calls == found.n_failed == n_calls


def test_a_call_takes_as_long_as_its_answer_and_a_good_one_counts_once(server: Server, engine: OpenAIEngine) -> None:
    def slow(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        threading.Event().wait(0.1)
        return completion("x")

    server.answer = slow
    [found] = engine.generate(ASK[:1], Sampling())
    assert 0.1 <= found.seconds < 2 and (found.n_calls, found.n_failed) == (1, 0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"detail": "x"}, "the reply has no choices: {'detail': 'x'}"),
        ({"choices": []}, "the reply has no choices: {'choices': []}"),
        ({"choices": [{"message": {"content": 7}}]}, "the reply's content is no text: 7"),
        ({"choices": [{"delta": {"content": "x"}}]}, "the reply has no message"),
        ([], "the reply is no chat completion"),
    ],
)
def test_a_reply_that_is_no_completion_is_that_rows_error(
    server: Server, engine: OpenAIEngine, reply: dict[str, Any], reason: str
) -> None:
    server.answer = lambda body: (200, reply) if body["seed"] == 1 else completion("ok")
    found = {c.index: c for c in engine.generate(ASK[:2], Sampling())}
    assert found[0].text == "ok" and found[1].text == "" and (found[1].n_calls, found[1].n_failed) == (1, 1)
    assert found[1].error is not None and found[1].error.startswith(f"call failed: {reason}")


@pytest.mark.parametrize(("sent", "n_calls"), [(b"", 5), (b"what?\r\n\r\n", 5)], ids=["nothing", "rubbish"])
def test_a_server_that_hangs_up_or_talks_rubbish_is_that_rows_error(
    server: Server, engine: OpenAIEngine, sent: bytes, n_calls: int
) -> None:
    server.answer = lambda body: sent if body["seed"] == 1 else completion("ok")
    list(engine.generate(ASK[:1], Sampling()))
    [found] = engine.generate(ASK[:2], Sampling(), done={0})
    assert found.error is not None and found.error.startswith("call failed: ")
    assert len(server.asked) == 1 + n_calls and found.n_calls == found.n_failed == n_calls


def test_a_schema_is_sent_for_the_server_to_force(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion('{"score": 4}')
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}}
    chat = ASK[0].messages
    list(engine.generate([Request(chat, seed=0, schema=schema), Request(chat, seed=1)], Sampling()))
    asked = {body["seed"]: body for body in server.asked}
    verdict = {"name": "verdict", "schema": schema, "strict": True}
    assert asked[0]["response_format"] == {"type": "json_schema", "json_schema": verdict}
    assert "response_format" not in asked[1]


class Lazy(Sequence[Request]):
    """Makes each request when it is asked for."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.made: list[int] = []

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int | slice) -> Any:
        assert isinstance(index, int)
        self.made.append(index)
        return Request([{"role": "user", "content": f"question {index}"}], seed=index)


def test_a_long_list_is_asked_about_as_far_as_it_is_needed(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion("ok")
    asked = Lazy(1_000_000)
    found = engine.generate(asked, Sampling(), done={0, 2})
    assert next(found).index in (1, 3)
    found.close()  # type: ignore[attr-defined]
    assert asked.made[:3] == [1, 3, 4] and len(asked.made) < 20


def test_a_lasting_error_of_one_call_is_that_rows_error_and_never_a_text(server: Server, engine: OpenAIEngine) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        bad = body["seed"] == 2
        return (400, {"error": {"message": "the context is too long"}}) if bad else completion("ok")

    server.answer = answer
    found = {c.index: c for c in engine.generate(ASK, Sampling())}
    assert found[2].text == "" and found[2].error is not None and "the context is too long" in found[2].error
    assert all(found[index].text == "ok" for index in (0, 1, 3, 4))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_wrong_for_every_call_stops_at_once(server: Server, engine: OpenAIEngine, status: int) -> None:
    server.answer = lambda _: (status, {"error": {"message": "no such model"}})
    with pytest.raises(EngineError, match="no such model") as caught:
        list(engine.generate(ASK, Sampling()))
    assert "sk-secret" not in str(caught.value)


def test_an_unreachable_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    engine = open_openai("m", "http://127.0.0.1:9/v1", "NO_KEY", concurrency=2)
    with pytest.raises(EngineError, match=r"http://127\.0\.0\.1:9/v1: no server answers there"):
        list(engine.generate(ASK, Sampling()))


def test_the_official_api_without_a_key_is_refused_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="set NO_KEY, or name a server with --base-url"):
        open_openai("gpt", None, "NO_KEY", 1)


def token(text: str, tops: dict[str, float]) -> dict[str, Any]:
    listed = [{"token": name, "logprob": math.log(p), "bytes": None} for name, p in tops.items()]
    return {"token": text, "logprob": math.log(tops.get(text, 0.5)), "bytes": None, "top_logprobs": listed}


def test_choices_are_read_where_the_reply_names_one_and_spellings_are_added_up(
    server: Server, engine: OpenAIEngine
) -> None:
    tokens = [
        token("Score", {"Score": 0.9}),
        token(":", {":": 1.0}),
        token(" 4", {" 4": 0.5, "4": 0.1, "3": 0.2, " x": 0.2}),
    ]
    server.answer = lambda _: completion("Score: 4", logprobs=tokens)
    [found] = engine.choose(ASK[:1], ["3", "4", "5"])
    assert found.logprobs[0] == pytest.approx(math.log(0.2))
    assert found.logprobs[1] == pytest.approx(math.log(0.6))
    assert found.logprobs[2] == -math.inf
    assert server.asked[0]["temperature"] == 0 and server.asked[0]["top_logprobs"] == 20


def test_a_choice_of_several_tokens_is_read_over_all_of_them(server: Server, engine: OpenAIEngine) -> None:
    tokens = [token("1", {"1": 0.6, "8": 0.4}), token("0", {"0": 0.75, "\n": 0.25})]
    server.answer = lambda _: completion("10", logprobs=tokens)
    [found] = engine.choose(ASK[:1], ["1", "8", "10"])
    assert found.logprobs == pytest.approx([math.log(p) for p in (0.15, 0.4, 0.45)])
    assert server.asked[0]["max_tokens"] == 9 and (found.n_calls, found.n_failed) == (1, 0) and found.seconds > 0


def test_a_reply_that_names_no_choice_has_no_verdict(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion("I think", logprobs=[token("I", {"I": 1.0}), token(" think", {" think": 1.0})])
    [found] = engine.choose(ASK[:1], ["3", "4"])
    assert found.logprobs == () and found.error == "the reply names no choice: 'I think'"


def test_a_server_without_log_probabilities_is_an_error_not_a_fallback(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion("Score: 4")
    with pytest.raises(EngineError, match="the server gives no log-probabilities"):
        list(engine.choose(ASK, ["3", "4"]))


def test_a_refusal_is_an_error_and_not_a_text(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion("", refusal="I will not.")
    [found] = engine.generate(ASK[:1], Sampling())
    assert found.text == "" and found.error == "refused: I will not."


def test_special_tokens_of_common_templates_do_not_reach_the_server(server: Server, engine: OpenAIEngine) -> None:
    server.answer = lambda _: completion("ok")
    list(engine.generate([Request([{"role": "user", "content": "a<|im_end|>b</s>"}])], Sampling()))
    assert server.asked[0]["messages"][0]["content"] == "a< |im_end|>b< /s>"
