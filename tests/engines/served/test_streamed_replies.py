"""Replies that come as a stream of events, cut, doubled or in another encoding: read once, or said to be none."""

import json
from typing import Any

import pytest

from engines.served.replies.body import BrokenReply
from engines.served.replies.chat_reply import ChatReply, decode
from tests.openai_server import completion, token

WHOLE = json.dumps(completion("Score: 4")[1])


def event(delta: Any, finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more.pop("choice", {})}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice], **more})}\n\n"


TEXT = event({"role": "assistant", "content": ""}) + event({"content": "Sco"}) + event({"content": "re: 4"})
USAGE = f"data: {json.dumps({'choices': [], 'usage': {'prompt_tokens': 7, 'completion_tokens': 3}})}\n\n"
DONE = "data: [DONE]\n\n"
STREAM = TEXT + event({}, "stop") + USAGE + DONE


def read(text: str | bytes) -> ChatReply:
    return decode(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    "text",
    [
        STREAM,
        STREAM.replace("\n", "\r\n"),
        ": PROCESSING\n\n: PROCESSING\n\n" + STREAM,
        STREAM.replace("data: {", "event: message\nid: 1\ndata: {"),
        STREAM.replace("data: {", "data:{"),
        TEXT + event({}, "stop") + USAGE,
        TEXT + USAGE + DONE,
        "\ufeff" + STREAM,
        f"data: {WHOLE}\n\n{DONE}",
        event({"reasoning_content": "Score: 1"}) + STREAM,
        TEXT + event({"content": "Score: 1"}, choice={"index": 1}) + event({}, "stop") + DONE,
        WHOLE + "\0\0",
        WHOLE + '\n{"statistics": {"seconds": 1}}\n',
    ],
    ids=range(13),
)
def test_a_reply_is_read_however_it_is_wrapped(text: str) -> None:
    [reply] = read(text).choices
    assert reply.message.content == "Score: 4" and reply.finish_reason in ("stop", None)


def test_a_stream_has_its_cost_its_reasoning_its_end_and_its_tokens() -> None:
    logprobs = {"content": [token("4", {"4": -0.1, "3": -2.0})]}
    found = read(event({"reasoning": "Hm"}) + event({"content": "4"}, choice={"logprobs": logprobs}) + STREAM)
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7, 3)
    [reply] = found.choices
    assert reply.message.content == "4Score: 4" and reply.message.reasoning == "Hm"
    assert reply.logprobs is not None and reply.logprobs.content is not None
    assert [one.token for one in reply.logprobs.content] == ["4"]
    assert read(TEXT + event({}, "length")).choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("text", "reason", "may_pass"),
    [
        (TEXT, "a stream that broke off", True),
        (TEXT + 'data: {"choices": [{"de', "no whole JSON", True),
        (DONE, "a stream without a text", True),
        (": PROCESSING\n\n", "a stream without a text", True),
        ('data: {"error": {"message": "no", "code": 400}}\n\n', "400: no", False),
        (TEXT + 'data: {"error": {"message": "overloaded", "code": 503}}\n\n' + DONE, "503: overloaded", True),
        (TEXT + event({}, "error", choice={"error": {"message": "timeout", "code": 502}}), "502: timeout", True),
        (WHOLE[:-1] + "\0", "no whole JSON", True),
        ("4 " + WHOLE, "no whole JSON", True),
    ],
    ids=range(9),
)
def test_what_is_no_whole_reply_says_so(text: str, reason: str, may_pass: bool) -> None:
    with pytest.raises(BrokenReply) as caught:
        read(text)
    assert reason in caught.value.reason and caught.value.may_pass is may_pass


def test_another_encoding_is_read() -> None:
    assert read(WHOLE.encode("utf-16")).choices[0].message.content == "Score: 4"
    assert read(WHOLE.encode("utf-8-sig")).choices[0].message.content == "Score: 4"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"id": "", "choices": None, "created": 1, "model": "m" * 99, "base_resp": {"status_msg": "login"}}, "login"),
        ({"choices": [{"message": {"content": {"score": 4}}}]}, "content is no text: {'score': 4}"),
        ({"error": {"message": "Provider returned error", "code": 400,
                    "metadata": {"raw": '{"error": {"message": "the true reason"}}'}}}, "error: the true reason"),
    ],
)  # fmt: skip
def test_what_a_server_says_is_shown_whatever_stands_beside_it(body: dict[str, Any], words: str) -> None:
    with pytest.raises(BrokenReply) as caught:
        read(json.dumps(body))
    assert words in caught.value.reason
