"""Thousands of damaged replies, from the body to the row: no number without a verdict, and no foreign exception.

What a reply may give is worked out here anew, and plainly: the texts are simple, so that a person can say what they
say. A harmless change must leave the score as it is, so that giving no score at all does not pass.
"""

import json
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import pytest

from engines.served.openai_calls import Call, usage_of_call
from engines.served.openai_engine import OpenAIEngine, open_openai
from engines.served.replies.body import BrokenReply
from engines.served.replies.chat_reply import decode
from judges.judging.judge import Judge, open_judge
from judges.library import response_of
from judges.options import JudgeOptions
from records import Judgment
from tests.openai_server import Body, completion, raw, running, token

Change = Callable[[Body, random.Random], Any]
WHOLE = {None, "", "stop", "stop_sequence", "eos_token", "end_turn"}
ODD: list[Any] = [
    *(None, True, False, 0, -1, 7, 4.5, 1e308, 10**30, math.nan, math.inf, -math.inf, "", " ", "4", "Score: 5", "stop"),
    *([], {}, [None], [[]], [{}], {"": None}, {"text": "Score: 5"}, [{"type": "text", "text": 5}], {"error": "x"}),
    *(
        "length",
        "error",
        "\ufffd",
        "\u0000\x1b[2J",
        "x" * 5000,
        "Ġ4",
        "▁",
        "<think>",
        "</think>Score: 5",
        "\ud800",
        [4] * 300,
    ),
]
"""What may stand in the place of anything."""
REASONS = [
    "length",
    "max_tokens",
    "content_filter",
    "tool_calls",
    "error",
    "abort",
    "timeout",
    "STOPPED",
    7,
    [],
    {"x": 1},
]
TEXTS = ["Fine.\nScore: {}", "Score: {}", "It is good, because it is short.\n\nScore: {}\n", "**Score: {}**"]


class Told:
    """Gives the calls of an engine the bodies that a server would have sent, without a server."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.bodies = bodies

    def __call__(
        self, todo: Iterator[int], body: Callable[[int], Body], *, resumed: bool = False
    ) -> Iterator[tuple[int, Call]]:
        for index in todo:
            body(index)
            try:
                reply = decode(self.bodies[index])
            except BrokenReply as broken:
                yield index, Call(None, f"call failed: {broken.reason}", {"n_failed": 1})
            else:
                yield index, Call(reply.choices[0], None, usage_of_call(reply.usage, 1, 0))


def judge_of(engine: OpenAIEngine, read: Any) -> Judge:
    engine.gives_logprobs = True
    return open_judge(engine, JudgeOptions(read=read, samples=1), 0)


def judged(bodies: Sequence[bytes], read: Any) -> list[Judgment]:
    """Return the row that each body comes to."""
    engine = open_openai("m", "http://127.0.0.1:9/v1", "NO_KEY", 1)
    engine.calls = Told(bodies)
    responses = [response_of("Q", f"answer {number}", None) for number in range(len(bodies))]
    place = {response.id: number for number, response in enumerate(responses)}
    rows = sorted(judge_of(engine, read).judge(responses), key=lambda row: place[row.response_id])
    assert len(rows) == len(bodies)
    for row in rows:
        assert (row.score is None) == (row.error is not None) and row.error != ""
        assert row.usage.n_tokens >= 0 and row.usage.n_prompt_tokens >= 0
        assert row.score is None or 0 <= row.score <= 5
    return rows


def a_text(score: int, draw: random.Random) -> Body:
    return completion(draw.choice(TEXTS).format(score))[1]


def a_choice(score: int, draw: random.Random) -> Body:
    """A reply whose tokens come to `score`, all but certainly: the expected score is within 0.01 of it."""
    listed = {str(score): math.log(0.999), str((score + 1) % 6): math.log(0.001)}
    before = draw.choice([[], ["Score", ":"], ["Score:"], ["<think>", "5", " or", " 0", "</think>", "Score", ":"]])
    last = draw.choice(["", " "])
    tokens = [token(text, {text: -0.01, "other": -5.0}) for text in before]
    tokens.append(token(last + str(score), {last + text: logprob for text, logprob in listed.items()}))
    return completion("".join(one["token"] for one in tokens), logprobs=tokens)[1]


def harmless(body: Body, draw: random.Random) -> Body:
    """Change what no score is made of."""
    name = draw.choice(["id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "kv"])
    odd = draw.choice(ODD)
    choice = body["choices"][0]
    place = draw.choice([body, body, choice, choice["message"]])
    if place is body:
        body[name] = odd
    elif place is choice:
        choice[draw.choice(["index", "stop_reason", "token_ids", "seed"])] = odd
    else:
        place[draw.choice(["role", "audio", "annotations", "name", "tool_calls"])] = odd
    if draw.random() < 0.3:
        choice["finish_reason"] = draw.choice(["stop", "STOP", None, "eos_token", "end_turn", ""])
    if draw.random() < 0.2:
        body |= draw.choice([{"error": None}, {"error": {}}, {"error": {"code": None}}, {"error": ""}])
    return body


def fatal(body: Body, draw: random.Random) -> Any:
    """Take away what every score needs."""
    choice = body["choices"][0]
    error = draw.choice(["x", {"message": "x"}, {"code": 500}, {"message": "x", "code": "429"}, ["x"], True, 5])
    changed: list[Callable[[], Any]] = [
        lambda: body | {"error": error},
        lambda: body | {"choices": draw.choice([[], None, {}, "x", 4, [None], ["x"], [[]]])},
        lambda: body | {"choices": [choice | {"error": error}]},
        lambda: body | {"choices": [{"finish_reason": "stop"}]},
        lambda: body | {"choices": [choice | {"message": draw.choice([None, "Score: 4", 4, [], True])}]},
        lambda: body | {"choices": [choice | {"finish_reason": draw.choice(["content_filter", "error", "abort", 7])}]},
        lambda: body | {"choices": [choice | {"message": {"content": "Score: 4", "refusal": "I will not."}}]},
        lambda: draw.choice([None, True, 4, "Score: 4", [], [body, body], {}, {"detail": "x"}, {"error": error}]),
        lambda: {name: value for name, value in body.items() if name != "choices"},
    ]
    return draw.choice(changed)()


def any_place(found: Any, draw: random.Random) -> list[tuple[Any, Any]]:
    """Return every container of a body with each of its keys."""
    if isinstance(found, dict | list):
        keys = list(found) if isinstance(found, dict) else list(range(len(found)))
        return [(found, key) for key in keys] + [one for key in keys for one in any_place(found[key], draw)]
    return []


def anything(body: Body, draw: random.Random) -> Body:
    """Change one to three places of any kind."""
    for _ in range(draw.randint(1, 3)):
        place, key = draw.choice(any_place(body, draw) or [(body, "x")])
        match draw.randint(0, 4):
            case 0:
                del place[key]
            case 1 if isinstance(place, list):
                place.insert(draw.randint(0, len(place)), deepcopy(draw.choice([*place, *ODD])))
            case 2 if isinstance(place, dict):
                place[draw.choice(["error", "text", "content", "refusal", "logprob", "token", "x"])] = draw.choice(ODD)
            case 3:
                place[key] = deepcopy(draw.choice(any_place(body, draw) or [({"x": 1}, "x")])[0])
            case _:
                place[key] = deepcopy(draw.choice(ODD))
    return body


def encoded(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except (UnicodeEncodeError, ValueError, RecursionError):
        return json.dumps(body, check_circular=False).encode()


def changed(n: int, seed: int, make: Callable[[int, random.Random], Body], change: Change) -> list[tuple[int, Any]]:
    """Return `n` changed bodies with the score that each had."""
    draw = random.Random(seed)
    scores = [draw.randint(0, 5) for _ in range(n)]
    return [(score, change(make(score, draw), draw)) for score in scores]


def text_in(body: Any) -> str | None:
    """Return the whole text that a body has, read as plainly as can be; None where it has none."""
    body = body[0] if isinstance(body, list) and len(body) == 1 else body
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    message = {"content": choice.get("text")} if choice.get("message") is None else choice["message"]
    if not isinstance(message, dict) or is_said(body.get("error")) or is_said(choice.get("error")):
        return None
    reason = choice.get("finish_reason")
    reason = (reason.get("type") or reason.get("reason") or "?") if isinstance(reason, dict) else reason
    if is_said(message.get("refusal")) or (reason if reason is None else str(reason).strip().lower()) not in WHOLE:
        return None
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, str | dict)]
    return "".join(text for text in texts if isinstance(text, str)) or None


def is_said(error: Any) -> bool:
    return any(map(is_said, error.values())) if isinstance(error, dict) else bool(error)


CASES = [("text", a_text), ("logprobs", a_choice)]


@pytest.mark.parametrize(("read", "make"), CASES, ids=["text", "logprobs"])
def test_a_change_that_no_score_is_made_of_changes_no_score(read: str, make: Any) -> None:
    cases = changed(400, 1, make, harmless)
    for (score, body), row in zip(cases, judged([encoded(body) for _, body in cases], read), strict=True):
        assert row.score == pytest.approx(score, abs=0.01), (body, row.error)


@pytest.mark.parametrize(("read", "make"), CASES, ids=["text", "logprobs"])
def test_what_takes_the_verdict_away_leaves_no_score(read: str, make: Any) -> None:
    cases = changed(400, 2, make, fatal)
    for (_, body), row in zip(cases, judged([encoded(body) for _, body in cases], read), strict=True):
        assert row.score is None, body


@pytest.mark.parametrize("reason", REASONS, ids=str)
def test_a_text_that_did_not_end_of_its_own_accord_has_no_score(reason: Any) -> None:
    for _, body in (cases := changed(20, 3, a_text, lambda body, _: body)):
        body["choices"][0]["finish_reason"] = reason
    assert all(row.score is None for row in judged([encoded(body) for _, body in cases], "text"))


def test_any_change_leaves_the_score_that_its_text_has_or_none() -> None:
    cases = changed(1500, 4, a_text, anything)
    rows = judged([encoded(body) for _, body in cases], "text")
    for (_, body), row in zip(cases, rows, strict=True):
        if row.score is not None:
            text = text_in(json.loads(encoded(body)))
            assert text is not None, (body, row.score)
            said = re.findall(r"Score: ?(\d)", text) or re.findall(r"\d", text)
            assert row.score == float(said[-1]), (body, row.score)
    assert sum(row.score is not None for row in rows) > 300


def test_any_change_of_tokens_leaves_an_expected_score_of_listed_choices_or_none() -> None:
    cases = changed(1500, 5, a_choice, anything)
    rows = judged([encoded(body) for _, body in cases], "logprobs")
    for (_, body), row in zip(cases, rows, strict=True):
        if row.score is None:
            continue
        found = json.loads(encoded(body))
        found = found[0] if isinstance(found, list) else found
        choice = found["choices"][0]
        assert not is_said(found.get("error")) and not is_said(choice.get("error")), body
        listed = json.dumps(choice["logprobs"])
        assert row.mass is not None and 0 < row.mass <= 1.001
        digits = {float(digit) for digit in re.findall(r'"[^"\d]*([0-5])[^"\d]*"', listed)}
        assert digits and min(digits) <= row.score <= max(digits), (body, row.score)
    assert sum(row.score is not None for row in rows) > 300


@pytest.mark.parametrize("logprob", [0.5, 3.0, 800, 1e308, math.nan, math.inf, None, "x", True, [], 10**400], ids=str)
def test_a_number_that_is_no_log_probability_gives_no_score(logprob: Any) -> None:
    for number, (_, body) in enumerate(cases := changed(40, 6, a_choice, lambda body, _: body)):
        last = body["choices"][0]["logprobs"]["content"][-1]
        (last if number % 2 else last["top_logprobs"][number % 4 // 2])["logprob"] = logprob
    assert all(row.score is None for row in judged([encoded(body) for _, body in cases], "logprobs"))


@pytest.mark.parametrize(("read", "make"), CASES, ids=["text", "logprobs"])
def test_a_body_that_breaks_off_anywhere_has_no_score(read: str, make: Any) -> None:
    draw = random.Random(7)
    bodies = [encoded(body) for _, body in changed(300, 7, make, lambda body, _: body)]
    rows = judged([body[: draw.randrange(len(body))] for body in bodies], read)
    assert all(row.score is None and (row.error or "").startswith("call failed: ") for row in rows)


@pytest.mark.parametrize(("read", "make"), CASES, ids=["text", "logprobs"])
def test_bytes_that_are_changed_give_a_row_whatever_they_are(read: str, make: Any) -> None:
    draw, bodies = random.Random(8), []
    for _, body in changed(500, 8, make, lambda body, _: body):
        data = bytearray(encoded(body))
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.choice([draw.randrange(256), *b'{}[]",:\\0'])
        bodies.append(bytes(data))
    rows = judged(bodies, read)
    for body, row in zip(bodies, rows, strict=True):
        if row.score is not None and read == "text":
            text = text_in(json.loads(body.decode(errors="replace")))
            assert text is not None and f"{row.score:.0f}" in text, body


def test_a_server_that_sends_them_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.served.sdk.MAX_RETRIES", 0)
    cases = [*changed(40, 9, a_text, anything), *changed(40, 9, a_text, harmless), *changed(40, 9, a_text, fatal)]
    bodies = [encoded(body) for _, body in cases]
    with running() as server:
        server.answer = lambda body: raw(bodies[int(re.findall(r"answer (\d+)", body["messages"][-1]["content"])[-1])])
        engine = open_openai("m", server.url, "NO_KEY", 4, max_failures_in_row=0)
        list(engine.generate([], judge_of(engine, "text").sampling))
        engine.calls.outage.answered()  # type: ignore[attr-defined]  its key is right
        responses = [response_of("Q", f"answer {number}", None) for number in range(len(bodies))]
        served = {row.response_id: row for row in judge_of(engine, "text").judge(responses)}
    for response, row in zip(responses, judged(bodies, "text"), strict=True):
        assert (served[response.id].score, served[response.id].error) == (row.score, row.error)
