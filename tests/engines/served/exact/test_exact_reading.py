"""Choices read from a server of vLLM are those that the same model gives in process."""

import math
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from console.errors import EngineError
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Choice, NoLogprobsError, Request, Sampling
from engines.served import replicas
from engines.served.exact import reader
from engines.served.openai_engine import OpenAIEngine, open_openai
from tests.engines.local.asking import ARENA, RUBRIC, SCORES, TEN, in_order, requests
from tests.openai_server import Server, completion, running, token
from tests.tiny import CHAT_TEMPLATE
from tests.vllm_server import Vllm, refused

ASK = requests(4, RUBRIC, "Score: ", labels=("Score",))
REPLY = completion("4", logprobs=[token("4", {"4": -0.25, "3": -2.0})])
TRIMS = CHAT_TEMPLATE.replace("{{ m['content'] }}", "{{ m['content'] | trim }}")
THINKS = CHAT_TEMPLATE.replace(
    "{{ m['content'] }}", "{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}"
)


@pytest.fixture(autouse=True)
def say_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader._say_listed.cache_clear()
    monkeypatch.setattr("engines.served.lookup.FIRST_WAIT_S", 0.0)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Vllm:
    return Vllm(tiny_model)


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_model, "tiny", batch_size=2)


@pytest.fixture
def vllm(model: Vllm, server: Server, monkeypatch: pytest.MonkeyPatch) -> Vllm:
    """The scripted server's mind."""
    found = copy(model)
    monkeypatch.setattr(model.tokenizer, "chat_template", CHAT_TEMPLATE)
    found.chat = REPLY
    found.serve(server)
    return found


def engine_of(*servers: Server, concurrency: int = 2, **options: Any) -> OpenAIEngine:
    return open_openai("m", " ".join(one.url for one in servers), "NO_KEY", concurrency, **options)


def chosen(engine: OpenAIEngine, asked: Sequence[Request] = ASK, choices: Sequence[str] = SCORES) -> list[Choice]:
    return in_order(engine.choose(asked, choices))


def n_chats(server: Server) -> int:
    return server.paths.count("/v1/chat/completions")


CHOICES = {"six": SCORES, "ten": TEN, "arena": ARENA, "nested": ["1", "10", "100", "2"]}
TEMPLATES = {"plain": CHAT_TEMPLATE, "trims": TRIMS, "thinks": THINKS}
PREFILLS = {"after words": "Score: ", "after nothing": ""}
COMBINED = [
    pytest.param(
        CHOICES[choices], TEMPLATES[template], PREFILLS[prefill], id=f"{prefill}-{template}-{choices}",
        marks=pytest.mark.slow if (i + j + k) % 2 else (),
    )
    for i, choices in enumerate(CHOICES) for j, template in enumerate(TEMPLATES) for k, prefill in enumerate(PREFILLS)
]  # fmt: skip
"""Every three together; of the quick ones, every two."""


@pytest.mark.parametrize(("choices", "template", "prefill"), COMBINED)
def test_choices_have_the_logprobs_of_the_model_in_process(
    server: Server,
    vllm: Vllm,
    reference: TransformersEngine,
    choices: list[str],
    template: str,
    prefill: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vllm.tokenizer.chat_template = template
    monkeypatch.setattr(reference.tokenizer, "chat_template", template)
    asked = requests(3, RUBRIC, prefill)
    expected = in_order(reference.choose(asked, choices))
    found = chosen(engine_of(server), asked, choices)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3) and ours.error is None
        assert 0 < sum(map(math.exp, ours.logprobs)) < 1
    assert n_chats(server) == 0


def test_a_choice_of_one_token_is_one_call_and_its_conversation_is_sent_once(server: Server, vllm: Vllm) -> None:
    engine = engine_of(server)
    assert engine.choosing == "vocabulary"
    n_probed = len(server.asked)
    found = chosen(engine)
    assert [(one.n_calls, one.n_failed, one.n_tokens) for one in found] == [(1, 0, 1)] * 4
    assert n_probed == 5 and len(server.asked) == n_probed + 1 + len(SCORES) + 2 * 4
    chosen(engine)
    assert len(server.asked) == n_probed + 1 + len(SCORES) + 4 * 4 and server.gets.count("/version") == 1
    bodies = [body for body in server.asked if "logprob_token_ids" in body][-4:]  # two calls are under way at once
    assert sorted(one.n_prompt_tokens for one in found) == sorted(len(body["prompt"]) for body in bodies)
    assert {len(body["logprob_token_ids"]) for body in bodies} == {len(SCORES)}


def test_the_variables_of_the_template_are_sent(server: Server, vllm: Vllm) -> None:
    vllm.tokenizer.chat_template = CHAT_TEMPLATE + "{% if quiet is defined %}<think></think>{% endif %}"
    plain, quiet = (chosen(engine_of(server, chat_template_kwargs=kwargs))[0] for kwargs in ({}, {"quiet": True}))
    assert plain.n_prompt_tokens < quiet.n_prompt_tokens and plain.logprobs != quiet.logprobs


def test_control_tokens_in_a_text_are_taken_apart(server: Server, vllm: Vllm) -> None:
    chosen(engine_of(server), [Request([{"role": "user", "content": "a<|im_end|>b"}], prefill="Score: ")])
    [sent] = [body["messages"] for body in server.asked if "messages" in body][2:]
    assert "<|im_end|>" not in sent[0]["content"]


@pytest.mark.parametrize("way", ["older", "no vllm", "refuses", "no tokens", "no tail", "other tokens", "no paths"])
def test_a_server_that_does_not_read_given_tokens_is_read_from_its_replies_and_it_is_said(
    server: Server, vllm: Vllm, way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    why = {
        "older": "vLLM 0.31.1: the server gave the log-probabilities of",
        "no vllm": "it is no vLLM (/version: 404)",
        "refuses": "400: Unrecognized request argument supplied: logprob_token_ids",
        "no tokens": "the reply has no tokens",
        "no tail": "writes nothing before a reply",
        "other tokens": "put back together from its tokens has others",
        "no paths": "404",
    }[way]
    if way == "older":
        vllm.version, vllm.knows_ids = "0.31.1", False
    elif way == "no vllm":
        vllm.version = None
    elif way == "refuses":
        vllm.complete = lambda _: refused("Unrecognized request argument supplied: logprob_token_ids")  # type: ignore[method-assign]
    elif way == "no tokens":
        vllm.tokenize = lambda _: (200, {"tokens": None, "max_model_len": 9})  # type: ignore[method-assign]
    elif way == "no tail":
        vllm.tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    elif way == "other tokens":
        vllm.detokenize = lambda _: (200, {"prompt": "something else"})  # type: ignore[method-assign]
    else:
        vllm.tokenize = lambda _: refused("Not Found", code=404)  # type: ignore[method-assign]
    engine = engine_of(server)
    found = chosen(engine)
    assert engine.choosing == "reply" and n_chats(server) == 4
    assert [one.logprobs[4] for one in found] == [pytest.approx(-0.25)] * 4 and found[0].logprobs[0] == -math.inf
    said = capsys.readouterr().err
    assert said.count("log-probabilities are read from the likeliest tokens of a reply") == 1 and why in said


def test_a_server_that_is_no_vllm_is_sent_no_odd_request(server: Server) -> None:
    server.answer = lambda _: REPLY
    chosen(engine_of(server))
    assert set(server.paths) == {"/v1/chat/completions"} and server.gets == ["/version"]


def test_a_vllm_that_cannot_be_asked_now_is_not_taken_for_another_kind(server: Server, vllm: Vllm) -> None:
    vllm.tokenize = lambda _: (503, {"error": {"message": "busy"}})  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="cannot find out now whether .*503: busy.*the same command tries again"):
        chosen(engine_of(server))


def test_room_for_reasoning_leaves_the_choice_to_the_reply(server: Server, vllm: Vllm) -> None:
    assert engine_of(server, thinking_tokens=9).choosing == "reply" and not server.gets


def test_texts_are_written_as_before(server: Server, vllm: Vllm) -> None:
    vllm.chat = completion("a text")
    [text] = engine_of(server).generate(ASK[:1], Sampling())
    assert text.text == "a text" and server.paths == ["/v1/chat/completions"] and "/version" not in server.gets


@pytest.fixture
def other(vllm: Vllm, tiny_model: Path) -> Iterator[tuple[Server, Vllm]]:
    """A second server of the same model."""
    mind = Vllm(tiny_model)
    mind.chat = REPLY
    with running() as found:
        yield mind.serve(found), mind


def n_read(server: Server) -> int:
    return sum("logprob_token_ids" in body for body in server.asked)


def test_an_older_one_of_several_is_left_out_and_no_row_is_lost(
    server: Server, vllm: Vllm, other: tuple[Server, Vllm], capsys: pytest.CaptureFixture[str]
) -> None:
    other[1].knows_ids = False
    alone = chosen(engine_of(server), requests(8, RUBRIC, "Score: "))
    for pair in ((server, other[0]), (other[0], server)):
        n_before = n_read(other[0])
        engine = engine_of(*pair, concurrency=4)
        assert [one.logprobs for one in chosen(engine, requests(8, RUBRIC, "Score: "))] == [o.logprobs for o in alone]
        assert engine.choosing == "vocabulary" and n_read(other[0]) == n_before + 1
        said = capsys.readouterr().err
        assert f"{other[0].url} is left out, and the others go on: vLLM 0.32.0: the server gave" in said


def test_one_that_turns_out_to_be_older_later_is_left_out_too(
    server: Server, vllm: Vllm, other: tuple[Server, Vllm], capsys: pytest.CaptureFixture[str]
) -> None:
    other[1].knows_ids = False
    other[0].get = lambda path: (502, {}) if path == "/version" else other[1].got(path)
    asked = requests(12, RUBRIC, "Score: ")
    alone = chosen(engine_of(server), asked)
    engine = engine_of(server, other[0], concurrency=4)
    assert engine.choosing == "vocabulary"
    assert [one.logprobs for one in chosen(engine, asked)] == [one.logprobs for one in alone]
    assert n_read(other[0]) >= 1
    assert f"{other[0].url} is left out, and the others go on: {reader.LACKS}" in capsys.readouterr().err


def test_one_that_is_lost_loses_no_row(
    server: Server, vllm: Vllm, other: tuple[Server, Vllm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "REST_S", 60.0)
    engine = engine_of(server, other[0], concurrency=4)
    assert engine.choosing == "vocabulary"
    other[0].answer_at = lambda *_: (503, {"error": {"message": "gone"}})
    found = chosen(engine, requests(12, RUBRIC, "Score: "))
    assert not any(one.error for one in found) and sum(one.n_failed for one in found) >= 1


def test_two_older_ones_are_both_read_from_their_replies(
    server: Server, vllm: Vllm, other: tuple[Server, Vllm]
) -> None:
    vllm.knows_ids = other[1].knows_ids = False
    engine = engine_of(server, other[0])
    assert engine.choosing == "reply" and not any(one.error for one in chosen(engine))


def changed(vllm: Vllm, change: Any) -> None:
    """Let `change` alter what the server lists beside a token, from the first row on."""
    complete, told = vllm.complete, {"n": 0}

    def answer(body: Any) -> Any:
        told["n"] += 1
        status, reply = complete(body)
        if told["n"] > 1 and status == 200:  # the first one is that of the probe
            logprobs = reply["choices"][0]["logprobs"]
            reply["choices"][0]["logprobs"] = change(logprobs, body)
        return status, reply

    vllm.complete = answer  # type: ignore[method-assign]


def with_value(value: Any) -> Any:
    def change(logprobs: Any, body: Any) -> Any:
        logprobs["top_logprobs"][0][f"token_id:{body['logprob_token_ids'][2]}"] = value
        return logprobs

    return change


def without_one(logprobs: Any, body: Any) -> Any:
    del logprobs["top_logprobs"][0][f"token_id:{body['logprob_token_ids'][2]}"]
    return logprobs


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (without_one, "the server gave the log-probabilities of 5 of the 6 tokens asked for"),
        (lambda *_: None, "the server gave the log-probabilities of 0 of the 6 tokens asked for"),
        (lambda logprobs, _: logprobs | {"top_logprobs": [None]}, "of 0 of the 6 tokens"),
        (lambda logprobs, _: logprobs | {"top_logprobs": []}, "of 0 of the 6 tokens"),
        (with_value(None), "broken reply: nan is no log-probability"),
        (with_value("-1"), "broken reply: nan is no log-probability"),
        (with_value(0.5), "broken reply: 0.5 is no log-probability"),
        (with_value(0.0), "broken reply: the tokens have a probability above 1 together"),
    ],
)
def test_a_row_whose_numbers_are_no_log_probabilities_has_none(
    server: Server, vllm: Vllm, change: Any, error: str
) -> None:
    changed(vllm, change)
    for one in chosen(engine_of(server)):
        assert one.logprobs == () and error in str(one.error) and one.text is None and one.n_calls == 1


def test_the_number_that_stands_for_minus_infinity_is_no_probability(server: Server, vllm: Vllm) -> None:
    changed(vllm, with_value(-9999.0))
    for one in chosen(engine_of(server)):
        assert one.logprobs.count(-math.inf) == 1 and one.error is None


def test_a_server_that_stops_listing_the_tokens_ends_the_command(server: Server, vllm: Vllm) -> None:
    changed(vllm, without_one)
    engine = engine_of(server)
    with pytest.raises(NoLogprobsError, match="m: the server gave the log-probabilities of 5 of the 6"):
        chosen(engine, requests(40, "", "Score: "))


def test_a_refusal_of_too_many_tokens_is_named(server: Server, vllm: Vllm, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(server)
    assert engine.choosing == "vocabulary"
    monkeypatch.setattr("tests.vllm_server.MOST_IDS", 3)
    found = chosen(engine)
    assert [one.error for one in found] == [
        "call failed: 400: Requested logprob_token_ids of length 6, which is "
        "greater than max allowed: 3 (parameter=logprob_token_ids, value=6)"
    ] * 4


def test_a_conversation_that_does_not_fit_is_that_rows_error(server: Server, vllm: Vllm) -> None:
    vllm.context = 90
    asked = [*requests(1, "", "Score: "), *requests(1, RUBRIC, "Score: ")]
    short, long = chosen(engine_of(server), asked)
    assert short.error is None and long.n_calls == 0
    assert str(long.error).startswith("too long: ") and str(long.error).endswith("over the model's context of 90")


def test_a_conversation_that_ends_in_another_way_is_that_rows_error(server: Server, vllm: Vllm) -> None:
    odd = "{% if messages[-1]['content'] == 'odd' %}now{% endif %}"
    vllm.tokenizer.chat_template = CHAT_TEMPLATE + odd
    asked = [Request([{"role": "user", "content": text}], prefill="Score: ") for text in ("even", "odd")]
    even, other_one = chosen(engine_of(server), asked)
    assert even.error is None and "ends in another way than others" in str(other_one.error)


def test_a_conversation_that_the_template_refuses_is_that_rows_error(server: Server, vllm: Vllm) -> None:
    tokenize = vllm.tokenize
    vllm.tokenize = lambda body: refused("no such turn") if "odd" in str(body) else tokenize(body)  # type: ignore[method-assign]
    asked = [Request([{"role": "user", "content": text}], prefill="Score: ") for text in ("even", "odd")]
    even, odd = chosen(engine_of(server), asked)
    assert (
        even.error is None and odd.error == "call failed: 400: no such turn" and (odd.n_calls, odd.n_failed) == (1, 1)
    )


def test_choices_without_tokens_of_their_own_are_refused(server: Server, vllm: Vllm) -> None:
    with pytest.raises(EngineError, match="the choices '4', '4' have not each tokens of their own"):
        chosen(engine_of(server), choices=["4", "4"])


def test_a_busy_server_is_asked_again_and_the_attempts_are_counted(server: Server, vllm: Vllm) -> None:
    engine = engine_of(server)
    assert engine.choosing == "vocabulary"
    busy = {"/tokenize", "/v1/completions"}

    def answer(path: str, body: Any) -> Any:
        if path in busy and ("messages" in body or path != "/tokenize"):
            busy.discard(path)
            return 503, {"error": {"message": "busy"}}
        return vllm.posted(path, body)

    server.answer_at = answer
    [one] = chosen(engine, ASK[:1])
    assert (one.error, one.n_calls, one.n_failed) == (None, 3, 2)


def test_rows_that_are_done_are_not_asked_again(server: Server, vllm: Vllm) -> None:
    whole = chosen(engine_of(server))
    server.asked.clear()
    rest = in_order(engine_of(server).choose(ASK, SCORES, done={0, 2}))
    assert [one.index for one in rest] == [1, 3] and n_read(server) == 1 + 2
    assert [one.logprobs for one in rest] == [whole[1].logprobs, whole[3].logprobs]


def test_a_server_that_is_gone_ends_the_command(server: Server, vllm: Vllm) -> None:
    engine = engine_of(server, max_failures_in_row=3)
    assert engine.choosing == "vocabulary"
    vllm.complete = lambda _: (500, {"error": {"message": "the engine died"}})  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="3 calls in a row failed, the last with: 500: the engine died"):
        chosen(engine, requests(30, "", "Score: "))


def test_the_questions_of_one_row_go_to_the_server_that_has_its_prompt(
    server: Server, vllm: Vllm, other: tuple[Server, Vllm]
) -> None:
    engine = engine_of(server, other[0], concurrency=4)
    assert engine.choosing == "vocabulary"
    found = chosen(engine, requests(8, RUBRIC, "Score: "), ARENA)
    first, second = (
        {tuple(body["prompt"]) for body in one.asked if "prompt" in body and "logprob_token_ids" in body}
        for one in (server, other[0])
    )
    both = first | second

    def rows(prompts: set[tuple[int, ...]]) -> set[tuple[int, ...]]:
        return {min((one for one in both if prompt[: len(one)] == one), key=len) for prompt in prompts}

    probe = first & second
    assert len(probe) == 1 and rows(first) & rows(second) == probe
    assert len(rows(both)) == 1 + 8 and min(map(len, (rows(first), rows(second)))) > 2
    assert len(both) == 1 + sum(one.n_calls for one in found) > 1 + 8
