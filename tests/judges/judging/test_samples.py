import contextlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError
from engines.protocol import Choice, Completion, Request, Sampling
from engines.scripted import ScriptedEngine
from judges.judging.judge import Judge, has_every_reply, judge_into, open_judge
from judges.judging.pairwise import Contest, both_orders_answered, compare, compare_into
from judges.options import JudgeOptions
from judges.parsing.verdict import all_samples
from judges.rubrics.rubric import load_rubric
from judges.score import __main__ as score_command
from records import Comparison, Judgment, Response, Store, read_rows
from records.rows import Usage
from records.store import latest
from tests.fences import plain
from tests.judges.opened import patch_open_engine

TEXT = JudgeOptions(read="text", samples=3)
PAIRWISE = JudgeOptions(rubric="pairwise", read="text", samples=2)
RESPONSES = [Response(id=f"r{n}", prompt_id="p", prompt="Q", response=f"answer {n}", model="m") for n in range(8)]
CONTESTS = [Contest("p", "Q", f"good {n}", f"bad {n}", "x", "y") for n in range(6)]


class Unsteady(ScriptedEngine):
    """Fails the calls for which `fails` holds, by the number of the call; counts those it answers."""

    def __init__(self, fails: Callable[[int], bool], reply: Callable[[Request], str] = lambda _: "Score: 4") -> None:
        super().__init__(reply=reply)
        self.fails, self.n_answered = fails, 0

    def generate(self, requests: Sequence[Request], sampling: Sampling, done: Any = ()) -> Any:
        for index, request in enumerate(requests):
            if index in done:
                continue
            self.asked.append(request)
            if self.fails(len(self.asked) - 1):
                yield Completion(index, "", None, error="call failed: 400: no", n_failed=1, n_tokens=1)
            else:
                self.n_answered += 1
                yield Completion(index, self.reply(request), "stop", n_tokens=5)

    def choose(self, requests: Sequence[Request], choices: Sequence[str], done: Any = ()) -> Any:
        for index, request in enumerate(requests):
            if index in done:
                continue
            self.asked.append(request)
            if self.fails(len(self.asked) - 1):
                yield Choice(index, (), error="call failed: 400: no", n_failed=1)
            else:
                self.n_answered += 1
                yield Choice(index, tuple([-1.0] * len(choices)))


def third(call: int) -> bool:
    return call % 3 == 1


def never(_: int) -> bool:
    return False


def judged(path: Path, engine: ScriptedEngine, options: JudgeOptions = TEXT) -> list[Judgment]:
    with Store(path, Judgment, keep=has_every_reply) as store:
        return judge_into(store, open_judge(engine, options, 0), RESPONSES, "judging")


def compared(path: Path, engine: ScriptedEngine, options: JudgeOptions = PAIRWISE) -> list[Comparison]:
    with Store(path, Comparison, keep=both_orders_answered) as store:
        return compare_into(store, open_judge(engine, options, 0), CONTESTS, "comparing")


def by_seed(request: Request) -> str:
    return f"Score: {request.seed % 6}"


def first_is_good(request: Request) -> str:
    return (
        "Better: A"
        if plain(request.messages[0]["content"]).split("<answer_a>\n")[1].startswith("good")
        else "Better: B"
    )


def test_a_row_with_a_failed_sample_has_no_score_and_says_how_many_it_has_and_why(tmp_path: Path) -> None:
    rows = judged(tmp_path / "j.jsonl", Unsteady(third))
    for row in rows:
        assert row.score is None and row.scores == [4, None, 4] and row.n_samples == 2
        assert row.missing == {"1": "call failed: 400: no"} and row.reply_samples == [0, 2]
        assert row.error == "only 2 of 3 samples answered, 3 are needed: call failed: 400: no"
        assert not has_every_reply(row)


@pytest.mark.parametrize(("least", "score"), [(1, 4.0), (2, 4.0), (3, None), (None, None)])
def test_the_least_number_of_samples_is_a_flag(tmp_path: Path, least: int | None, score: float | None) -> None:
    rows = judged(tmp_path / "j.jsonl", Unsteady(third), JudgeOptions(read="text", samples=3, min_samples=least))
    assert [row.score for row in rows] == [score] * 8 and {row.n_samples for row in rows} == {2}
    assert all((row.error is None) == (score is not None) and row.missing for row in rows)
    assert not any(map(has_every_reply, rows)), "a row with a score is completed too"


@pytest.mark.parametrize("least", [0, 4, -1])
def test_a_least_number_that_no_row_can_have_is_refused(least: int) -> None:
    with pytest.raises(InputError, match="min.samples must be (at least 1|from 1 to --samples, 3), not"):
        open_judge(ScriptedEngine(), JudgeOptions(read="text", samples=3, min_samples=least), 0)


def test_the_least_number_is_not_in_the_fingerprint_because_complete_rows_do_not_depend_on_it() -> None:
    one, other = (open_judge(ScriptedEngine(), JudgeOptions(read="text", min_samples=n), 0) for n in (1, None))
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("read", ["text", "structured"])
def test_the_next_run_asks_only_for_the_missing_samples_and_ends_as_an_undisturbed_one(
    tmp_path: Path, read: Any
) -> None:
    options = JudgeOptions(read=read, samples=3)

    def reply(request: Request) -> str:
        return json.dumps({"score": request.seed % 6}) if read == "structured" else by_seed(request)

    whole = judged(tmp_path / "whole.jsonl", Unsteady(never, reply), options)
    first, second, third_run = Unsteady(third, reply), Unsteady(lambda n: n == 0, reply), Unsteady(never, reply)
    for engine, n_asked in ((first, 24), (second, 8), (third_run, 1)):
        rows = judged(tmp_path / "j.jsonl", engine, options)
        assert len(engine.asked) == n_asked
    unpaid = [(row.score, row.scores, row.replies, row.missing, row.n_samples, row.reply_samples) for row in rows]
    assert unpaid == [(w.score, w.scores, w.replies, w.missing, w.n_samples, w.reply_samples) for w in whole]
    assert {request.seed for request in first.asked} >= {request.seed for request in second.asked}
    n_calls = sum(row.usage.n_calls for row in rows), sum(row.usage.n_failed for row in rows)
    assert n_calls == (33, 9), "what earlier runs asked stays counted"
    assert sum(row.usage.n_tokens for row in rows) == 24 * 5 + 9
    idle = Unsteady(never)
    judged(tmp_path / "j.jsonl", idle, options)
    assert idle.asked == []


def test_a_bad_reply_is_kept_and_not_asked_again(tmp_path: Path) -> None:
    replies = iter(["Score: 4", "hm", "Score: 2"] * 8)
    rows = judged(tmp_path / "j.jsonl", ScriptedEngine(reply=lambda _: next(replies)))
    assert {(row.score, row.n_samples) for row in rows} == {(3.0, 2)}
    assert rows[0].missing == {"1": "no verdict in the reply"} and all(map(has_every_reply, rows))
    idle = Unsteady(never)
    judged(tmp_path / "j.jsonl", idle)
    assert idle.asked == []


def test_the_criteria_that_were_read_are_kept_and_only_the_others_asked_again(tmp_path: Path) -> None:
    options = JudgeOptions(rubric="criteria", read="logprobs")
    n = len(load_rubric("criteria").labels)
    first = Unsteady(lambda call: call % n == 2)
    rows = judged(tmp_path / "j.jsonl", first, options)
    assert all(row.score is None and row.missing == {"2": "call failed: 400: no"} for row in rows)
    assert {(row.n_samples, len(row.replies)) for row in rows} == {(n - 1, n - 1)}
    second = Unsteady(never)
    again = judged(tmp_path / "j.jsonl", second, options)
    assert len(second.asked) == len(RESPONSES) and all(row.score is not None for row in again)
    assert again[0].criteria == judged(tmp_path / "whole.jsonl", Unsteady(never), options)[0].criteria


@pytest.mark.parametrize("read", ["text", "logprobs"])
def test_a_comparison_is_completed_order_by_order_and_sample_by_sample(tmp_path: Path, read: Any) -> None:
    options = JudgeOptions(rubric="pairwise", read=read, samples=2)
    whole = compared(tmp_path / "whole.jsonl", Unsteady(never, first_is_good), options)
    n = len(CONTESTS) * 2 * (2 if read == "text" else 1)
    first = Unsteady(lambda call: call % 5 == 2, first_is_good)
    rows = compared(tmp_path / "c.jsonl", first, options)
    lacking = [row for row in rows if row.missing]
    assert lacking and all(row.winner is None and row.preference_b is None and row.error for row in lacking)
    assert all(set(row.missing.values()) == {"call failed: 400: no"} for row in lacking)
    second = Unsteady(never, first_is_good)
    again = compared(tmp_path / "c.jsonl", second, options)
    assert first.n_answered + len(second.asked) == n
    assert [(r.winner, r.preference_b, r.replies, r.reply_orders, r.missing) for r in again] == [
        (r.winner, r.preference_b, r.replies, r.reply_orders, r.missing) for r in whole
    ]
    assert sum(row.usage.n_calls for row in again) == len(first.asked) + len(second.asked)


def test_an_order_that_was_answered_counts_with_the_least_number_of_samples(tmp_path: Path) -> None:
    options = JudgeOptions(rubric="pairwise", read="text", samples=2, min_samples=1)
    rows = compared(tmp_path / "c.jsonl", Unsteady(lambda call: call % 2 == 1, first_is_good), options)
    assert {(row.winner, row.n_samples) for row in rows} == {("a", 2)}
    assert set(rows[0].missing) == {"ab-1", "ba-1"} and not any(map(both_orders_answered, rows))


def test_the_same_contest_twice_is_asked_once(tmp_path: Path) -> None:
    engine = Unsteady(never, first_is_good)
    rows = list(compare(open_judge(engine, PAIRWISE, 0), [*CONTESTS, *CONTESTS], ()))
    assert len(rows) == len(CONTESTS) and len(engine.asked) == len(CONTESTS) * 4


class Stopping(Unsteady):
    """Raises after some calls, as an engine does whose server has gone, or which the user stops while it waits."""

    why: BaseException = EngineError("the server has gone")

    def generate(self, requests: Sequence[Request], sampling: Sampling, done: Any = ()) -> Any:
        for number, answer in enumerate(super().generate(requests, sampling, done)):
            if number == 7:
                raise self.why
            yield answer


@pytest.fixture(params=[EngineError("the server has gone"), KeyboardInterrupt()], ids=["gone", "stopped"])
def stop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    monkeypatch.setattr(Stopping, "why", request.param)
    return type(request.param)


def test_what_was_answered_before_the_engine_stopped_is_kept_to_the_last_sample(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    with pytest.raises(stop):
        judged(tmp_path / "j.jsonl", Stopping(never, by_seed))
    rows = list(read_rows(tmp_path / "j.jsonl", Judgment))
    assert [len(row.replies) for row in rows] == [3, 3, 1]
    assert rows[2].missing == dict.fromkeys(("1", "2"), "not answered: the command had to stop")
    engine = Unsteady(never, by_seed)
    again = judged(tmp_path / "j.jsonl", engine)
    assert len(engine.asked) == 24 - 7 and all(row.n_samples == 3 for row in again)


def test_a_comparison_keeps_the_order_that_was_answered_before_the_engine_stopped(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    with pytest.raises(stop):
        compared(tmp_path / "c.jsonl", Stopping(never, first_is_good))
    rows = list(read_rows(tmp_path / "c.jsonl", Comparison))
    assert [len(row.replies) for row in rows] == [4, 3] and set(rows[1].missing) == {"ba-1"}
    engine = Unsteady(never, first_is_good)
    assert all(row.winner == "a" for row in compared(tmp_path / "c.jsonl", engine))
    assert len(engine.asked) == 24 - 7


def test_a_row_of_an_earlier_version_is_completed_without_losing_a_reply(tmp_path: Path) -> None:
    from msgspec.structs import replace

    rows = judged(tmp_path / "j.jsonl", Unsteady(third, by_seed))
    old = [replace(row, score=1.0, error=None, n_samples=None, missing={}, reply_samples=[]) for row in rows]
    assert [[one.reply for one in all_samples(row)] for row in old] == [
        [one.reply for one in all_samples(row)] for row in rows
    ]
    assert not any(map(has_every_reply, old))
    judge = open_judge(engine := Unsteady(never, by_seed), TEXT, 0)
    again = list(judge.judge(RESPONSES, (), {row.id: row for row in old}))
    assert len(engine.asked) == 8 and all(row.n_samples == 3 and row.score is not None for row in again)


def test_a_command_completes_its_rows_and_counts_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{n}", "prompt": "Q", "response": f"answer {n}", "model": "m"} for n in range(10)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["answers.jsonl", "--read", "text", "--out", "j.jsonl", "--json", "--min-coverage", "0"]
    counts = []
    for fails in (third, never):
        engine = Unsteady(fails, by_seed)
        patch_open_engine(monkeypatch, lambda _, found=engine: found)
        score_command.main(parse(score_command.Config, flags, "prog"))
        printed = capsys.readouterr()
        assert ("10 rows lack samples whose calls failed" in printed.err) == (fails is third)
        found = json.loads(printed.out)
        counts.append((found["models"][0]["unscored"], found["usage"]["n_calls"], len(engine.asked)))
    assert counts == [(10, 30, 30), (0, 40, 10)]
    assert len(list(latest(read_rows(Path("j.jsonl"), Judgment)))) == 10


def test_a_judge_without_samples_missing_says_so_in_every_row(tmp_path: Path) -> None:
    [row] = Judge(ScriptedEngine(reply=lambda _: "Score: 3"), load_rubric("additive"), "text", 2).judge(RESPONSES[:1])
    assert (row.n_samples, row.missing, row.reply_samples) == (2, {}, [0, 1]) and row.usage - row.usage == Usage()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_fails_and_whenever_the_server_goes_every_row_comes_to_what_an_undisturbed_run_gives(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    class Chaotic(Unsteady):
        def generate(self, requests: Sequence[Request], sampling: Sampling, done: Any = ()) -> Any:
            stop_at = chance.randrange(5, 60)
            for number, answer in enumerate(super().generate(requests, sampling, done)):
                if number == stop_at:
                    raise EngineError("the server has gone")
                yield answer

    whole = judged(tmp_path / "whole.jsonl", Unsteady(never, by_seed))
    contests = compared(tmp_path / "contests.jsonl", Unsteady(never, first_is_good))
    n_asked = [0, 0]
    for _ in range(40):
        engines = [Chaotic(lambda _: chance.random() < 0.45, reply) for reply in (by_seed, first_is_good)]
        with contextlib.suppress(EngineError):
            judged(tmp_path / "j.jsonl", engines[0])
        with contextlib.suppress(EngineError):
            compared(tmp_path / "c.jsonl", engines[1])
        n_asked = [n + len(engine.asked) for n, engine in zip(n_asked, engines, strict=True)]
        rows = list(latest(read_rows(tmp_path / "j.jsonl", Judgment)))
        for row in rows:
            assert (row.score is None) == bool(row.missing) and row.n_samples == len(row.replies)
    rows = judged(tmp_path / "j.jsonl", idle := Unsteady(never))
    pairs = compared(tmp_path / "c.jsonl", idle)
    assert idle.asked == []
    assert [(r.id, r.score, r.replies, r.missing) for r in rows] == [(w.id, w.score, w.replies, {}) for w in whole]
    assert [(r.id, r.winner, r.replies, r.missing) for r in pairs] == [
        (w.id, w.winner, w.replies, {}) for w in contests
    ]
    n_calls = [sum(row.usage.n_calls for row in found) for found in (rows, pairs)]
    # Of the calls that were made, one at each stop came to nothing: it was under way when the server went.
    assert all(0 <= n - counted <= 40 for n, counted in zip(n_asked, n_calls, strict=True))
