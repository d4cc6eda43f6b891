from typing import Any

import msgspec
import pytest

from judges.compare.output import Summary, table_of
from judges.judging.win_rate import WinRate, flip_warning, say_flips, win_rate
from records import Comparison, Usage


def compared(preference: float | None, flipped: bool | None = False, **known: Any) -> Comparison:
    winner = None if preference is None else "tie" if preference == 0.5 else "b" if preference > 0.5 else "a"
    return Comparison(
        **{"id": "x", "prompt_id": "p", "prompt": "q", "response_a": "1", "response_b": "2"},
        **{"model_a": "m", "model_b": "n", "winner": winner, "first_order": None, "second_order": None},
        **{"flipped": flipped, "preference_b": preference, "replies": [], "rubric": "pairwise", "judge": "f"},
        **{"error": None, "usage": Usage(), "read": "text", **known},
    )


@pytest.mark.parametrize(
    ("preferences", "text"),
    [
        ([1.0] * 16, "100.0 [80.6, 100.0]"),
        ([0.0] * 10, "0.0 [0.0, 27.8]"),
        ([1.0], "100.0 [20.7, 100.0]"),
        ([1 - 1e-9] * 3 + [1 - 1e-7], "100.0 [51.0, 100.0]"),
        ([0.5] * 16, "50.0 [28.0, 72.0]"),
        ([0.0, 1.0, 1.0, 0.5, 1.0], "70.0 ± 55.5"),
        ([], "-"),
    ],
)
def test_a_win_rate_has_an_interval_at_the_ends_too(preferences: list[float], text: str) -> None:
    rate = win_rate([compared(preference) for preference in preferences])
    assert str(rate) == text
    if rate.percent is not None:
        assert rate.low is not None and rate.high is not None and rate.low <= rate.percent <= rate.high


def test_flips_are_a_share_of_the_verdicts_from_both_orders() -> None:
    rows = [compared(0.5, True), compared(0.5, True), compared(1.0), compared(0.0, None), compared(None, None)]
    rate = win_rate(rows)
    assert (rate.n, rate.n_flipped, rate.n_both, rate.n_unscored) == (4, 2, 3, 1)
    assert rate.flipped_percent == pytest.approx(200 / 3)
    assert win_rate([compared(1.0, None)]).flipped_percent is None
    summary = Summary()
    for row in rows:
        summary.add(row)
    assert table_of(summary.tallies)[0]["flipped, %"] == pytest.approx(200 / 3)


def test_over_a_half_of_flips_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert flip_warning("n against m", 8, 16) is None and flip_warning("n against m", 0, 0) is None
    say_flips({"iter1": None, "iter2": win_rate([compared(0.5, True)] * 16), "iter3": win_rate([compared(1.0)] * 16)})
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("iter2: 16 of 16 comparisons flipped with the order of the answers")


def test_a_win_rate_of_an_earlier_version_is_read() -> None:
    old = b'{"percent": 50.2, "half_width": 0.9, "n": 16, "n_flipped": 16, "n_unscored": 0}'
    rate = msgspec.json.decode(old, type=WinRate)
    assert str(rate) == "50.2 ± 0.9" and rate.flipped_percent == 100


def test_a_judges_name_is_no_formula_no_row_and_no_line_of_the_audits_page() -> None:
    from judges.audit.plot import draw
    from judges.audit.report import headline, markdown
    from judges.audit.result import About, Settings, audit
    from judges.labelled.labels import LabelledPair, LabelledSet, Verdict

    pairs = [LabelledPair(str(n), f"q{n}", "x", "y", "a", str(n), (), "m", "n", {}) for n in range(4)]
    labelled = LabelledSet("set $x^{$\n# forged", "table", "people", tuple(pairs))
    found = audit(
        labelled, [Verdict("a")] * 4, [], About("judge $y_{$\n| forged | \x1b[2J", "text"), Settings(50, 0, None)
    )
    assert draw(found)  # a formula that is none would raise
    page = markdown(found, None)
    assert "\x1b" not in page and not [line for line in page.splitlines() if line.startswith(("| forged", "# forged"))]
    assert any("forged" in line for line in headline(found))
