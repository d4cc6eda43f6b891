"""Another judge asked from the screen: its cost first, its verdict beside the old one, and its error if it fails."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.errors import EngineError, InputError, StoreError
from tests.forks import Parent
from tests.openai_server import completion, running
from tests.tui.rows import COMPARISONS, PAIRS, a_run, comparison, judgment, pair, saved, view_of
from tests.tui.screen import notices, on_screen, pane, play, press, settled, text_of, until
from tui.dialogs.form import Confirm, Form
from tui.reading.table import Body
from tui.rejudging import asking
from tui.rejudging.asking import Asked, Cost, ask, cost_of, prefilled, question
from tui.rejudging.others import NAME, OtherJudges
from tui.screens.app import BrowserApp

COST = Cost(2, "big", 300, 512, 0.0011, is_local=False)
IMPORTED = ("judges.score.scoring", "judges.compare.comparing", "engines.served.openai_engine", "engines.served.sdk")
AT_NOBODY = Asked("big", "openai", "http://127.0.0.1:9/v1", "additive", "text")


@pytest.fixture(scope="module")
def parent() -> Iterator[Parent]:
    parent = Parent()
    yield parent
    parent.end()


@pytest.fixture
def forked(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands begin with what they import, a second each. The first test starts them as a user does."""

    def output_of(words: Sequence[str], stopped: Any) -> bytes:
        done = parent.run(words[2:], IMPORTED)
        if done.status:
            raise EngineError(asking.error_in(done.err))
        return done.out.encode()

    monkeypatch.setattr(asking, "_output_of", output_of)


def body_of(path: Path, row: int = 0) -> Body:
    return view_of(path).table.body(row)


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def ask_by_keys(app: BrowserApp, pilot: Pilot[None], asked: Asked) -> None:
    """Press the key, fill in the form, and wait for the cost."""
    await press(app, pilot, "r")
    assert isinstance(app.screen, Form)
    for name, value in asdict(asked).items():
        app.screen.query_one(f"#line-{name.replace('_', '-')}", Input).value = value
    await press(app, pilot, "enter")


def test_a_judgment_is_asked_again_and_the_new_verdict_stands_beside_the_old_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "j.jsonl", [judgment("name a fruit", "apple", 2.0), judgment("name a tool", "saw", 3.0)])

    with running() as server:
        server.answer = lambda _: completion("It is a fruit.\nScore: 5")
        asked = Asked("gpt-5-mini", "openai", server.url, "additive", "text")

        async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
            await ask_by_keys(app, pilot, asked)
            assert isinstance(app.screen, Confirm) and not server.asked, "the cost is said before a call is made"
            assert (
                "3 calls to gpt-5-mini, about" in app.screen.text
                and "at most 768 written: about $0." in app.screen.text
            )
            await press(app, pilot, "y")
            assert "gpt-5-mini: score 5.00; before: score 2.00" in notices(app)
            said = pane(app, "reasons")
            assert "the row              score 2.00  judge f00d\ngpt-5-mini           score 5.00  judge " in said
            assert said.index("It is a fruit.") < said.index("the row's own") < said.index("It is fine.")
            await press(app, pilot, "j")
            assert "gpt-5-mini" not in pane(app, "reasons"), "it is the verdict on another answer"

        play([path], steps)
    row = rows_in(tmp_path / NAME)[0]
    assert (row["score"], row["response_id"], row["asked"]["model"]) == (5.0, "r-apple", "gpt-5-mini")
    assert "gpt-5-mini" in str(OtherJudges().on(tmp_path / "votes.jsonl", body_of(path).item)[0])


def test_the_two_answers_of_a_comparison_and_of_a_pair_are_compared_again(tmp_path: Path, forked: None) -> None:
    for row, kind in ((comparison("which?", "yes", "no", "b"), "c"), (pair("which?", "yes", "no"), "p")):
        path = saved(tmp_path / f"{kind}.jsonl", [row])
        with running() as server:
            server.answer = lambda body: completion(
                "Better: A" if "yes" in str(body).partition("no")[0] else "Better: B"
            )
            asked = Asked("big", "openai", server.url, "pairwise", "text")
            found = ask(body_of(path), asked)
            assert len(server.asked) == 2 and cost_of(body_of(path), asked).n_calls == 2
        assert (found["response_a"], found["response_b"], found["prompt_id"]) == ("yes", "no", "which?")


def test_a_failure_shows_the_commands_own_error_and_the_rest_works(tmp_path: Path, forked: None) -> None:
    path = saved(tmp_path / "c.jsonl", COMPARISONS)

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await ask_by_keys(app, pilot, AT_NOBODY)  # a rubric of one answer
        assert "the rubric 'additive' scores one answer" in notices(app) and "\n" not in notices(app)
        assert text_of(app, "#header").endswith("4 shown")
        await ask_by_keys(app, pilot, replace(AT_NOBODY, rubric="pairwise", engine="nonsense"))
        assert "invalid choice 'nonsense'" in notices(app) and "╯" not in notices(app)
        await press(app, pilot, "1")
        assert len(rows_in(tmp_path / "votes.jsonl")) == 1 and not (tmp_path / NAME).exists()

    play([path], steps)


def test_a_reply_without_a_verdict_is_kept_and_a_failed_call_is_an_error(tmp_path: Path, forked: None) -> None:
    body = body_of(saved(tmp_path / "j.jsonl", [judgment("name a fruit", "apple", 2.0)]))
    with running() as server:
        server.answer = lambda _: completion("no idea")
        found = ask(body, replace(AT_NOBODY, base_url=server.url))
        assert found["score"] is None and found["error"] and len(found["replies"]) == 3
        server.answer = lambda _: (400, {"error": {"message": "no such model"}})
        with pytest.raises(EngineError, match="no such model"):
            ask(body, replace(AT_NOBODY, base_url=server.url))


def test_the_screen_stays_usable_and_a_second_judge_waits_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()

    def slow(body: Body, asked: Asked, stopped: Any) -> dict[str, Any]:
        assert may_answer.wait(20)
        return {**json.loads(json.dumps(body.record)), "winner": "b", "judge": "new"}

    monkeypatch.setattr("tui.screens.rejudging.cost_of", lambda *_: COST)
    monkeypatch.setattr("tui.screens.rejudging.ask", slow)

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await ask_by_keys(app, pilot, AT_NOBODY)
        assert "2 calls to big, about 300 tokens read, at most 512 written: about $0.0011" in on_screen(app)
        await pilot.press("y")
        await until(pilot, lambda: "asking big" in text_of(app, "#header"))
        await pilot.press("j", "r")
        await until(pilot, lambda: app.grid.cursor == 1 and "one judge at a time" in notices(app))
        may_answer.set()
        await settled(app, pilot)
        assert "big: winner b; before: winner a" in notices(app) and "asking" not in text_of(app, "#header")
        await press(app, pilot, "k")
        assert "winner a  judge cafe" in pane(app, "reasons") and "winner b  judge new" in pane(app, "reasons")

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_no_is_no_and_a_hidden_verdict_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.rejudging.cost_of", lambda *_: COST)
    monkeypatch.setattr("tui.screens.rejudging.ask", lambda *_: pytest.fail("nobody agreed to this"))

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await ask_by_keys(app, pilot, AT_NOBODY)
        await press(app, pilot, "escape")
        assert len(app.screen_stack) == 1 and app.is_running
        await press(app, pilot, "r")
        assert app.screen.query_one("#line-model", Input).value == "big", "the form begins with the judge asked last"
        await press(app, pilot, "escape", "b", "r")
        assert "vote first" in notices(app) and len(app.screen_stack) == 1

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_the_form_begins_with_the_rows_rubric_and_the_runs_model(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    (run / "run.toml").write_text('[settings.engine]\nmodel = "iter2"\nengine = "vllm"\n')
    view = view_of(run)
    bodies = {body.item.kind: body for body in map(view.table.body, range(len(view.rows)))}
    source = view.table.source
    shown = {kind: prefilled(body, source.run_of(body.path)) for kind, body in bodies.items()}
    assert shown[1] == Asked("iter2", "vllm", "", "additive", "logprobs")
    assert shown[3].rubric == "pairwise", "a pair has no rubric of its own"
    assert prefilled(bodies[1], None).model == "smollm2"


def test_judgments_compared_are_refused_no_key_is_stored_and_a_folder_in_the_way_is_told(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path / "c.jsonl", [comparison("p", "x", "y", "a", judged="an answer")])
    with pytest.raises(InputError, match="compares two judgments"):
        question(body_of(path))
    keyed = replace(AT_NOBODY, base_url="https://me:SECRET@host/v1?key=SECRET")
    OtherJudges().append(tmp_path / "votes.jsonl", rows_in(path)[0], keyed)
    assert "SECRET" not in (tmp_path / NAME).read_text() and "host/v1" in (tmp_path / NAME).read_text()
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()
    with pytest.raises(StoreError):
        OtherJudges().append(tmp_path / "votes.jsonl", rows_in(path)[0], AT_NOBODY)
    assert [question(body_of(saved(tmp_path / "p.jsonl", PAIRS)))[f"response_{side}"] for side in "ab"] == [
        "good apple",
        "bad",
    ]


def test_a_verdict_that_cannot_be_written_is_told_and_shown_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).mkdir()
    monkeypatch.setattr("tui.screens.rejudging.cost_of", lambda *_: COST)
    monkeypatch.setattr("tui.screens.rejudging.ask", lambda body, *_: {**body.record, "winner": "b", "judge": "new"})

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await ask_by_keys(app, pilot, AT_NOBODY)
        await press(app, pilot, "y")
        assert "is a folder" in notices(app) and "winner b  judge new" in pane(app, "reasons")

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)
