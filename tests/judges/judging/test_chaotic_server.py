"""A server of whose calls 45 % fail, in sixty ways: nothing is lost, doubled or wrong, and every call is counted."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import JudgeError
from engines.served import http_call
from judges.score.__main__ import Config, main
from records import Judgment, read_rows
from records.store import latest
from tests.openai_server import Body, completion, cut, hang, moved, raw, running, trickle

ROWS, SAMPLES, STARTS, SHARE = 400, 3, 5, 0.45
Way = Callable[[str], Any]
"""Returns what goes wrong with a call; its text has a wrong score, which must come to no row."""


def error(status: int, body: Any = None, **headers: str) -> Way:
    found = {"error": {"message": f"no, with {status}"}} if body is None else body
    return lambda _: (status, found, {name.replace("_", "-"): value for name, value in headers.items()})


def said(body: Any) -> Way:
    return lambda _: (200, body)


def bare(data: bytes, status: int = 200, **headers: str) -> Way:
    return lambda _: raw(data, status, **headers)


def choice(text: str, **changes: Any) -> Any:
    status, body = completion(text)
    body["choices"][0] |= changes
    return status, body


BUSY = {"message": "busy", "code": 429}
DOWN = {"error": {"message": "down", "metadata": {"provider": {"status_code": "503"}}}}
STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 425, 429, 451, 500, 501, 502, 503, 504, 520, 529)
FAILS: list[Way] = [
    *(error(status) for status in STATUSES),
    error(429, {"error": BUSY}, Retry_After="0"),
    error(429, {"error": BUSY}, Retry_After="3600"),
    error(400, {"detail": [{"loc": ["body"], "msg": "bad"}]}, x_should_retry="true"),
    error(500, "Internal Server Error", x_should_retry="false"),
    *(lambda _, status=status: moved(status, "/elsewhere") for status in (301, 302, 303, 307)),
    bare(b"<html>Bad gateway</html>", 502, content_type="text/html"),
    bare(b"<html>Sign in</html>", content_type="text/html"),
    bare(b""),
    bare(b"{", 204),
    bare(b'{"a":' * 3000 + b"1" + b"}" * 3000),
    bare(b" " * 2**17),
    bare(b"no gzip", content_encoding="gzip"),
    said({"error": BUSY}),
    said({"error": {"message": "busy", "code": "503"}}),
    said({"error": {"message": "busy", "type": "overloaded_error"}}),
    said(DOWN),
    said({"error": "gone"}),
    said([{"error": {"message": "quota", "status": "RESOURCE_EXHAUSTED"}}]),
    said({"object": "error", "message": "bad", "code": 400}),
    said({"choices": []}),
    said({"choices": {}}),
    said({"choices": [None]}),
    said({"choices": [{"message": None}]}),
    said({"choices": [{"message": "Score: 1"}]}),
    said([]),
    said("Score: 1"),
    lambda text: choice(text, error=BUSY),
    lambda text: choice(text, error={"message": "upstream", "code": 502}, finish_reason="error"),
    lambda text: completion(4, note=text),
    lambda text: raw(json.dumps(completion(text)[1]).encode().replace(b"Score", b"\xffScore")),
    lambda text: cut(completion(text), 40),
    lambda text: cut(completion(text), 150, told=False),
    lambda text: cut(completion(text), 1, told=False),
    lambda _: b"",
    lambda _: b"what?\r\n\r\n",
    lambda _: b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]
"""After these there is no reply: the call is made again, at once or at the next start."""
SLOW: list[Way] = [lambda _: hang(), lambda text: trickle(completion(text), 0.5)]
"""So too, but they take the longest that a call may, so only some questions meet them."""
EMPTY: list[Way] = [
    lambda text: choice(text, message={"content": text, "refusal": "I will not."}),
    lambda text: choice("", message={"content": None, "reasoning": text}),
    lambda text: choice("", message={"content": [{"type": "thinking", "thinking": text}]}),
    lambda text: choice("", message={"content": None, "tool_calls": [{"id": text}]}),
    lambda _: completion("  \n"),
    lambda _: completion(None, "content_filter"),
]
"""After these there is none either, but the call itself has not failed."""
WRONG_ENDS: list[Way] = [
    lambda text, reason=reason: completion(text, reason)
    for reason in ("length", "max_tokens", "content_filter", "error")
]
"""After these there is a reply, paid and kept, which is no verdict."""
QUICK = [*FAILS, *EMPTY, *WRONG_ENDS]
WAYS = [*QUICK, *SLOW]


class Chaos:
    """Answers each question after a number of failures that is fixed beforehand."""

    def __init__(self) -> None:
        self.tries: Counter[tuple[int, int]] = Counter()
        self.answered: Counter[tuple[int, int]] = Counter()
        self.ended_wrong: set[tuple[int, int]] = set()
        self.used: set[int] = set()
        self.n_empty = 0
        self.calm = False

    def __call__(self, body: Body) -> Any:
        number = int(re.findall(r"answer number (\d+)", body["messages"][-1]["content"])[-1])
        question = (number, body["seed"])
        self.tries[question] += 1
        draw = random.Random(f"{question} {self.tries[question]}")
        if self.calm or draw.random() >= SHARE:
            self.answered[question] += 1
            return completion(f"Fine.\nScore: {score_of(body['seed'])}")
        way = draw.randrange(len(QUICK) if number % 4 else len(WAYS))
        self.used.add(way)
        if WAYS[way] in WRONG_ENDS:
            self.ended_wrong.add(question)
        self.n_empty += WAYS[way] in EMPTY
        return WAYS[way](f"Score: {(score_of(body['seed']) + 1) % 6}")


def score_of(seed: int) -> int:
    return random.Random(seed).randint(0, 5)


def started(url: str, path: Path, out: Path) -> dict[str, Judgment]:
    """Run the command once and return the last row of each response."""
    served = ("--engine", "openai", "--model", "fake", "--base-url", url, "--out", str(out), "--concurrency", "32")
    try:
        main(parse(Config, (str(path), *served, "--read", "text", "--timeout-s", "1"), "judges.score"))
    except JudgeError as few:
        assert "answers got a verdict, under --min-coverage" in str(few)
    return {row.response_id: row for row in latest(read_rows(out, Judgment))}


def test_five_starts_bring_every_sample_that_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0005)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.002)
    monkeypatch.setattr(http_call, "MOST_BYTES", 2**16)
    path, out = tmp_path / "answers.jsonl", tmp_path / "out.jsonl"
    answers = [{"id": f"r{n}", "prompt": f"question {n}", "response": f"answer number {n}"} for n in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in answers), encoding="utf-8")
    chaos, unfinished = Chaos(), []
    with running() as server:
        server.answer = chaos
        for _ in range(STARTS):
            rows = started(server.url, path, out)
            check(rows, chaos)
            n_calls = len(server.paths) - server.paths.count("/elsewhere")  # a call that is sent on is one
            assert sum(row.usage.n_calls for row in rows.values()) == n_calls
            assert sum(row.usage.n_failed for row in rows.values()) == n_calls - n_replies(rows) - chaos.n_empty
            unfinished.append(ROWS * SAMPLES - n_replies(rows))
        assert unfinished[0] > 200 and unfinished == sorted(unfinished, reverse=True) and unfinished[-1] <= 12
        assert len(WAYS) >= 60 and len(chaos.used) == len(WAYS)
        chaos.calm = True
        server.asked.clear()
        rows = started(server.url, path, out)
        check(rows, chaos)
        assert len(server.asked) == unfinished[-1] and n_replies(rows) == ROWS * SAMPLES
        server.asked.clear()
        assert started(server.url, path, out) == rows and not server.asked


def n_replies(rows: dict[str, Judgment]) -> int:
    return sum(len(row.replies) for row in rows.values())


def check(rows: dict[str, Judgment], chaos: Chaos) -> None:
    """Hold each row against what the server really said."""
    assert sorted(rows) == sorted(f"r{n}" for n in range(ROWS))
    assert set(chaos.answered.values()) == {1}, "a question that was answered is asked again"
    seeds: dict[int, list[int]] = {}
    for number, seed in chaos.tries:
        seeds.setdefault(number, []).append(seed)
    for name, row in rows.items():
        number = int(name[1:])
        answered = [score_of(seed) for seed in seeds[number] if (number, seed) in chaos.answered]
        wrong = [seed for seed in seeds[number] if (number, seed) in chaos.ended_wrong]
        assert len(row.scores) == SAMPLES == len(seeds[number]) and row.n_samples == len(answered)
        assert sorted(score for score in row.scores if score is not None) == sorted(answered)
        assert len(row.replies) == len(answered) + len(wrong)
        assert {number for number, score in enumerate(row.scores) if score is None} == set(map(int, row.missing))
        assert all(reason for reason in row.missing.values())
        scored = len(row.replies) == SAMPLES and bool(answered)  # a reply without a verdict is one, and is not missing
        assert (row.score is not None) == scored == (row.error is None)
        assert not scored or row.score == pytest.approx(sum(answered) / len(answered))
