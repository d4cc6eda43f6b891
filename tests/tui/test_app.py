import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, Static

from records.rows import Pair
from records.store import write_rows
from tui.app import PairsApp
from tui.detail import TextPane
from tui.help import HelpScreen
from tui.query import load_pairs
from tui.table import PairTable

ROOT = Path(__file__).parents[2]
Play = Callable[[PairsApp, Pilot[None]], Awaitable[None]]


def pair(prompt: str, chosen: str, rejected: str, **known: Any) -> Pair:
    return Pair(
        prompt=[{"role": "user", "content": prompt}],
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        **{"prompt_id": prompt[:8], **known},
    )


PAIRS = [
    pair("apples", "good apple", "bad", chosen_score=3.0, rejected_score=2.5, margin=0.5, judge="f00d"),
    pair("berries", "good berry", "bad", chosen_score=5.0, rejected_score=1.0, margin=4.0, judge="f00d"),
    pair("cherries", "good cherry", "bad and long", margin=None),
    pair("dates", "good date", "bad", chosen_score=4.0, rejected_score=2.0, margin=2.0, judge="f00d"),
]

MARKUP = ["[/path]", "[/]", "list[int] [bold]x", "[@click=app.quit]press[/]", "$accent <b>{x}</b> \\[", "[red"]
CONTROLS = ["\x1b[2J\x1b[31mred\x1b[0m", "\x9b5m\x07", "\u202egnol\u2069", "a\r\nb\tc\x7f", "\u2028", "👩‍👩‍👧‍👦 漢字 é"]


def play(path: Path, pairs: list[Pair], steps: Play, size: tuple[int, int] = (100, 30)) -> None:
    write_rows(path, pairs)
    app = PairsApp(load_pairs(path))

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(session())


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("this did not come about")


def header(app: PairsApp) -> str:
    return str(app.query_one("#header", Static).visual)


def facts(app: PairsApp) -> str:
    return str(app.query_one("#facts", Static).visual)


def body(app: PairsApp, name: str) -> str:
    return str(app.query_one(f"#{name} Static", Static).visual)


def shown(app: PairsApp) -> list[int]:
    return [row.number for row in app.shown]


def on_screen(app: PairsApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def test_moving_the_cursor_shows_the_pair_under_it(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        seen = [body(app, "prompt")]
        for key in ("j", "down", "k", "G", "g", "up", "right_square_bracket", "left_square_bracket"):
            await pilot.press(key)
            seen.append(body(app, "prompt"))
        assert seen == ["apples", "berries", "cherries", "berries", "dates", "apples", "apples", "berries", "apples"]
        assert body(app, "chosen") == "good apple"
        assert body(app, "rejected") == "bad"

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_scores_judge_and_lengths_are_shown_and_a_missing_score_is_a_dash(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        assert "judge f00d" in facts(app)
        assert "margin 0.50" in facts(app)
        assert "chosen 7 chars longer" in facts(app)
        assert "chosen  score 3.00" in str(app.query_one("#chosen").border_title)
        await pilot.press("j", "j")
        await pilot.pause()
        assert "judge - │ margin - │ rejected 1 char longer" in facts(app)
        assert "rejected  score -" in str(app.query_one("#rejected").border_title)
        assert [str(cell) for cell in app.query_one(PairTable).get_row("3")][2:5] == ["-", "-", "-"]

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_the_filter_narrows_the_counts_and_escape_restores_them(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        assert "4 pairs, 4 shown" in header(app)
        await pilot.press("slash", *"RR")
        await until(pilot, lambda: "4 pairs, 2 shown" in header(app))
        assert shown(app) == [2, 3]
        assert body(app, "prompt") == "berries"
        await pilot.press("enter")
        assert app.focused is app.query_one(PairTable)
        assert app.query_one(Input).value == "RR"
        await pilot.press("escape")
        await until(pilot, lambda: "4 pairs, 4 shown" in header(app))
        assert not app.query_one("#filter").display
        assert body(app, "prompt") == "berries"

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_a_search_that_ends_after_the_filter_was_cleared_changes_nothing(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "z", "escape")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "4 pairs, 4 shown" in header(app)

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_the_line_for_the_filter_takes_the_letters_of_the_keys(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "q", "s", "slash", "left_square_bracket", "question_mark")
        assert app.query_one(Input).value == "qs/[?"
        await until(pilot, lambda: "0 shown" in header(app))
        assert "no pair holds this text" in facts(app)
        assert body(app, "chosen") == ""
        await pilot.press("enter", "enter", "j", "escape")
        await until(pilot, lambda: "4 shown" in header(app))
        assert body(app, "chosen") == "good apple"

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_sorting_keeps_the_selected_pair_and_puts_missing_values_last(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        await pilot.press("j")
        for column in ("prompt", "chosen", "rejected", "margin"):
            await pilot.press("s")
            assert app.sort_column == column
            assert body(app, "prompt") == "berries"
        assert shown(app) == [1, 4, 2, 3]
        assert app.query_one(PairTable).cursor_row == 2
        assert "pair 3 of 4" in facts(app)
        assert "▲margin" in on_screen(app)
        await pilot.press("S")
        await pilot.pause()
        assert shown(app) == [2, 4, 1, 3]
        assert "▼margin" in on_screen(app)
        assert body(app, "prompt") == "berries"
        assert app.query_one(PairTable).cursor_row == 0

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_enter_gives_the_texts_the_screen_and_escape_brings_the_table_back(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        table = app.query_one(PairTable)
        await pilot.press("enter")
        await pilot.pause()
        assert not table.display
        assert app.focused is app.query_one("#chosen")
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert body(app, "chosen") == "good berry"
        await pilot.press("escape")
        await pilot.pause()
        assert table.display
        assert app.focused is table
        assert table.cursor_row == 1

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_help_lists_every_key_and_survives_a_resize(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = str(app.screen.query_one(Static).visual)
        for line in ("/ ", "s ", "S ", "[ ", "] ", "esc ", "? ", "q ", "j ", "k ", "g ", "G ", "tab ", "enter "):
            assert f"\n  {line}" in text
        await pilot.press("q")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen)
        assert app.is_running

    play(tmp_path / "pairs.jsonl", PAIRS, steps)


def test_hostile_texts_are_shown_and_harm_nothing(tmp_path: Path) -> None:
    triples = [MARKUP[:3], MARKUP[3:], CONTROLS[:3], CONTROLS[3:]]
    pairs = [pair(*triple, prompt_id=triple[0], judge=triple[0]) for triple in triples]

    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        for triple in triples:
            screen = on_screen(app)
            if triple in triples[:2]:
                assert [body(app, name) for name in ("prompt", "chosen", "rejected")] == triple
                assert screen.count(triple[0]) >= 4  # in the table, the facts, the prompt's title and the prompt
                assert all(text in screen for text in triple)
            assert not any(character in screen for character in "\x1b\x07\x9b\x7f\u202e\u2028")
            await pilot.press("j")
        await pilot.press("slash", *"[/]")
        assert app.is_running

    play(tmp_path / "pairs.jsonl", pairs, steps)


def test_special_texts_say_what_they_are(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        assert body(app, "chosen") == "(empty)"
        assert body(app, "rejected").endswith("(cut here: 20,000 of 200,000 characters are shown)")
        await pilot.press("j")
        await pilot.pause()
        assert body(app, "chosen") == "␛[31mred"
        assert "漢字 👍" in on_screen(app)

    play(tmp_path / "pairs.jsonl", [pair("a", "", "x" * 200_000), pair("b", "\x1b[31mred", "漢字 👍")], steps)


def test_panes_stack_on_a_small_screen_and_stand_side_by_side_on_a_wide_one(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        chosen, rejected = (app.query_one(f"#{name}", TextPane) for name in ("chosen", "rejected"))
        assert chosen.region.x == rejected.region.x
        assert chosen.region.bottom <= rejected.region.y
        assert min(chosen.size.height, rejected.size.height) >= 3
        text = on_screen(app)
        for part in ("pairs.jsonl  4 pairs, 4 shown", "✓ chosen  score 3.00", "good apple", "✗ rejected  score 2.50"):
            assert part in text
        assert app.query_one(PairTable).size.height >= 5
        assert all(key in text.splitlines()[-1] for key in ("/ Filter", "s Sort", "? Help", "q Quit"))
        assert [widget.id for widget in app.screen.focus_chain] == ["pairs", "prompt", "chosen", "rejected"]
        await pilot.press("tab", "tab")
        await pilot.pause()
        assert app.focused is chosen
        assert chosen.size.height > rejected.size.height
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert chosen.region.y == rejected.region.y
        assert chosen.region.right <= rejected.region.x

    play(tmp_path / "pairs.jsonl", PAIRS, steps, (80, 24))


def test_the_table_has_the_width_of_the_screen_after_each_resize(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        table = app.query_one(PairTable)
        for width in (120, 80, 100, 81, 200, 60, 120, 80):
            await pilot.resize_terminal(width, 30)
            await pilot.pause()
            first = on_screen(app).splitlines()[1]
            prompt = next(column for column in table.columns.values() if column.key.value == "prompt")
            assert prompt.width == max(12, min(60, width - 57)), width
            assert ("iter" in first) == (width >= 70), (width, first)

    long = [pair("a long prompt " * 9, "good", "bad", chosen_score=3.0, rejected_score=2.0, margin=1.0)]
    play(tmp_path / "pairs.jsonl", long, steps, (80, 30))


def test_each_constraint_is_marked_in_words_with_its_reason(tmp_path: Path) -> None:
    def found(*outcomes: tuple[str | None, str | None], **fields: object) -> dict[str, Any]:
        listed = [
            {"kind": f"kind:{n}", "strict": strict, "loose": loose, "reason": f"[red]because {n}[/]"}
            for n, (strict, loose) in enumerate(outcomes)
        ]
        return {"tool": "constraints", "constraints": listed, **fields}

    outcomes = (("followed", "followed"), ("broken", "broken"), ("broken", "followed"), (None, None))
    checked = [found(*outcomes), found(*outcomes, loose=True)]

    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        assert body(app, "chosen").splitlines() == [
            "✓ followed: kind:0: [red]because 0[/]",
            "✗ broken: kind:1: [red]because 1[/]",
            "✗ broken (loosely followed): kind:2: [red]because 2[/]",
            "? not checkable: kind:3: [red]because 3[/]",
            "",
            "good",
        ]
        assert "✓ followed (only loosely): kind:2" in body(app, "rejected")
        for _ in range(len(OTHER_EVIDENCE)):
            await pilot.press("j")
            await pilot.pause()
            assert (body(app, "chosen"), body(app, "rejected")) == ("good", "bad")

    rows = [
        pair(f"prompt {n}", "good", "bad", evidence=evidence) for n, evidence in enumerate([checked, *OTHER_EVIDENCE])
    ]
    play(tmp_path / "pairs.jsonl", rows, steps, (100, 40))


OTHER_EVIDENCE: list[Any] = [
    None,
    [],
    [{"kind": "label noise"}],
    [{"constraints": []}, {"constraints": None}],
    [{"constraints": ["no commas"]}, {"constraints": "no commas"}],
]


def test_a_long_list_is_shown_in_part_and_the_header_says_so(tmp_path: Path) -> None:
    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        assert "2,001 pairs, 500 shown (first of 2,001)" in header(app)
        assert app.query_one(PairTable).row_count == 500
        await pilot.press("S")
        await pilot.pause()
        assert body(app, "prompt") == "prompt 2000"

    play(tmp_path / "pairs.jsonl", [pair(f"prompt {n}", "a", "b") for n in range(2001)], steps)


def test_a_file_that_changes_under_the_screen_is_told_not_shown_wrongly(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"

    async def steps(app: PairsApp, pilot: Pilot[None]) -> None:
        path.write_text("")
        await pilot.press("j")
        await pilot.pause()
        assert "has changed since it was opened" in facts(app)
        assert body(app, "chosen") == ""

    play(path, PAIRS, steps)
