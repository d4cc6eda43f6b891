"""Votes on the screen: cast, taken back, blind, with notes, and what happens if they cannot be written."""

import errno
import json
from pathlib import Path

import pytest
from textual.pilot import Pilot

from records.disk.locked import locked
from records.rows import text_id
from tests.tui.rows import COMPARISONS, PAIRS, a_run, comparison, saved, vote
from tests.tui.screen import notices, on_screen, pane, play, press, settled, text_of
from tui.dialogs.small import Reader
from tui.screens.app import BrowserApp
from tui.voting.log import VoteLog


def rows_in(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_vote_is_written_shown_and_taken_back(tmp_path: Path) -> None:
    votes = tmp_path / "votes.jsonl"

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "3")
        assert app.grid.cursor == 1
        assert [rows_in(votes)[0][name] for name in ("winner", "a_id", "b_id", "voter", "blind")] == [
            "b", text_id("Use SQL."), text_id("no"), "ann", False,
        ]  # fmt: skip
        assert "✓ b ≠" in on_screen(app).splitlines()[2]
        await press(app, pilot, "2", "k")
        assert "votes: ann tie" in text_of(app, "#facts")
        await press(app, pilot, "u")
        assert [row["winner"] for row in rows_in(votes)] == ["b", "tie", None]
        assert app.grid.cursor == 1 and "votes:" not in text_of(app, "#facts")
        await press(app, pilot, "u", "u")
        assert "no vote of yours to take back" in notices(app)

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_a_note_goes_with_the_vote_or_to_one_that_is_there(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "m", *"both", "enter")
        assert "the note goes with your vote" in notices(app)
        await press(app, pilot, "2", "k", "m", *"!", "enter")
        assert [row["note"] for row in rows_in(tmp_path / "votes.jsonl")] == ["both", "both!"]
        assert "note: both!" in text_of(app, "#facts")

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_a_blind_voter_sees_neither_names_nor_verdict_and_votes_for_what_is_shown(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", [comparison(f"q{n}", f"first{n}", f"second{n}", "a") for n in range(8)])

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        shown_first = set()
        for _ in range(8):
            screen = on_screen(app)
            assert not any(word in screen for word in ("ours", "theirs", "cafe", "winner", "0.20", "clearer"))
            shown_first.add(pane(app, "left")[:5])
            left = pane(app, "left")
            await press(app, pilot, "F", "I", "c")
            assert not isinstance(app.screen, Reader) and len(app.screen_stack) == 1
            await press(app, pilot, "1")
            row = rows_in(tmp_path / "votes.jsonl")[-1]
            assert row["blind"] is True and row[f"{row['winner']}_id"] == text_id(left)
            assert "ours" in on_screen(app) and "A is clearer." in pane(app, "reasons")
            await press(app, pilot, "j")
        assert shown_first == {"first", "secon"}
        assert "BLIND │ random 8/8" in text_of(app, "#header")

    play([path], steps, blind=True, queue="random")


def test_a_blind_voter_sees_neither_which_answer_is_longer_nor_what_others_voted(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)  # the first answer of a pair is the chosen one
    saved(tmp_path / "votes.jsonl", [vote("apples", text_id("good apple"), text_id("bad"), "a", voter="bob")])

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert "Δlen" not in on_screen(app) and "✓ a" not in on_screen(app) and "longer" not in on_screen(app)
        await press(app, pilot, "2")
        assert "votes: ann tie, bob a" in text_of(app, "#facts")

    play([path], steps, blind=True)


def test_another_voter_comes_in_while_the_screen_is_open_and_agreement_is_live(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", COMPARISONS)
    ids = (text_id("Use SQL."), text_id("no"))

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "1", "k")
        VoteLog(tmp_path / "votes.jsonl").append(vote("sql?", *ids, "b", voter="bob"))
        app._look()
        await settled(app, pilot)
        await press(app, pilot, "I")
        assert isinstance(app.screen, Reader)
        for line in ("ann and the judge: 100% of 1", "bob and the judge: 0% of 1", "ann and bob: 0% of 1"):
            assert line in app.screen.text
        assert "win rate of b, corrected by votes" in app.screen.text
        assert f"python -m trainer.pairs FILE --votes {tmp_path / 'votes.jsonl'} --on-vote overrule" in app.screen.text

    play([path], steps)


def test_a_locked_file_a_full_disk_and_a_single_answer_are_notices_and_the_rest_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        with locked(run / "votes.jsonl"):
            await press(app, pilot, "1")
        assert "another process is writing" in notices(app)
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", full)
            await press(app, pilot, "1")
        assert "free some space" in notices(app) and app.grid.cursor == 0
        await press(app, pilot, "1")
        assert len(rows_in(run / "votes.jsonl")) == 1
        await press(app, pilot, "v", "1")
        assert "a vote needs two answers" in notices(app)

    play([run], steps)


def test_votes_on_no_row_are_counted_on_the_screen(tmp_path: Path) -> None:
    saved(tmp_path / "votes.jsonl", [vote("gone", "x", "y", "a")])

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert "1 votes on no row" in text_of(app, "#header")
        await press(app, pilot, "I")
        assert isinstance(app.screen, Reader) and "votes that match no row here: 1 (gone)" in app.screen.text

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_a_queue_is_chosen_from_a_list(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "w", "j", "enter")
        assert app.browsing.queue == "uncertain" and "uncertain 0/4" in text_of(app, "#header")
        assert pane(app, "prompt") == "when?"  # its orders disagree
        await press(app, pilot, "s")
        assert app.browsing.queue is None

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_with_two_runs_a_vote_a_note_and_an_undo_go_to_the_run_of_their_row(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / name) for name in ("first", "second")]
    files = [run / "votes.jsonl" for run in runs]

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "G", "1")
        assert not files[0].exists() and len(rows_in(files[1])) == 1
        await press(app, pilot, "m", *"why", "enter", "u")
        assert not files[0].exists() and [row["winner"] for row in rows_in(files[1])] == ["a", "a", None]
        await press(app, pilot, "g", "3")
        assert len(rows_in(files[0])) == 1 and len(rows_in(files[1])) == 3

    play(runs, steps)


def test_a_vote_on_answers_that_the_file_does_not_hold_is_refused(tmp_path: Path) -> None:
    judged = {"judge": ["gpt-4", "pair"], "g1_winner": "tie", "g2_winner": "tie", "g1_judgment": "[[C]]"}
    rows = [{"question_id": 81, "model_1": "one", "model_2": model, **judged} for model in ("two", "three")]

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "1")
        assert "bench.jsonl does not hold both answers" in notices(app)
        assert "same length" not in text_of(app, "#facts") and " chars" not in on_screen(app)
        assert app.grid.cursor == 0 and not (tmp_path / "votes.jsonl").exists()

    play([saved(tmp_path / "bench.jsonl", rows)], steps)
