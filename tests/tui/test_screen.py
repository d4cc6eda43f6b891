"""The main screen: moving, filtering, sorting, reading, and what it does with hostile texts and bad files."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.tui.rows import BROKEN, COMPARISONS, PAIRS, a_run, comparison, judgment, pair, saved, view_of
from tests.tui.screen import filtered, notices, on_screen, pane, play, press, settled, shown, text_of, until
from tui.browsing.state import Browsing
from tui.dialogs.small import Choice, Reader
from tui.reading.sources import find_source
from tui.reading.table import Table
from tui.screens.app import BrowserApp
from tui.screens.grid import Grid, fitted
from tui.summary.columns import BY_NAME
from tui.verdicts.reasons import reasons_text
from tui.voting.log import open_votes

MARKUP = ["[/path]", "[/]", "list[int] [bold]x", "[@click=app.quit]press[/]", "$accent <b>{x}</b> \\[", "[red"]
CONTROLS = [
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x9b5m\x07",
    "\u202egnol\u2069",
    "a\r\nb\tc\x7f",
    "\u200b\u2028",
    "👩‍👩‍👧‍👦 漢字 é\x00",
]


def test_moving_the_cursor_shows_the_row_under_it(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        seen = [pane(app, "prompt")]
        for key in ("j", "down", "k", "G", "g", "up", "right_square_bracket", "left_square_bracket"):
            await press(app, pilot, key)
            seen.append(pane(app, "prompt"))
        assert seen == ["apples", "berries", "cherries", "berries", "dates", "apples", "apples", "berries", "apples"]
        assert (pane(app, "left"), pane(app, "right")) == ("good apple", "bad")
        assert "✓ a chosen  score 3.00  10 chars" in str(app.detail.pane("left").border_title)
        assert "✗ b rejected  score 2.50" in on_screen(app)
        assert "pair 1 of 4" in text_of(app, "#facts") and "a 7 chars longer" in text_of(app, "#facts")

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_a_filter_narrows_the_table_and_escape_brings_all_rows_back(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert "[pairs 4] │ 4 shown" in text_of(app, "#header")
        await filtered(app, pilot, "margin>=2 RR")
        assert shown(app) == [2]
        assert "1 shown" in text_of(app, "#header") and pane(app, "prompt") == "berries"
        assert app.focused is app.grid
        await press(app, pilot, "escape")
        assert shown(app) == [1, 2, 3, 4] and pane(app, "prompt") == "berries"
        assert not app.query_one("#filter").display
        await filtered(app, pilot, "nowhere")
        assert "no row passes the filter" in text_of(app, "#facts") and pane(app, "left") == ""

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_a_wrong_filter_says_what_is_possible_and_keeps_the_rows(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await filtered(app, pilot, "winner:c")
        assert "winner: can be none, a, b, tie" in on_screen(app)
        assert len(shown(app)) == 4
        await press(app, pilot, "escape")
        assert "can be" not in on_screen(app)

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps, (80, 24))


def test_the_line_takes_the_letters_of_the_keys_and_completes_words(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "slash", *"qs/1?")
        assert app.line.value == "qs/1?" and app.is_running and not app.browsing.log.votes
        await press(app, pilot, "escape", "slash", *"fli", "tab")
        assert app.line.value == "flipped:"
        await press(app, pilot, "tab", "tab", "tab", "enter")
        assert app.line.value == "flipped:yes" and shown(app) == [3]

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_a_filter_that_is_due_when_the_screen_closes_is_let_go(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "slash", *"apple")
        await app.grid.remove()
        app.refilter()

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_sorting_keeps_the_selected_row_and_puts_missing_values_last(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "j", "l", "l", "l", "s")
        assert app.browsing.sort_column == "margin" and shown(app) == [1, 4, 2, 3]
        assert pane(app, "prompt") == "berries" and app.grid.cursor == 2
        assert "▲›margin" in on_screen(app)
        await press(app, pilot, "s")
        assert shown(app) == [2, 4, 1, 3] and "▼›margin" in on_screen(app)
        assert pane(app, "prompt") == "berries" and app.grid.cursor == 0

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_a_click_selects_a_row_and_a_title_sorts(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await pilot.click(Grid, offset=(20, 3))
        await settled(app, pilot)
        assert pane(app, "prompt") == "cherries"
        at = on_screen(app).splitlines()[1].index("margin")
        await pilot.click(Grid, offset=(at, 0))
        await settled(app, pilot)
        assert app.browsing.sort_column == "margin" and pane(app, "prompt") == "cherries"

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_a_text_is_found_and_n_goes_on_and_round(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "n")
        assert "nothing to find yet" in notices(app)
        await press(app, pilot, "f", *"RR", "enter")
        await until(pilot, lambda: app.grid.cursor == 1)
        assert len(shown(app)) == 4
        for key, place in (("n", 2), ("n", 1), ("N", 2)):
            await press(app, pilot, key)
            await until(pilot, lambda place=place: app.grid.cursor == place)
        styles = app.query_one("#prompt Static").visual.spans  # type: ignore[attr-defined]
        assert [(span.start, span.end) for span in styles] == [(3, 5)]

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_enter_gives_the_texts_the_screen_and_escape_brings_the_table_back(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "enter")
        assert not app.grid.display and app.focused is app.detail.pane("left")
        await press(app, pilot, "right_square_bracket")
        assert pane(app, "left") == "good berry"
        await press(app, pilot, "escape")
        assert app.grid.display and app.focused is app.grid and app.grid.cursor == 1

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_only_the_lines_on_the_screen_are_drawn(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        app.grid.n_drawn = 0
        await press(app, pilot, "G")
        assert pane(app, "prompt") == "prompt 2999"
        assert 0 < app.grid.n_drawn < 200
        await press(app, pilot, "ctrl+u")
        assert app.grid.cursor < 2999

    play([saved(tmp_path / "p.jsonl", [pair(f"prompt {n}", "a", "b") for n in range(3000)])], steps)


def test_the_table_has_the_new_width_at_once_after_each_resize(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        for width in (120, 80, 100, 81, 200, 60, 120, 80):
            await pilot.resize_terminal(width, 30)
            await pilot.pause()
            lines = on_screen(app).splitlines()
            assert {len(line) for line in lines[1:3]} == {width}
            assert "prompt" in lines[1] and "margin" in lines[1]
            assert ("judge" in lines[1]) == (width > 81), width
            # One column less gives the prompt what is left, so that the line is full.
            assert len(lines[2].rstrip()) > width - 12

    long = [pair("a long prompt " * 30, "good", "bad", chosen_score=3.0, rejected_score=2.0, margin=1.0, judge="f")]
    play([saved(tmp_path / "iter1" / "p.jsonl", long)], steps, (80, 30))


def test_one_pane_at_a_time_on_a_small_screen_and_all_on_a_wide_one(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        names = ("prompt", "left", "right", "reasons")
        for name in names:
            await press(app, pilot, "tab")
            assert [n for n in names if app.detail.pane(n).region.height > 0] == [name]
            assert f"[{'judge' if name == 'reasons' else name if name == 'prompt' else ''}" in text_of(app, "#tabs")
        await press(app, pilot, "tab")
        assert app.focused is app.grid
        footer = on_screen(app).splitlines()[-1]
        assert all(key in footer for key in ("/ Filter", "s Sort", "1 2 3 Vote", "? Help", "q Quit"))
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        left, right = (app.detail.pane(name).region for name in ("left", "right"))
        assert left.y == right.y and left.right <= right.x
        assert all(app.detail.pane(name).region.height > 2 for name in names)

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps, (80, 24))


def test_help_and_the_palette_list_every_key(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "question_mark")
        assert isinstance(app.screen, Reader)
        for line in ("/ ", "s ", "F ", "[ K", "esc ", "? ", "q ", "j ", "G ", "tab ", "1 ", "u ", "shift+tab "):
            assert f"\n  {line}" in app.screen.text
        await press(app, pilot, "q")
        assert not isinstance(app.screen, Reader) and app.is_running
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Filter", "Statistics", "Export", "Blind", "Quit"} <= titles

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps, (80, 24))


def test_hostile_texts_are_shown_and_harm_nothing(tmp_path: Path) -> None:
    triples = [MARKUP[:3], MARKUP[3:], CONTROLS[:3], CONTROLS[3:]]
    rows = [pair(*triple, prompt_id=triple[0], judge=triple[0]) for triple in triples]

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        for triple in triples:
            if triple in triples[:2]:
                assert [pane(app, name) for name in ("prompt", "left", "right")] == triple
                assert all(text in on_screen(app) for text in triple)
            assert not any(character in on_screen(app) for character in "\x1b\x07\x9b\x7f\u202e\u2028\x00\u200b")
            await press(app, pilot, "j")
        for keys in (["F"], ["escape", "I"], ["escape", "slash", *"[/]", "enter"], ["escape", "y"], ["escape", "c"]):
            await press(app, pilot, *keys)
            assert app.is_running

    play([saved(tmp_path / "p.jsonl", rows)], steps)


def test_very_long_texts_and_lone_surrogates_are_cut_and_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", [pair("a", "", "x" * 1_000_000), pair("b", "line\n" * 10_000, "漢字 👍")])
    with path.open("a") as file:
        file.write(json.dumps({"prompt": "half \ud83d", "chosen": "x", "rejected": "y", "prompt_id": "s"}) + "\n")

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert pane(app, "left") == "(empty)"
        assert pane(app, "right").endswith("(cut here: 20,000 of 1,000,000 characters are shown)")
        await press(app, pilot, "d", "j", "d")
        assert "(cut here: 20,000 of 50,000" in pane(app, "left") and "漢字 👍" in on_screen(app)
        assert "3 shown" in text_of(app, "#header") or "1 bad row" in text_of(app, "#header")

    play([path], steps)


def test_words_that_differ_are_underlined_and_counted(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "d")
        spans = app.query_one("#left Static").visual.spans  # type: ignore[attr-defined]
        assert [(span.start, span.end, str(span.style)) for span in spans] == [(4, 9, "bold underline")]
        assert "≠ 1 differences" in str(app.detail.pane("left").border_title)
        await press(app, pilot, "d")
        assert not app.query_one("#left Static").visual.spans  # type: ignore[attr-defined]

    play([saved(tmp_path / "p.jsonl", [pair("p", "the quick fox", "the slow fox")])], steps)


def test_reasons_orders_bars_constraints_and_costs_of_a_row_are_shown(tmp_path: Path) -> None:
    criteria = {"helpful": 4.0, "[red]clear": None}
    claim = {
        "claim": "Paris is in Spain", "verdict": "refuted",
        "quote": {"passage_id": "1", "title": "Paris", "text": "Paris is in France."},
    }  # fmt: skip
    scored = judgment(
        "p", "x", 3.5, scores=[3.0, 4.0], criteria=criteria, evidence={**BROKEN, "claims": [claim], "n_refuted": 1}
    )
    flipped = comparison("q", "y", "z", "tie", flipped=True)

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        reasons = pane(app, "reasons")
        assert "the orders disagree" in reasons and "a shown first: a    b shown first: b" in reasons
        assert "reply 1 of 2, a shown first\nA is clearer." in reasons and "preference for b 0.50 ██████████" in reasons
        await press(app, pilot, "v")
        reasons = pane(app, "reasons")
        for line in (
            "score 3.50, samples 3.00 4.00, spread 0.25",
            "helpful     4.00 ████████████████",
            "[red]clear     -",
            "✗ broken: change_case:english_lowercase: it has an A",
            "✓ followed: punctuation:no_comma: no comma",
            "✗ refuted: Paris is in Spain\n    Paris: Paris is in France.",
            "It is fine.\nScore: 3.5",
            "judge f00d, rubric additive, 1 call, 20 + 7 tokens",
        ):
            assert line in reasons, line

    play([saved(tmp_path / "rows.jsonl", [scored, flipped])], steps)


@pytest.mark.parametrize(
    ("rubric", "grade", "line"),
    [
        ("criteria", 3.0, "accuracy  3.00 ██████████\n(bars from 1 to 5)"),
        ("single_10", 10.0, "accuracy 10.00 ████████████████████"),
        ("criteria", 9.0, "accuracy  9.00 \n"),  # another rubric of the same name
        ("my own", 3.0, "accuracy  3.00 \n"),
        ("../rubrics/criteria", 3.0, "accuracy  3.00 \n"),
    ],
)
def test_the_bars_of_criteria_are_shares_of_the_rubrics_range_if_it_is_known(
    tmp_path: Path, rubric: str, grade: float, line: str
) -> None:
    path = saved(tmp_path / "j.jsonl", [judgment("p", "x", grade, rubric=rubric, criteria={"accuracy": grade})])
    view = view_of(path)
    assert line in reasons_text(view, view.table.body(0))


def test_rows_are_numbered_within_their_kind(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        def first_and_last() -> list[str]:
            return [app._cell(BY_NAME["number"], int(app.browsing.order[place])) for place in (0, -1)]

        assert app.browsing.kind == "pair" and first_and_last() == ["1", "6"]
        await press(app, pilot, "v")
        assert app.browsing.kind == "judgment" and first_and_last() == ["1", "24"]
        await press(app, pilot, "v")
        assert app.browsing.kind == "all" and first_and_last() == ["1", "30"]

    play([a_run(tmp_path)], steps)


OTHER_EVIDENCE: list[Any] = [None, [], [{"kind": "x"}], [{"constraints": None}, 3], [{"sizes": 3}], {"claims": "x"}]


@pytest.mark.parametrize("evidence", OTHER_EVIDENCE)
def test_evidence_of_another_shape_shows_nothing(tmp_path: Path, evidence: Any) -> None:
    row = json.loads(json.dumps({"prompt": "p", "chosen": "good", "rejected": "bad", "evidence": evidence}))

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert (pane(app, "left"), pane(app, "right")) == ("good", "bad")

    play([saved(tmp_path / "p.jsonl", [row])], steps)


def test_log_probabilities_are_shown_as_the_share_of_each_choice(tmp_path: Path) -> None:
    row = judgment("p", "x", 2.0, read="logprobs", replies=['{"1":-0.6931471805599453,"2":-1.3862943611198906}', "odd"])

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert "the probability of each choice\n1 0.50 ██████████\n2 0.25 █████" in pane(app, "reasons")
        assert "reply 2 of 2\nodd" in pane(app, "reasons")

    play([saved(tmp_path / "j.jsonl", [row])], steps)


def test_the_kinds_of_a_run_are_views_and_candidates_show_every_answer(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert "[pairs 6] judgments 24" in text_of(app, "#header")
        await press(app, pilot, "c")
        screen = on_screen(app)
        assert "8 answers, scores 1.00 to 3.00" in screen and "answer z of iter2" in screen
        await press(app, pilot, "G")
        assert pane(app, "answer").endswith("answer z of iter2") and "no verdict in the reply" in pane(app, "why")
        await press(app, pilot, "enter")
        assert pane(app, "left").endswith("answer z of iter2") and app.browsing.kind == "all"
        await press(app, pilot, "v")
        assert "[pairs 6]" in text_of(app, "#header")

    play([a_run(tmp_path)], steps)


def test_the_answers_of_each_iteration_stand_side_by_side_with_their_trend(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "i")
        assert pane(app, "of0").endswith("answer x of iter1") and pane(app, "of1").endswith("of iter2")
        assert "mean score ▁█ 2.00 2.33" in text_of(app, "#trend")
        await press(app, pilot, "right_square_bracket", "right_square_bracket")
        assert pane(app, "of0").endswith("answer y of iter1")
        await press(app, pilot, "escape")
        assert app.focused is app.grid

    play([a_run(tmp_path)], steps)


def test_two_runs_stand_side_by_side(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / name) for name in ("one", "two")]

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert "[pairs 12]" in text_of(app, "#header")
        await press(app, pilot, "i")
        titles = [str(app.screen.query_one(f"#of{place}").border_title) for place in range(4)]
        assert [title.partition("  ")[0][-11:] for title in titles] == ["small iter1", "small iter2"] * 2
        assert pane(app, "of3").endswith("of iter2")

    play(runs, steps)


def test_a_value_in_the_frequencies_becomes_a_filter_and_so_does_a_preset(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "l", "F")
        assert isinstance(app.screen, Choice)
        assert app.screen.query_one(OptionList).option_count == 4
        await press(app, pilot, "enter")
        assert app.browsing.line.startswith("winner:") and len(shown(app)) == 1
        await press(app, pilot, "escape", "p", "j", "enter")
        assert app.browsing.line == "flipped:yes" and shown(app) == [3]
        await press(app, pilot, "I")
        assert isinstance(app.screen, Reader) and "order flips           1" in app.screen.text

    play([saved(tmp_path / "c.jsonl", COMPARISONS)], steps)


def test_what_is_filtered_is_exported_and_a_wrong_ending_is_told(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await filtered(app, pilot, "winner:a")
        await press(app, pilot, "e", "ctrl+u", *"out", "full_stop", *"jsonl", "enter")
        assert "1 written to out.jsonl" in notices(app)
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
        await press(app, pilot, "e", "ctrl+u", *"out", "enter")
        assert "the ending says what to write" in notices(app)

    path = saved(tmp_path / "c.jsonl", COMPARISONS)
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        play([path], steps)
    finally:
        os.chdir(before)


def test_a_text_is_copied_by_the_terminal(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "y", "j", "enter")
        assert app.clipboard == "good apple" and "copied 10 characters" in notices(app)

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_the_themes_change_and_the_marks_stay(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        for theme in ("textual-light", "high-contrast", "textual-dark"):
            await press(app, pilot, "t")
            assert app.theme == theme
            assert all(mark in on_screen(app) for mark in ("▶ ", "✓ a chosen", "✗ b rejected"))

    play([saved(tmp_path / "p.jsonl", PAIRS)], steps)


def test_rows_that_are_appended_come_in_and_a_deleted_file_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS[:2])
    more = saved(tmp_path / "more.jsonl", PAIRS[2:]).read_bytes()

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "j")
        with path.open("ab") as file:
            file.write(more)
        app._look()
        await until(pilot, lambda: "4 shown" in text_of(app, "#header"))
        assert pane(app, "prompt") == "berries"
        path.unlink()
        app._look()
        await until(pilot, lambda: "was deleted" in notices(app))
        await press(app, pilot, "k")
        assert pane(app, "prompt") == "apples"

    play([path], steps)


def test_the_screen_is_there_while_the_rest_is_read_and_follows_only_then(tmp_path: Path) -> None:
    table = Table(find_source([saved(tmp_path / "p.jsonl", [pair(f"prompt {n}", "a", "b") for n in range(12_000)])]))
    reading = table.read()
    assert next(reading) == 5_000
    app = BrowserApp(Browsing(table, open_votes(tmp_path / "votes.jsonl"), "ann"), reading)

    async def session() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            app._look_if_idle()  # which must not end the reading
            await until(pilot, lambda: "12,000 shown" in text_of(app, "#header"))
            assert "reading" not in text_of(app, "#header")

    asyncio.run(session())


def test_a_run_shows_its_pairs_once_they_are_read_though_the_judgments_came_first(tmp_path: Path) -> None:
    table = Table(find_source([a_run(tmp_path)]))
    reading = table.read()
    assert next(reading) == 12 and list(table.kinds()) == ["judgment"]
    browsing = Browsing(table, open_votes(tmp_path / "votes.jsonl"), "ann", blind=True, queue="random")
    app = BrowserApp(browsing, reading, follow=False)

    async def session() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "[pairs 6]" in text_of(app, "#header"))
            assert "random 0/6" in text_of(app, "#header")
            await press(app, pilot, "v", "v")
            assert app.browsing.kind == "all"

    asyncio.run(session())


def test_a_file_cut_off_under_the_screen_is_told_not_shown_wrongly(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        os.truncate(path, 0)
        await press(app, pilot, "j")
        assert "was cut off" in text_of(app, "#facts") and pane(app, "left") == ""
        app._look()
        await until(pilot, lambda: "was replaced" in notices(app))
        assert app.is_running

    play([path], steps)


def test_a_cell_has_exactly_its_width_whatever_is_in_it() -> None:
    assert fitted("abc", 5) == "abc  " and fitted("abc", 5, right=True) == "  abc"
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("漢字漢字", 5) == "漢字…"


def test_the_screen_ends_at_once_while_a_file_is_still_read(tmp_path: Path) -> None:
    table = Table(find_source([saved(tmp_path / "p.jsonl", PAIRS)])).read_all()
    n_steps, may_end = 0, False

    def endless() -> Iterator[int]:
        nonlocal n_steps
        while not may_end:
            n_steps += 1
            time.sleep(0.01)
            yield len(table)

    async def session() -> None:
        app = BrowserApp(Browsing(table, open_votes(tmp_path / "votes.jsonl"), "ann"), endless(), follow=False)
        async with app.run_test() as pilot:
            await until(pilot, lambda: n_steps > 3)

    try:
        asyncio.run(asyncio.wait_for(session(), 20))
    finally:
        may_end = True


def test_the_histogram_of_the_figures_is_of_scores_or_winners_and_not_of_prompts(tmp_path: Path) -> None:
    files = [saved(tmp_path / "p.jsonl", PAIRS), saved(tmp_path / "c.jsonl", COMPARISONS)]
    for path, line in zip(files, ("pairs the chosen one (a)\n3 ", "the judge's verdict (winner)\n- "), strict=True):

        async def steps(app: BrowserApp, pilot: Pilot[None], line: str = line) -> None:
            await press(app, pilot, "I")
            assert isinstance(app.screen, Reader) and line in app.screen.text

        play([path], steps)


@pytest.mark.parametrize(("width", "n_whole"), [(200, 4), (120, 4), (80, 2)])
def test_the_iterations_stand_side_by_side_at_any_width(tmp_path: Path, width: int, n_whole: int) -> None:
    run = a_run(tmp_path)
    for number in (3, 4):
        saved(run / f"iter{number}" / "judgments.jsonl", [judgment("name a fruit", f"answer of iter{number}", 2.0)])

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "i")
        widths = {pane.size.width for pane in app.screen.query(".iteration")}
        titles = on_screen(app).splitlines()[5]
        assert len(widths) == 1 and [f"iter{n}" in titles for n in (1, 2, 3, 4)].count(True) >= n_whole

    play([run], steps, (width, 40))
