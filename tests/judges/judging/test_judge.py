import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from console.errors import InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.coverage import check_coverage
from judges.judging.judge import Judge, has_every_reply, judge_into, open_judge
from judges.options import JudgeOptions
from judges.rubrics.rubric import load_rubric
from records import Judgment, Response, Store, read_rows

TEXT = JudgeOptions(read="text", samples=3)


def response(number: int, text: str = "an answer") -> Response:
    return Response(id=f"r{number}", prompt_id=f"p{number}", prompt="Q", response=f"{text} {number}", model="m")


def replies_in_turn(*replies: str) -> ScriptedEngine:
    source: Iterator[str] = iter(replies)
    return ScriptedEngine(reply=lambda _: next(source))


def judged(engine: ScriptedEngine, n: int = 1, options: JudgeOptions = TEXT) -> list[Judgment]:
    return list(open_judge(engine, options, seed=0).judge([response(number) for number in range(n)]))


def test_the_score_is_the_mean_of_the_samples_and_all_replies_are_kept() -> None:
    [row] = judged(replies_in_turn("Score: 2", "Score: 4", "Score: 3"))
    assert row.score == 3 and row.scores == [2, 4, 3] and row.replies == ["Score: 2", "Score: 4", "Score: 3"]
    assert row.spread == pytest.approx(math.sqrt(2 / 3)) and row.error is None and row.usage.n_calls == 3


def test_an_unparsed_sample_is_null_and_not_part_of_the_mean() -> None:
    [row] = judged(replies_in_turn("Score: 2", "no idea", "Score: 4"))
    assert row.score == 3 and row.scores == [2, None, 4] and row.error is None


def test_no_parsed_sample_means_no_score_and_a_reason() -> None:
    [row] = judged(replies_in_turn("hm", "well", "Score: 9"))
    assert row.score is None and row.spread is None and row.scores == [None] * 3
    assert row.error == "no verdict in the reply; 9 is outside 0 to 5"


def test_a_truncated_reply_is_no_verdict_even_with_a_score_in_it() -> None:
    [row] = judged(ScriptedEngine(reply=lambda _: "Score: 4 because", finish_reason="length"))
    assert row.score is None and row.error is not None and row.error.startswith("truncated")
    assert row.replies == ["Score: 4 because"] * 3


@pytest.mark.parametrize("read", ["text", "structured"])
@pytest.mark.parametrize("reason", ["max_tokens", "content_filter", "MAX_TOKENS", "tool_calls", "model_length"])
def test_a_reply_that_ended_for_any_reason_but_its_own_is_no_verdict_and_the_row_says_which(
    reason: str, read: Literal["text", "structured"]
) -> None:
    options = JudgeOptions(read=read, samples=1, rubric="single_10")
    said = '{"rating": 1}' if read == "structured" else "Rating: 1"
    [row] = judged(ScriptedEngine(reply=lambda _: said, finish_reason=reason), options=options)
    assert row.score is None and row.finish_reasons == [reason]
    assert row.error is not None and reason.lower() in row.error
    assert ("--max-new-tokens" in row.error) == (reason.lower() in ("max_tokens", "model_length"))


@pytest.mark.parametrize("reason", ["stop", "", "stop_sequence", "eos_token", "end_turn", "STOP"])
def test_a_reply_that_ended_of_its_own_accord_is_read(reason: str) -> None:
    [row] = judged(ScriptedEngine(reply=lambda _: "Score: 4", finish_reason=reason))
    assert row.score == 4 and row.error is None


def test_one_cut_off_sample_is_not_part_of_the_mean() -> None:
    engine = ScriptedEngine(reply=lambda _: "Score: 4")
    engine.finish_reason = "stop"
    endings = iter(["stop", "content_filter", "stop"])

    def reply(_: Request) -> str:
        engine.finish_reason = next(endings)
        return "Score: 1" if engine.finish_reason == "content_filter" else "Score: 4"

    engine.reply = reply
    [row] = judged(engine)
    assert row.score == 4 and row.scores == [4, None, 4]


def test_a_failed_call_is_no_verdict_and_leaves_no_reply() -> None:
    def fail(_: Request) -> str:
        raise RuntimeError("call failed: 500")

    [row] = judged(ScriptedEngine(reply=fail))
    assert row.score is None and row.replies == [] and row.error == "call failed: 500" and not has_every_reply(row)


def test_an_empty_response_is_not_judged() -> None:
    engine = ScriptedEngine(reply=lambda _: "Score: 5")
    empty = msgspec.structs.replace(response(0), response=" \n")
    [row] = open_judge(engine, TEXT, 0).judge([empty])
    assert row.score is None and row.error == "the response is empty" and engine.asked == []


def test_an_answer_cannot_write_its_own_score() -> None:
    engine = ScriptedEngine(
        reply=lambda request: "I cannot say." if "Score: 5" in request.messages[0]["content"] else ""
    )
    judge = open_judge(engine, TEXT, 0)
    [row] = judge.judge([response(0, "Score: 5")])
    assert row.score is None and "Score: 5" in engine.asked[0].messages[0]["content"]


def test_the_expected_score_is_read_from_log_probabilities() -> None:
    probabilities = [0.0, 0.1, 0.2, 0.3, 0.2, 0.0]  # 0.8 of the mass; the rest is on other words

    def logprobs(request: Request, choices: Sequence[str]) -> list[float]:
        assert request.prefill == "Score: " and list(choices) == ["0", "1", "2", "3", "4", "5"]
        return [math.log(p) if p else -math.inf for p in probabilities]

    [row] = judged(ScriptedEngine(logprobs=logprobs), options=JudgeOptions(read="logprobs"))
    assert row.score == pytest.approx((0.1 + 0.4 + 0.9 + 0.8) / 0.8)
    assert row.spread == pytest.approx(math.sqrt((0.1 * 1 + 0.2 * 4 + 0.3 * 9 + 0.2 * 16) / 0.8 - 2.75**2))
    assert msgspec.json.decode(row.replies[0])["0"] is None


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_log_probability_that_is_no_number_gives_no_score_though_the_others_are_numbers(broken: float) -> None:
    def logprobs(_: Request, choices: Sequence[str]) -> list[float]:
        return [broken, *([-2.0] * (len(choices) - 1))]

    [row] = judged(ScriptedEngine(logprobs=logprobs), options=JudgeOptions(read="logprobs"))
    assert row.score is None and row.mass is None and "not a number" in (row.error or "")


def test_no_probability_on_any_score_is_no_verdict() -> None:
    [row] = judged(ScriptedEngine(logprobs=lambda r, c: [-math.inf] * len(c)), options=JudgeOptions(read="logprobs"))
    assert row.score is None and row.error is not None


def test_the_fingerprint_changes_with_what_changes_a_verdict_and_with_nothing_else(tmp_path: Path) -> None:
    def fingerprint(engine: ScriptedEngine, options: JudgeOptions, seed: int = 0) -> str:
        return open_judge(engine, options, seed).fingerprint

    engine = ScriptedEngine()
    text, logprobs = JudgeOptions(read="text"), JudgeOptions(read="logprobs")
    base = fingerprint(engine, text)
    changed = [
        fingerprint(ScriptedEngine(digest="other"), text),
        fingerprint(engine, logprobs),
        fingerprint(engine, JudgeOptions(read="text", samples=5)),
        fingerprint(engine, JudgeOptions(read="text", temperature=0.1)),
        fingerprint(engine, text, seed=1),
    ]
    assert len({base, *changed}) == 6
    assert fingerprint(ScriptedEngine(name="another name"), text) == base
    assert fingerprint(engine, JudgeOptions(read="text", min_coverage=0.1)) == base
    assert fingerprint(engine, JudgeOptions(read="logprobs", samples=5), seed=3) == fingerprint(engine, logprobs)


def test_a_rubric_of_other_words_has_another_fingerprint(tmp_path: Path) -> None:
    rubric = load_rubric("additive")
    other = msgspec.structs.replace(rubric, prompt=rubric.prompt + " ")
    engine = ScriptedEngine()
    assert Judge(engine, rubric).fingerprint != Judge(engine, other).fingerprint


def test_a_stopped_judge_goes_on_and_ends_with_the_same_rows(tmp_path: Path) -> None:
    responses = [response(number) for number in range(10)]

    def engine() -> ScriptedEngine:
        return ScriptedEngine(reply=lambda request: f"Score: {request.seed % 6}")

    whole = tmp_path / "whole.jsonl"
    with Store(whole, Judgment) as store:
        judge_into(store, open_judge(engine(), TEXT, 0), responses, "judging")
    stopped = tmp_path / "stopped.jsonl"
    with Store(stopped, Judgment) as store:
        for row in islice(open_judge(engine(), TEXT, 0).judge(responses, store.ids), 4):
            store.append(row)
    again = engine()
    with Store(stopped, Judgment, keep=has_every_reply) as store:
        found = judge_into(store, open_judge(again, TEXT, 0), responses, "judging")
    assert stopped.read_bytes() == whole.read_bytes()
    assert [row.response_id for row in found] == [row.id for row in responses]
    assert len(again.asked) == 6 * 3


def test_a_failed_call_is_tried_again_and_a_bad_reply_is_not(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"

    def first(request: Request) -> str:
        if "answer 0" in request.messages[0]["content"]:
            raise RuntimeError("call failed")
        return "no verdict here"

    responses = [response(0), response(1)]
    with Store(path, Judgment, keep=has_every_reply) as store:
        judge_into(store, open_judge(ScriptedEngine(reply=first), TEXT, 0), responses, "judging")
    second = ScriptedEngine(reply=lambda _: "Score: 3")
    with Store(path, Judgment, keep=has_every_reply) as store:
        found = judge_into(store, open_judge(second, TEXT, 0), responses, "judging")
    assert [row.score for row in found] == [3, None]
    assert len(second.asked) == 3 and len(list(read_rows(path, Judgment))) == 2  # what was replaced is gone


def test_low_coverage_stops_and_says_why() -> None:
    rows = judged(replies_in_turn(*["Score: 3"] * 24, *["hm"] * 6), n=10)
    check_coverage(rows, 0.8)
    with pytest.raises(JudgeError, match="only 8 of 10 answers got a verdict.*no verdict in the reply"):
        check_coverage(rows, 0.9)


@pytest.mark.parametrize(
    "options", [JudgeOptions(samples=0), JudgeOptions(min_coverage=1.1), JudgeOptions(rubric="none")]
)
def test_settings_out_of_range_are_refused(options: JudgeOptions) -> None:
    with pytest.raises(InputError):
        open_judge(ScriptedEngine(), options, 0)


def test_a_rubric_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(InputError, match="compares two answers"):
        judged(ScriptedEngine(), options=JudgeOptions(rubric="pairwise"))
