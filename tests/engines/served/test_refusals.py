"""Whether a refusal is for the prompt's sake, or for what every call is sent."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from console.errors import EngineError
from engines.protocol import Completion, Request, Sampling, Skipped
from engines.served.openai_engine import OpenAIEngine, open_openai
from tests.openai_server import Server, completion

TOO_LONG = "max_tokens is above what the model writes"
ENOUGH = 10


def engine_of(server: Server, concurrency: int = 4, enough: int = ENOUGH) -> OpenAIEngine:
    return open_openai("m", server.url, "NO_KEY", concurrency, max_failures_in_row=enough)


def questions(n: int, *, same: bool = False) -> list[Request]:
    return [Request([{"role": "user", "content": f"question {0 if same else i}"}], seed=i) for i in range(n)]


def asked(engine: OpenAIEngine, requests: Sequence[Request], done: Any = ()) -> tuple[dict[int, Completion], str]:
    found: dict[int, Completion] = {}
    try:
        for one in engine.generate(requests, Sampling(), done):
            assert one.index not in found
            found[one.index] = one
    except EngineError as error:
        return found, str(error)
    return found, ""


def refusal(status: int, message: str = TOO_LONG) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": message}}


def slow(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


OTHERS = (405, 410, 413, 415, 422, 451)
ALONE = [slow(status, 1) for status in OTHERS]


@pytest.mark.parametrize(("status", "concurrency"), [(400, 1), (400, 6), *((status, 6) for status in OTHERS), *ALONE])
def test_settings_that_every_prompt_is_refused_for_end_the_run_resumably(
    server: Server, status: int, concurrency: int
) -> None:
    server.answer = lambda _: refusal(status)
    found, error = asked(engine_of(server, concurrency), questions(50))
    n_under_way = concurrency - 1  # beside the last of the first few, and beside the last of all
    assert ENOUGH <= len(found) == len(server.asked) <= ENOUGH + 2 * n_under_way
    assert all(one.error == f"call failed: {status}: {TOO_LONG}" for one in found.values())
    assert f"prompts are refused alike: {status}: {TOO_LONG}; look at --model" in error
    assert "--max-new-tokens" in error and "--max-failures-in-row" in error
    server.answer = lambda _: completion("ok")
    rest, error = asked(engine_of(server, concurrency), questions(50))
    assert not error and all(one.text == "ok" for one in rest.values()) and len(rest) == 50


@pytest.mark.parametrize(
    "message",
    [
        "the context is 4096 tokens and you asked for {n}12 in the messages and 4000 in the completion",
        "bad request (request id: req_{n}abf)",
        "invalid value, trace 0af-{n}",
    ],
)
def test_counts_and_ids_in_a_message_make_no_other_refusal_of_it(server: Server, message: str) -> None:
    server.answer = lambda body: refusal(400, message.format(n=body["seed"]))
    assert "refused alike" in asked(engine_of(server), questions(100))[1]


def test_a_refusal_in_a_reply_that_claims_success_counts_too(server: Server) -> None:
    server.answer = lambda _: (200, {"error": {"message": TOO_LONG, "code": 400}})
    assert "refused alike" in asked(engine_of(server), questions(100))[1]


Refused = Callable[[int], bool]
GO_ON: dict[str, Refused] = {
    "one": lambda n: n == 0,
    "the first of many": lambda n: n < 60,
    "all but the last": lambda n: n < 99 and n % 7 != 3,
    "the last": lambda n: n >= 10,
}


FEW_OR_MANY = [(name, n) for name in GO_ON for n in (1, 40) if (name, n) not in (("the last", 1), ("one", 40))]


@pytest.mark.parametrize(
    ("name", "concurrency"),
    [*((name, 6) for name in GO_ON), ("the last", 1), ("one", 40), *(slow(*case) for case in FEW_OR_MANY)],
)
def test_prompts_that_are_refused_for_their_own_sake_end_no_run(server: Server, name: str, concurrency: int) -> None:
    refuses = GO_ON[name]
    server.answer = lambda body: refusal(400) if refuses(body["seed"]) else completion("ok")
    found, error = asked(engine_of(server, concurrency), questions(100))
    assert not error and len(found) == len(server.asked) == 100
    assert {n for n, one in found.items() if one.error} == {n for n in range(100) if refuses(n)}


@pytest.mark.parametrize("n_answers", [30, 100])
def test_one_prompt_that_is_asked_many_times_is_one_prompt(server: Server, n_answers: int) -> None:
    server.answer = lambda _: refusal(400, "flagged")
    found, error = asked(engine_of(server), questions(n_answers, same=True))
    assert not error and len(found) == n_answers


def test_refusals_in_different_words_are_the_prompts_own(server: Server) -> None:
    server.answer = lambda body: refusal(400, ("flagged", "too long")[body["seed"] % 2])
    found, error = asked(engine_of(server), questions(60))
    assert not error and len(found) == 60


def test_refusals_of_different_kinds_are_the_prompts_own(server: Server) -> None:
    server.answer = lambda body: refusal((400, 422)[body["seed"] % 2], "no")
    assert not asked(engine_of(server), questions(60))[1]


def test_failures_that_pass_do_not_hide_that_all_is_refused(server: Server) -> None:
    server.answer = lambda body: (503, {}) if body["seed"] % 5 == 0 else refusal(400)
    assert "refused alike" in asked(engine_of(server), questions(100))[1]


def test_a_run_that_goes_on_with_what_was_always_refused_asks_all_of_it(server: Server) -> None:
    server.answer = lambda _: refusal(400)
    found, error = asked(engine_of(server), questions(60), {0})
    assert not error and len(found) == 59


def test_what_waits_for_a_later_call_was_not_answered(server: Server) -> None:
    server.answer = lambda _: refusal(400)
    waiting = Skipped(range(1, 60))
    waiting.answered = False
    engine = engine_of(server)
    assert asked(engine, questions(60), waiting)[0].keys() == {0}
    found, error = asked(engine, questions(60), {0})
    assert "refused alike" in error and len(found) < 20


def test_an_engine_that_answered_before_knows_that_its_settings_are_right(server: Server) -> None:
    engine = engine_of(server)
    server.answer = lambda _: completion("ok")
    asked(engine, questions(1))
    server.answer = lambda _: refusal(400)
    assert not asked(engine, questions(60))[1]


def test_no_number_of_refusals_ends_a_run_that_is_to_go_on_whatever_happens(server: Server) -> None:
    server.answer = lambda _: refusal(422)
    found, error = asked(engine_of(server, enough=0), questions(60))
    assert not error and len(found) == 60


def test_a_later_call_of_the_same_program_tries_again(server: Server) -> None:
    server.answer = lambda _: refusal(400)
    engine = engine_of(server, 1)
    assert [len(asked(engine, questions(60))[0]) for _ in range(3)] == [ENOUGH] * 3
    server.answer = lambda _: completion("ok")
    assert not asked(engine, questions(60))[1]
