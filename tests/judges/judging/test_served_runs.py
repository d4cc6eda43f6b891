"""The scoring command against servers that refuse, break off, go away or lie about what they took."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, JudgeError
from judges.score.__main__ import Config, main
from records import Judgment, read_rows
from records.store import latest
from tests.openai_server import Body, Server, completion, raw, token, trickle

N = 40
TEXT = ("--read", "text", "--samples", "1")
GOOD = completion("Fine.\nScore: 4")
NESTED_BESIDE = b'{"x":' + b"[" * 3000 + b"]" * 3000 + b', "choices": [{"message": {"content": "Score: 4"}}]}'
LIKELY = completion("4", logprobs=[token("4", {"4": math.log(0.9), "3": math.log(0.1)})])


@pytest.fixture
def score(server: Server, tmp_path: Path) -> Callable[..., list[Judgment]]:
    responses = [{"id": f"r{n}", "prompt": f"question {n}", "response": f"answer number {n}."} for n in range(N)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in responses), encoding="utf-8")

    def run(*flags: str) -> list[Judgment]:
        out = tmp_path / "out.jsonl"
        served = ("--engine", "openai", "--model", "fake", "--base-url", server.url, "--out", str(out))
        try:
            main(parse(Config, (str(tmp_path / "answers.jsonl"), *served, *flags), "judges.score"))
        finally:
            found = latest(read_rows(out, Judgment)) if out.exists() else []
        return sorted(found, key=lambda row: int(row.response_id.removeprefix("r")))

    return run


def number_of(body: Body) -> int:
    found = re.search(r"answer number (\d+)\.", body["messages"][-1]["content"])
    assert found is not None
    return int(found[1])


def but(bad: Any, *numbers: int, good: Any = GOOD) -> Callable[[Body], Any]:
    """Answer all but the responses with these numbers, which get `bad`."""
    return lambda body: bad if number_of(body) in numbers else good


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((401, {"error": {"message": "not yours"}}), "401: not yours"),
        ((403, {"error": {"message": "flagged"}}), "403: flagged"),
        ((404, {"detail": "not found"}), "404: "),
        (raw(b'{"a":' * 3000 + b"1" + b"}" * 3000), "nested too deeply"),
        (
            raw(b'{"x":' + b"[" * 3000 + b"]" * 3000 + b', "choices": [{"message": {"content": "Score: 4"}}]}'),
            "too deeply",
        ),
        (completion(None), "the reply is empty"),
    ],
    ids=["401", "403", "404", "nested", "nested beside a reply", "null"],
)
def test_what_is_wrong_with_one_response_ends_no_run_at_any_start(
    server: Server, score: Callable[..., list[Judgment]], bad: Any, reason: str
) -> None:
    server.answer = but(bad, 0, 7, 37)
    for start in range(2):
        server.asked.clear()
        rows = score(*TEXT)
        assert [number for number, row in enumerate(rows) if row.score is None] == [0, 7, 37] and len(rows) == N
        assert all(reason in (rows[number].error or "") for number in (0, 7, 37))
        assert len(server.asked) == (3 if start else N)


def test_one_reply_without_log_probabilities_ends_no_run(server: Server, score: Callable[..., list[Judgment]]) -> None:
    server.answer = but(completion("4"), 0, 20, good=LIKELY)
    for _ in range(2):
        rows = score("--concurrency", "2")
        assert [number for number, row in enumerate(rows) if row.score is None] == [0, 20] and len(rows) == N


def test_what_to_do_without_log_probabilities_depends_on_who_wants_them(
    server: Server, score: Callable[..., list[Judgment]], tmp_path: Path
) -> None:
    server.answer = lambda _: GOOD
    with pytest.raises(EngineError, match="no log-probabilities; use --read text"):
        score()
    (tmp_path / "corpus.jsonl").write_text('{"id": "1", "text": "An answer number is a number."}\n')
    with pytest.raises(EngineError, match="no log-probabilities; the choice of a tool needs them") as caught:
        score(*TEXT, "--corpus", str(tmp_path / "corpus.jsonl"))
    assert "--read text" not in str(caught.value)


def test_a_server_that_goes_away_stops_the_run_and_the_next_start_asks_for_the_rest_only(
    server: Server, score: Callable[..., list[Judgment]]
) -> None:
    left = iter(range(15))
    server.answer = lambda _: GOOD if next(left, None) is not None else (503, {"error": {"message": "gone"}})
    with pytest.raises(EngineError, match="5 calls in a row failed, the last with: 503: gone"):
        score(*TEXT, "--max-failures-in-row", "5", "--concurrency", "4")
    assert len(server.asked) <= 15 + 5 * (5 + 4) < 5 * (N - 15)
    server.asked.clear()
    server.answer = lambda _: GOOD
    rows = score(*TEXT)
    assert len(server.asked) == N - 15 and [row.score for row in rows] == [4] * N


def test_a_call_that_trickles_is_one_rows_error(server: Server, score: Callable[..., list[Judgment]]) -> None:
    server.answer = but(trickle(GOOD, 0.05), 3)
    rows = score(*TEXT, "--timeout-s", "0.2", "--retry-s", "0.5")
    assert [row.score for row in rows] == [None if number == 3 else 4 for number in range(N)]
    assert rows[3].error is not None and "no whole reply within" in rows[3].error


@pytest.mark.parametrize(
    ("answer", "n_done"),
    [
        (completion("Score: 4", usage={"prompt_tokens": 7, "completion_tokens": None, "total_tokens": 10}), 5),
        ((200, {"choices": [{"message": {"content": 4}}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}), 5),
        ((200, {"error": {"message": "no"}, "usage": {"input_tokens": 7, "output_tokens": 3}}), 5),
        (completion("Score: 4", usage={"prompt_tokens": -7, "completion_tokens": -3}), N),
    ],
    ids=["no count of what is written", "no text", "an error", "below none"],
)
def test_what_a_reply_took_is_held_against_the_limit_whatever_its_form(
    server: Server, score: Callable[..., list[Judgment]], answer: Any, n_done: int, tmp_path: Path
) -> None:
    server.answer = lambda _: answer
    limit = ("--max-tokens-total", "50", "--min-coverage", "0")
    if n_done < N:
        with pytest.raises(JudgeError, match=f"stopped at the budget: {n_done} of {N} done"):
            score(*TEXT, *limit)
    else:
        assert len(score(*TEXT, *limit)) == N
    assert len(server.asked) == n_done


def test_a_text_in_parts_is_read_as_one_that_is_whole(server: Server, score: Callable[..., list[Judgment]]) -> None:
    parts = [{"type": "thinking", "thinking": "Score: 1"}, {"type": "text", "text": "Fine.\nScore: 4"}]
    server.answer = lambda _: completion(parts, usage={"completion_tokens": None})
    assert [row.score for row in score(*TEXT)] == [4] * N


@pytest.mark.parametrize("flags", [(), ("--max-tokens-total", "100000")], ids=["no budget", "a budget"])
@pytest.mark.parametrize("n_empty", [0, 3])
def test_settings_that_every_response_is_refused_for_end_the_command_which_goes_on_once_they_are_right(
    server: Server, score: Callable[..., list[Judgment]], flags: tuple[str, ...], n_empty: int, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.jsonl"
    lines = answers.read_text(encoding="utf-8").splitlines()
    empty = [json.dumps(json.loads(line) | {"response": " "}) for line in lines[:n_empty]]
    answers.write_text("\n".join([*empty, *lines[n_empty:]]) + "\n", encoding="utf-8")
    server.answer = lambda _: (400, {"error": {"message": "max_tokens is too large"}})
    with pytest.raises(EngineError, match="prompts are refused alike: 400: max_tokens is too large; look at --model"):
        score(*TEXT, *flags)
    assert len(server.asked) <= 25 + 16
    server.answer = lambda _: GOOD
    rows = score(*TEXT, *flags, "--min-coverage", "0.5")
    assert len(rows) == N and sum(row.score == 4.0 for row in rows) == N - n_empty


@pytest.mark.parametrize(
    ("flags", "advised"),
    [
        ((), "Try another judge, --read text, or"),
        (TEXT, "Try another judge, --read logprobs, or"),
        (("--judge", "fake", "--judge", "twin"), "Try another judge, or"),
    ],
    ids=["logprobs", "text", "a panel"],
)
def test_where_verdicts_are_missing_another_reading_is_advised_than_the_one_in_use(
    server: Server, score: Callable[..., list[Judgment]], flags: tuple[str, ...], advised: str
) -> None:
    words = [token(word, {word: math.log(0.9), "x": math.log(0.1)}) for word in ("Fine", ".")]
    server.answer = lambda _: completion("Fine.", logprobs=words)
    with pytest.raises(JudgeError) as caught:
        score(*flags)
    assert advised in str(caught.value)


@pytest.mark.parametrize("flags", [("--samples", "1"), ("--samples", "2", "--thinking-tokens", "8000")], ids=str)
@pytest.mark.parametrize("read", ["text", "logprobs"])
@pytest.mark.parametrize("content", ["<think>The answer", None])
def test_a_reply_that_was_cut_off_inside_its_reasoning_names_a_flag_and_a_number(
    server: Server,
    score: Callable[..., list[Judgment]],
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    read: str,
    content: str | None,
) -> None:
    tokens = [token(word, {word: -0.1, "x": -3.0}) for word in (["<think>", "The answer"] if content else [])]
    beside = {} if content else {"reasoning_content": "The answer"}
    cut = completion(content, "length", logprobs=tokens or None, **beside)
    likely = completion("Score: 4", logprobs=[token("Score: ", {}), token("4", {"4": math.log(0.9), "3": -3.0})])
    server.answer = but(cut, 3, 4, good=likely)
    rows = score("--read", read, *flags)
    room = "--thinking-tokens 16000" if "8000" in flags else "--thinking-tokens 4096"
    bad = [row for row in rows if row.score is None]
    assert [row.response_id for row in bad] == ["r3", "r4"]
    assert all("cut off inside its reasoning" in (row.error or "") and room in (row.error or "") for row in bad)
    said = capsys.readouterr().err
    assert f"2 verdicts are missing: the judge was cut off inside its reasoning; {room} makes room for it" in said
