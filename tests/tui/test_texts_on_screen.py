"""What the panes show of a row: its texts, hostile ones too, its reasons and its evidence."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.rows import BROKEN, comparison, judgment, pair, saved, view_of
from tests.tui.screen import on_screen, pane, play, press, text_of
from tui.screens.app import BrowserApp
from tui.verdicts.reasons import reasons_text

MARKUP = ["[/path]", "[/]", "list[int] [bold]x", "[@click=app.quit]press[/]", "$accent <b>{x}</b> \\[", "[red"]
CONTROLS = [
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x9b5m\x07",
    "\u202egnol\u2069",
    "a\r\nb\tc\x7f",
    "\u200b\u2028",
    "👩‍👩‍👧‍👦 漢字 é\x00",
]


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
