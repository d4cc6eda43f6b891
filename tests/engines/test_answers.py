from itertools import islice
from pathlib import Path

import pytest

from engines.answers import answer_into, why_no_answer
from engines.protocol import Completion, Request, Sampling
from engines.scripted import ScriptedEngine
from records import Prompt, Response, Store

PROMPTS = [Prompt(id=f"p{n}", prompt=f"question {n}", system="be kind" if n == 0 else None) for n in range(4)]


def echo(request: Request) -> str:
    return f"{request.messages[-1]['content']} seed {request.seed}"


def answers(path: Path, engine: ScriptedEngine, **settings: int) -> list[Response]:
    with Store(path, Response) as store:
        return answer_into(store, engine, PROMPTS, Sampling(), n=2, **settings)


def test_each_prompt_gets_its_answers_in_order_each_with_its_own_seed(tmp_path: Path) -> None:
    found = answers(tmp_path / "a.jsonl", ScriptedEngine(reply=echo))
    assert [row.prompt_id for row in found] == ["p0", "p0", "p1", "p1", "p2", "p2", "p3", "p3"]
    assert len({row.seed for row in found}) == len({row.id for row in found}) == 8
    assert found[2].response == f"question 1 seed {found[2].seed}" and found[2].model == "scripted"


def test_a_system_prompt_is_asked_and_kept(tmp_path: Path) -> None:
    engine = ScriptedEngine(reply=echo)
    found = answers(tmp_path / "a.jsonl", engine)
    chat = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "question 0"}]
    assert engine.asked[0].messages == chat and found[0].prompt == chat


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "a\ud800b"])
def test_an_answer_can_be_read_again_whatever_bytes_the_model_wrote(tmp_path: Path, text: str) -> None:
    from records.files import BadRows
    from records.shapes import read_responses

    found = answers(tmp_path / "a.jsonl", ScriptedEngine(reply=lambda _: text))
    assert {row.response for row in found} == {text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")}
    assert list(read_responses(tmp_path / "a.jsonl", BadRows(strict=True))) == found


def test_a_stopped_call_goes_on_and_ends_with_the_same_rows(tmp_path: Path) -> None:
    whole = answers(tmp_path / "whole.jsonl", ScriptedEngine(reply=echo))
    with Store(tmp_path / "stopped.jsonl", Response) as store:
        for row in islice(whole, 3):
            store.append(row)
    again = ScriptedEngine(reply=echo)
    assert answers(tmp_path / "stopped.jsonl", again) == whole and len(again.asked) == 5
    assert (tmp_path / "stopped.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_another_seed_or_other_weights_are_other_answers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = answers(path, ScriptedEngine(reply=echo))
    assert not {row.id for row in first} & {row.id for row in answers(path, ScriptedEngine(reply=echo), seed=1)}
    other = answers(path, ScriptedEngine(reply=echo, digest="other"))
    assert not {row.id for row in first} & {row.id for row in other}


def test_a_failed_call_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(request: Request) -> str:
        if "question 2" in request.messages[-1]["content"]:
            raise RuntimeError("call failed: 500")
        return "fine"

    found = answers(tmp_path / "a.jsonl", ScriptedEngine(reply=fail))
    assert [row.prompt_id for row in found] == ["p0", "p0", "p1", "p1", "p3", "p3"]
    said = capsys.readouterr().err
    assert "no answer to prompt p2: call failed: 500" in said
    assert "answering: 2 of 8 answers are missing; the same command asks for them again" in said


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("An answer.", "stop", None),
        ("An answer.", None, None),
        ("A long ans", "length", None),
        ("A long ans", "MAX_TOKENS", None),
        ("<think>Hm.</think>An answer.", "stop", None),
        ("", "stop", None),
        ("Some of an ans", "content_filter", "the reply ended with content_filter"),
        ("Some of an ans", "error", "the reply ended with error"),
        ("Let me look.", "tool_calls", "the reply ended with tool_calls"),
        ("<think>Hm, so", "length", "the reply stops inside its reasoning; raise --max-new-tokens"),
        ("<think>Hm.</think>\n", "stop", "the reply has only reasoning"),
    ],
)
def test_what_is_no_answer_is_none(text: str, finish_reason: str | None, reason: str | None) -> None:
    assert why_no_answer(Completion(0, text, finish_reason)) == reason


def test_a_reply_that_is_no_answer_is_left_out_and_asked_for_again(tmp_path: Path) -> None:
    engine = ScriptedEngine(reply=echo, finish_reason="content_filter")
    assert answers(tmp_path / "a.jsonl", engine) == [] and len(engine.asked) == 8
    assert (tmp_path / "a.jsonl").read_bytes() == b""
    again = ScriptedEngine(reply=echo)
    assert len(answers(tmp_path / "a.jsonl", again)) == 8 == len(again.asked)
