import json
from typing import Any

import pytest

from engines.served.replies.body import BrokenReply
from engines.served.replies.chat_reply import ChatReply, Tokens, decode, no_text, tokens_of
from tests.openai_server import completion


def read(**changes: Any) -> ChatReply:
    """What is read from a good reply with other fields at its top, in its choice and in its message."""
    body = completion("Fine.\nScore: 4")[1]
    body["choices"][0]["message"] |= changes.pop("message", {})
    body["choices"][0] |= changes.pop("choice", {})
    return decode(json.dumps(body | changes).encode())


def broken(body: Any) -> BrokenReply:
    with pytest.raises(BrokenReply) as caught:
        decode(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": None},
        {"usage": {"prompt_tokens": None, "completion_tokens": None}},
        {"usage": {"prompt_tokens": "many", "completion_tokens": [3]}},
        {"usage": "free"},
        {"id": None, "created": "yesterday", "model": 7, "service_tier": {}},
        {"error": None},
        {"error": {}},
        {"error": {"code": None, "message": ""}},
        {"choice": {"index": None, "logprobs": [], "error": None}},
        {"choice": {"index": "0", "finish_reason": None}},
        {"choice": {"logprobs": {"content": [{"token": None}]}}},
        {"message": {"role": None, "refusal": None, "audio": 3, "annotations": "x", "tool_calls": []}},
        {"message": {"refusal": ""}},
        {"message": {"refusal": False}},
        {"prompt_logprobs": [None, {"1": {"logprob": "NaN"}}]},
    ],
    ids=str,
)
def test_fields_that_are_not_used_cost_no_reply(changes: dict[str, Any]) -> None:
    [reply] = read(**changes).choices
    assert reply.message.content == "Fine.\nScore: 4" and no_text(reply) is None


@pytest.mark.parametrize(
    ("indices", "read"),
    [((1, 0), "second"), ((0, 1), "first"), ((2, 1, 0), "third"), ((None, None), "first"), ((1, 2), "first")],
)
def test_of_several_choices_the_one_with_the_index_0_is_read(indices: tuple[int | None, ...], read: str) -> None:
    body = completion("")[1]
    texts = ("first", "second", "third")
    body["choices"] = [{"index": i, "message": {"content": text}} for i, text in zip(indices, texts, strict=False)]
    assert decode(json.dumps(body).encode()).choices[0].message.content == read


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            [{"type": "thinking", "thinking": "Score: 1"}, {"type": "text", "text": "Fine.\nScore: 4"}],
            "Fine.\nScore: 4",
        ),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "5"}]}, {"type": "text", "text": "4"}], "4"),
        ([{"type": "text", "text": "Fine.\n"}, {"type": "text", "text": "Score: 4"}], "Fine.\nScore: 4"),
        ([{"type": "output_text", "text": "4", "annotations": []}], "4"),
        ([{"type": "reasoning", "text": "Score: 1"}, {"type": "text", "text": {"value": "4"}}], "4"),
        ([{"text": "4"}], "4"),
        (["Score: ", "4"], "Score: 4"),
        ({"type": "text", "text": "4"}, "4"),
        ([{"type": "tool_use", "name": "f", "input": {}}, {"type": "text", "text": "4"}, None, 7], "4"),
    ],
)
def test_the_parts_of_a_text_are_joined_and_reasoning_is_left_out(content: Any, text: str) -> None:
    assert read(message={"content": content}).choices[0].message.content == text


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"message": {"content": None}}, "the reply is empty"),
        ({"message": {"content": ""}}, "the reply is empty"),
        ({"message": {"content": " \n"}}, "the reply is empty"),
        ({"message": {}}, "the reply is empty"),
        ({"message": {"content": []}}, "the reply is empty"),
        (
            {"message": {"content": None}, "finish_reason": "content_filter"},
            "the reply is empty: it ended with content_filter",
        ),
        ({"message": {"content": "", "tool_calls": [{"id": "1"}]}}, "the reply is empty: it only calls tools"),
        ({"message": {"function_call": {"name": "f"}}}, "the reply is empty: it only calls tools"),
        ({"message": {"content": "", "reasoning_content": "Hm."}}, "the reply is empty: it has only reasoning"),
        ({"message": {"content": None, "reasoning": "Hm."}}, "the reply is empty: it has only reasoning"),
        (
            {"message": {"content": [{"type": "thinking", "thinking": "Hm."}]}},
            "the reply is empty: it has only reasoning",
        ),
        (
            {"message": {"content": "", "reasoning": "Hm"}, "finish_reason": "length"},
            "the reply was cut off inside its reasoning: raise --thinking-tokens or --max-new-tokens",
        ),
        (
            {"message": {"content": ""}, "finish_reason": "max_tokens"},
            "the reply was cut off before it had any text: raise --max-new-tokens",
        ),
        ({"message": {"content": "", "refusal": "I will not."}}, "refused: I will not."),
        ({"message": {"content": [{"type": "refusal", "refusal": "No."}]}}, "refused: No."),
        ({"message": {"content": "Sure", "refusal": True}}, "refused: the server says no more"),
    ],
    ids=str,
)
def test_a_reply_without_a_text_says_what_it_is(choice: dict[str, Any], reason: str) -> None:
    assert no_text(decode(json.dumps({"choices": [choice]}).encode()).choices[0]) == reason


@pytest.mark.parametrize(
    ("found", "reason"),
    [("stop", "stop"), (None, None), (7, "7"), ({"type": "stop"}, "stop"), ({"x": 1}, "unknown"), (True, "True")],
)
def test_a_finish_reason_of_another_form_is_still_one(found: Any, reason: str | None) -> None:
    assert read(choice={"finish_reason": found}).choices[0].finish_reason == reason


@pytest.mark.parametrize(
    ("body", "reason", "status", "may_pass"),
    [
        ({"error": {"message": "slow down", "code": 429}}, "429: slow down", 429, True),
        ({"error": {"message": "slow down", "code": "429"}}, "429: slow down", 429, True),
        ({"error": {"message": "upstream", "code": "502 Bad Gateway"}}, "502: upstream", 502, True),
        ({"error": {"message": "m", "code": "rate_limit_exceeded"}}, "429: m", 429, True),
        ({"error": {"message": "m", "type": "overloaded_error"}}, "503: m", 503, True),
        ({"error": {"message": "m", "status": "RESOURCE_EXHAUSTED"}}, "429: m", 429, True),
        ({"error": {"message": "m", "type": "InternalServerError", "code": None}}, "503: m", 503, True),
        ({"error": {"message": "m", "metadata": {"provider": {"status_code": 503}}}}, "503: m", 503, True),
        ({"error": {"message": "m", "metadata": {"raw": '{"error": {"code": 529}}'}}}, "529: m", 529, True),
        ({"error": {"error": {"message": "m", "code": 500}}}, "500: m", 500, True),
        ([{"error": {"message": "m", "code": 503}}], "503: m", 503, True),
        ({"object": "error", "message": "m", "code": 500}, "500: m", 500, True),
        ({"message": "m", "status": 503}, "503: m", 503, True),
        ({"error": "429 Too Many Requests"}, "429 Too Many Requests", 429, True),
        ({"error": {"message": "at most 512 tokens", "code": 400}}, "400: at most 512 tokens", 400, False),
        ({"error": {"message": "m", "code": 401}}, "401: m", 401, False),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, "m", None, False),
        ({"error": {"message": "m", "code": 1302}}, "m", None, False),
        ({"error": {"message": "m", "code": True}}, "m", None, False),
        ({"error": "no model"}, "no model", None, False),
        ({"error": "at most 512 tokens"}, "at most 512 tokens", None, False),
        ({"error": {"message": "m"}, "choices": [{"message": {"content": "Score: 4"}}]}, "m", None, False),
        ({"choices": [{"error": {"code": 502, "message": "m"}, "message": {"content": "Sc"}}]}, "502: m", 502, True),
        (
            {"choices": [{"error": "gone", "message": {"content": "Score: 4"}, "finish_reason": "stop"}]},
            "gone",
            None,
            False,
        ),
        (b"", "the body of the reply is empty", None, True),
        (b'{"choices": [{"message": {"content": "Sco', "the body of the reply is no whole JSON: ", None, True),
        (b"<html>\n<b>Bad gateway", "the body of the reply is no whole JSON: <html> <b>Bad gateway", None, True),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "the reply is nested too deeply", None, False),
        (b"[" * 100_000, "the reply is nested too deeply", None, False),
        ({"choices": {"0": 1}}, "the reply has no choices: ", None, False),
        ({"choices": [None]}, "the reply has no choices: ", None, False),
        ({"choices": [{"message": "Score: 4"}]}, "the reply has no message: ", None, False),
        ({"choices": [{"message": {"content": 4}}]}, "the reply's content is no text: 4", None, False),
        (b"4", "the reply is no chat completion", None, False),
        (b'"Score: 4"', "the reply is no chat completion", None, False),
        (b"null", "the reply is no chat completion", None, False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_without_a_reply_says_why_and_whether_it_may_pass(
    body: Any, reason: str, status: int | None, may_pass: bool
) -> None:
    found = broken(body)
    assert found.reason.startswith(reason) and (found.status, found.may_pass) == (status, may_pass)


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b" \n", b""])
@pytest.mark.parametrize("field", [b'"x": NaN', b'"x": -Infinity', b'"x": "\xff"', b'"x": "\\ud800"', b'"x": 1e999'])
def test_what_a_json_writer_gets_wrong_elsewhere_costs_no_reply(head: bytes, field: bytes) -> None:
    body = head + b'{"choices": [{"message": {"content": "\xe4\xbd\xa0 4"}}], ' + field + b"}"
    assert decode(body).choices[0].message.content == "\u4f60 4"


def test_a_text_that_is_damaged_is_no_text_and_half_an_emoji_is_replaced() -> None:
    assert broken(b'{"choices": [{"message": {"content": "Score: \xff4"}}]}').may_pass
    half = decode(b'{"choices": [{"message": {"content": "Good \\ud83d"}}]}').choices[0].message.content
    assert half == "Good \ufffd"


@pytest.mark.parametrize(
    ("more", "n_cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0}}, 1024),
        ({"prompt_tokens_details": {"cached_tokens": None}}, 0),
        ({"prompt_tokens_details": None}, 0),
        ({"prompt_tokens_details": {"cached_tokens": 9999}}, 2000),
        ({"prompt_tokens_details": {"cached_tokens": -5}}, 0),
        ({"prompt_cache_hit_tokens": 1024, "prompt_cache_miss_tokens": 976}, 1024),
        ({"input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 0}}, 1024),
        ({}, 0),
    ],
)
def test_cached_tokens_are_a_part_of_the_prompts(more: dict[str, Any], n_cached: int) -> None:
    usage = {"prompt_tokens": 2000, "completion_tokens": 3, "total_tokens": 2003}
    assert tokens_of(usage | more) == Tokens(2000, 3, n_cached)


def test_anthropics_cached_tokens_stand_beside_the_others() -> None:
    usage = {"input_tokens": 20, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 300}
    assert tokens_of(usage | {"output_tokens": 3}) == Tokens(2320, 3, 2000)
    openais = {"prompt_tokens": 2320, "completion_tokens": 3, "cache_read_input_tokens": 2000}
    assert tokens_of(openais) == Tokens(2320, 3, 2000)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({"input_tokens": 7, "output_tokens": 3}, (7, 3)),
        ({"prompt_tokens": 7, "completion_tokens": None, "total_tokens": 10}, (7, 3)),
        ({"prompt_tokens": 7, "total_tokens": 10}, (7, 3)),
        ({"completion_tokens": 3, "total_tokens": 10}, (7, 3)),
        ({"prompt_tokens": "7", "completion_tokens": 3.0}, (7, 3)),
        ({"prompt_tokens": -7, "completion_tokens": -3}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": [3]}, (0, 0)),
        ({"prompt_tokens": 10**400, "completion_tokens": float("inf")}, (0, 0)),
        ({"prompt_tokens": float("nan"), "completion_tokens": 3}, (0, 3)),
        (None, (0, 0)),
        ([7, 3], (0, 0)),
    ],
)
def test_tokens_are_counted_where_they_are_told_and_never_below_none(usage: Any, expected: tuple[int, int]) -> None:
    assert tokens_of(usage) == Tokens(*expected)


@pytest.mark.parametrize(
    "body", [{"choices": []}, {"error": {"code": 400}}, {"choices": [{"message": None}]}, {"choices": [{"error": "x"}]}]
)
def test_the_tokens_of_a_reply_that_is_none_are_counted_too(body: dict[str, Any]) -> None:
    found = broken(body | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    assert (found.n_prompt_tokens, found.n_tokens) == (7, 3)


@pytest.mark.parametrize(
    "logprobs",
    [
        {
            "content": [
                {"token": "4", "logprob": -0.5, "bytes": [52], "top_logprobs": [{"token": "4", "logprob": -0.5}]}
            ]
        },
        {"content": [{"token": "4", "logprob": -0.5, "bytes": "4", "top_logprobs": {"4": -0.5}}]},
        {"tokens": ["4"], "token_logprobs": [-0.5], "top_logprobs": [{"4": -0.5}], "text_offset": [0]},
    ],
)
def test_tokens_are_read_from_every_form_of_listing_them(logprobs: dict[str, Any]) -> None:
    found = read(choice={"logprobs": logprobs}).choices[0].logprobs
    assert found is not None and found.content is not None
    [token] = found.content
    assert (token.token, token.logprob) == ("4", -0.5)
    assert token.top_logprobs is not None and [(top.token, top.logprob) for top in token.top_logprobs] == [("4", -0.5)]


@pytest.mark.parametrize("logprob", [None, "x", True, [], 10**400])
def test_a_listed_token_without_a_number_is_not_left_out_silently(logprob: Any) -> None:
    listed = [{"token": "4", "logprob": -0.5, "top_logprobs": [{"token": "5", "logprob": logprob}]}]
    found = read(choice={"logprobs": {"content": listed}}).choices[0].logprobs
    assert found is not None and found.content is not None
    assert found.content[0].top_logprobs is not None
    [other] = found.content[0].top_logprobs
    assert other.token == "5" and other.logprob != other.logprob
