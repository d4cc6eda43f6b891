"""The main screen: moving, filtering, sorting, views, sizes and themes."""

import os
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.tui.rows import COMPARISONS, PAIRS, a_run, judgment, pair, saved
from tests.tui.screen import filtered, notices, on_screen, pane, play, press, settled, shown, text_of, until
from tui.dialogs.small import Choice, Reader
from tui.screens.app import BrowserApp
from tui.screens.grid import Grid, fitted
from tui.summary.columns import BY_NAME

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


def test_a_small_screen_shows_the_texts_that_have_room_and_a_wide_one_shows_all(tmp_path: Path) -> None:
    names = ("prompt", "left", "right", "reasons")
    answers = ["prompt", "left", "right"]

    def seen(app: BrowserApp) -> list[str]:
        return [name for name in names if app.detail.pane(name).region.height > 1]

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        assert seen(app) == answers
        for name, panes in zip(names, (answers, answers, answers, ["prompt", "reasons"]), strict=True):
            await press(app, pilot, "tab")
            assert app.focused is app.detail.pane(name) and seen(app) == panes
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
        await pilot.resize_terminal(80, 16)  # too low for more than one text
        for name in names:
            await press(app, pilot, "tab")
            assert seen(app) == [name]

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


def test_a_value_and_its_bar_are_one_line_on_a_small_screen(tmp_path: Path) -> None:
    rows = [
        pair(f"{letter} 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "yes", "no")
        for letter in "abcdefghijklmnopqrstuvwxyz"
    ]

    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "F")
        lines = [line for line in on_screen(app).splitlines() if "█" in line]
        assert len(lines) > 10 and all("漢字" in line and "3.8%" in line for line in lines)

    play([saved(tmp_path / "p.jsonl", rows)], steps, (80, 24))


def test_what_is_filtered_is_exported_and_a_wrong_ending_is_told(tmp_path: Path) -> None:
    async def steps(app: BrowserApp, pilot: Pilot[None]) -> None:
        await filtered(app, pilot, "winner:a")
        await press(app, pilot, "e", "ctrl+u", *"out", "full_stop", *"jsonl", "enter")
        assert "1 written to out.jsonl" in notices(app)
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
        await press(app, pilot, "e", *"out", "enter")  # typing replaces the name that is offered
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


def test_a_cell_has_exactly_its_width_whatever_is_in_it() -> None:
    assert fitted("abc", 5) == "abc  " and fitted("abc", 5, right=True) == "  abc"
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("漢字漢字", 5) == "漢字…"


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
