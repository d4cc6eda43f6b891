"""What ends a run, and what is one call's own error."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from console.errors import EngineError, InputError
from engines.options import EngineOptions, open_engine
from engines.protocol import Completion, NoLogprobsError, Request, Sampling
from engines.served.openai_engine import OpenAIEngine, open_openai
from engines.served.outage import FIRST_CALLS
from tests.openai_server import Server, completion, raw, token

ASK = [Request([{"role": "user", "content": f"question {number}"}], seed=number) for number in range(60)]
REFUSED = {401: "bad key", 403: "flagged by moderation", 404: "no such model"}


def engine_of(server: Server, concurrency: int = 4, max_failures_in_row: int = 25) -> OpenAIEngine:
    return open_openai("m", server.url, "NO_KEY", concurrency, max_failures_in_row=max_failures_in_row)


def refused(status: int) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": REFUSED.get(status, "no")}}


def answers_but(*seeds: int, status: int = 403) -> Callable[[dict[str, Any]], Any]:
    return lambda body: refused(status) if body["seed"] in seeds else completion("ok")


def asked(engine: OpenAIEngine, n: int, done: set[int] = frozenset()) -> dict[int, Completion]:  # type: ignore[assignment]
    return {found.index: found for found in engine.generate(ASK[:n], Sampling(), done)}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("status", REFUSED)
@pytest.mark.parametrize("seeds", [(0,), (7,), (0, 1, 2), (0, 5, 9)], ids=str)
def test_the_refusal_of_one_prompt_is_that_rows_error(
    server: Server, seeds: tuple[int, ...], status: int, concurrency: int
) -> None:
    server.answer = answers_but(*seeds, status=status)
    found = asked(engine_of(server, concurrency), 10)
    assert sorted(found) == list(range(10)) and len(server.asked) == 10
    for index, one in found.items():
        reason = f"call failed: {status}: {REFUSED[status]}" if index in seeds else None
        assert (one.error, one.text) == (reason, "" if reason else "ok")


@pytest.mark.parametrize("status", REFUSED)
@pytest.mark.parametrize("n", [1, 3, 60])
def test_what_the_first_calls_are_all_refused_for_ends_the_run_at_once(server: Server, status: int, n: int) -> None:
    server.answer = lambda _: refused(status)
    with pytest.raises(EngineError, match=f"{server.url}: {status}: {REFUSED[status]}; is"):
        asked(engine_of(server), n)
    assert len(server.asked) <= FIRST_CALLS + 4


def test_quick_refusals_before_slow_answers_are_not_everyones(server: Server) -> None:
    def answer(body: dict[str, Any]) -> Any:
        if body["seed"] in range(1, 1 + FIRST_CALLS):
            return refused(403)
        time.sleep(0.15)
        return completion("ok")

    server.answer = answer
    found = asked(engine_of(server), 10)
    assert sorted(found) == list(range(10))
    assert [index for index in sorted(found) if found[index].error] == list(range(1, 1 + FIRST_CALLS))


def test_a_run_that_goes_on_does_not_end_with_the_prompts_that_are_always_refused(server: Server) -> None:
    server.answer = lambda _: refused(403)
    found = asked(engine_of(server), 12, done={0, 1})
    assert sorted(found) == list(range(2, 12)) and all(one.error for one in found.values())


def test_an_engine_that_has_answered_before_knows_that_its_key_is_right(server: Server) -> None:
    server.answer = lambda _: completion("ok")
    engine = engine_of(server)
    asked(engine, 1)
    server.answer = lambda _: refused(401)
    assert all(one.error for one in asked(engine, 8).values())


@pytest.mark.parametrize(
    "gone",
    [
        lambda _: (500, {"error": {"message": "gone"}}),
        lambda _: (429, {"error": {"message": "gone"}}),
        lambda _: (401, {"error": {"message": "gone"}}),
        lambda _: (200, {"error": {"message": "gone", "code": 503}}),
        lambda _: raw("<html>gone", content_type="text/html"),
        lambda _: b"",
    ],
    ids=["500", "429", "401", "200 with 503", "a page", "hangs up"],
)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_goes_away_ends_the_run_after_some_calls_and_it_can_go_on(
    server: Server, gone: Any, concurrency: int
) -> None:
    server.answer = lambda body: completion("ok") if body["seed"] < 20 else gone(body)
    engine = engine_of(server, concurrency, max_failures_in_row=5)
    found: dict[int, Completion] = {}
    with pytest.raises(EngineError, match=r"5 calls in a row failed, the last with: .*gone|5 calls in a row") as caught:
        for one in engine.generate(ASK, Sampling()):
            found[one.index] = one
    assert "the same command goes on" in str(caught.value) and "--max-failures-in-row" in str(caught.value)
    good = {index for index, one in found.items() if not one.error}
    # An answer that comes later than failures of calls that were sent after it begins the count anew, so the five stand
    # in a row where they come back; then there are only the calls that were under way beside the fifth.
    failed = [one.error is not None for one in found.values()]
    fifth = next(end for end in range(5, len(failed) + 1) if all(failed[end - 5 : end]))
    assert good == set(range(20)) and len(failed) - fifth <= concurrency - 1
    assert len(server.asked) <= 20 + 5 * sum(failed)
    server.answer = lambda _: completion("ok")
    rest = {one.index for one in engine.generate(ASK, Sampling(), good)}
    assert rest == set(range(20, 60))


def test_what_was_under_way_when_a_server_failed_is_not_lost(server: Server) -> None:
    def answer(body: dict[str, Any]) -> Any:
        if body["seed"] == 1:
            time.sleep(0.3)
            return completion("late")
        return completion("ok") if body["seed"] == 0 else (500, {"error": {"message": "gone"}})

    server.answer = answer
    found: dict[int, Completion] = {}
    with pytest.raises(EngineError, match="calls in a row failed"):
        for one in engine_of(server, 3, max_failures_in_row=3).generate(ASK, Sampling()):
            found[one.index] = one
    assert found[1].text == "late"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refusals_of_what_one_call_sends_are_no_outage(server: Server, status: int) -> None:
    server.answer = lambda body: (status, {"error": {"message": "too long"}}) if body["seed"] else completion("ok")
    found = asked(engine_of(server, 1, max_failures_in_row=5), 40)
    assert len(found) == 40
    assert all(found[n].error == f"call failed: {status}: too long" for n in range(1, 40))


def test_an_answer_between_failures_shows_that_the_server_is_there(server: Server) -> None:
    server.answer = lambda body: completion("ok") if body["seed"] % 4 == 0 else (500, {})
    found = asked(engine_of(server, 1, max_failures_in_row=4), 20)
    assert sum(one.error is None for one in found.values()) == 5 and len(found) == 20


def test_no_number_of_failures_ends_a_run_that_is_to_go_on_whatever_happens(server: Server) -> None:
    server.answer = lambda _: (500, {})
    assert len(asked(engine_of(server, max_failures_in_row=0), 40)) == 40
    with pytest.raises(InputError, match="max_failures_in_row must be at least 0, not -1"):
        open_engine(EngineOptions("m", base_url=server.url, max_failures_in_row=-1))


def with_logprobs() -> tuple[int, dict[str, Any]]:
    return completion("4", logprobs=[token("4", {"4": math.log(0.9), "5": math.log(0.1)})])


BARE = [completion("4"), completion("4", logprobs=[]), completion("4", logprobs=[token("4", {})])]


@pytest.mark.parametrize("bare", BARE, ids=["none", "empty", "no others"])
@pytest.mark.parametrize("seeds", [{0}, {7}, {0, 1, 2}], ids=str)
def test_one_reply_without_log_probabilities_is_that_rows_error(server: Server, seeds: set[int], bare: Any) -> None:
    server.answer = lambda body: bare if body["seed"] in seeds else with_logprobs()
    found = {one.index: one for one in engine_of(server, 1).choose(ASK[:10], ["4", "5"])}
    assert sorted(found) == list(range(10))
    for index, one in found.items():
        assert (one.error is not None) == (index in seeds) == (one.logprobs == ())
        assert one.error is None or "no log-probabilities" in one.error


@pytest.mark.parametrize("bare", BARE, ids=["none", "empty", "no others"])
@pytest.mark.parametrize("n", [1, 60])
def test_a_server_without_log_probabilities_is_told_so_after_a_few_calls(server: Server, bare: Any, n: int) -> None:
    server.answer = lambda _: bare
    with pytest.raises(NoLogprobsError, match="m: the server gives no log-probabilities"):
        list(engine_of(server, 2).choose(ASK[:n], ["4", "5"]))
    assert len(server.asked) < 30


def test_a_server_that_gives_no_log_probabilities_any_more_is_not_paid_for_ever(server: Server) -> None:
    server.answer = lambda _: completion("4")
    found = []
    with pytest.raises(NoLogprobsError, match="m: the server gives no log-probabilities"):
        for one in engine_of(server, 2).choose(ASK, ["4", "5"], done={0}):
            found.append(one)
    assert len(found) == 25 and len(server.asked) < 50


def test_an_engine_tries_again_after_an_outage(server: Server) -> None:
    engine = engine_of(server, 1, max_failures_in_row=3)
    for answer in ((401, {}), (500, {})):
        server.answer = lambda _, answer=answer: answer
        for _ in range(7):
            with pytest.raises(EngineError):
                asked(engine, 10)
    server.answer = lambda _: completion("ok")
    assert all(one.error is None for one in asked(engine, 10).values())


def test_rows_that_had_log_probabilities_at_an_earlier_start_show_that_the_server_has_them(server: Server) -> None:
    server.answer = lambda _: completion("4")
    found = list(engine_of(server).choose(ASK[:10], ["4", "5"], done={0}))
    assert len(found) == 9 and all("no log-probabilities" in (one.error or "") for one in found)
