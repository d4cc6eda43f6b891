import io
import sys

import pytest

import console.progress
from console.progress import LogMeter, Meter, duration, progress


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_log_says_something_at_the_first_item_after_some_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    meter = LogMeter("judging", 1000, clock=clock)
    for second in range(1, 11):
        clock.now_s = second
        meter(1)
    assert said(capsys) == ["judging: 5 of 1000, ETA 17 min"]


def test_a_log_says_how_it_goes_though_nothing_is_done_for_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    meter = LogMeter("iter2 DPO", 10, clock=clock)
    for clock.now_s in (3, 29, 30, 33, 59, 60):
        meter.tick()
    clock.now_s = 70
    meter(1)
    clock.now_s = 99
    meter.tick()
    clock.now_s = 101
    meter.tick()
    assert said(capsys) == [
        "iter2 DPO: 0 of 10, after 30 s",
        "iter2 DPO: 0 of 10, after 60 s",
        "iter2 DPO: 1 of 10, ETA 10 min",
        "iter2 DPO: 1 of 10, ETA 10 min",
    ]


def test_a_log_says_each_quarter_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    meter = LogMeter("judging", 8, clock=clock)
    for clock.now_s in (0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2):
        meter(1)
    assert [line.split(",")[0] for line in said(capsys)] == [f"judging: {n} of 8" for n in (2, 4, 6, 8)]


def test_what_was_there_before_says_nothing_about_the_pace() -> None:
    clock = Clock()
    meter = Meter("judging", 100, done=20, clock=clock)
    meter.skip(70)
    assert meter.eta_s is None
    clock.now_s = 40.0
    meter(1)
    assert meter.eta_s == 9 * 40
    clock.now_s = 60.0
    assert meter.eta_s == 9 * 40 - 20
    clock.now_s = 500.0
    assert meter.eta_s == 8 * 40
    meter.skip(9)
    assert meter.eta_s == 0


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0 s"), (119, "119 s"), (900, "15 min"), (12600, "3.5 h")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_only_what_is_really_resumed_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("scores", 16, 16) as advance:
        advance(0)
    with progress("scores", 0) as advance:
        pass
    assert said(capsys) == []
    with progress("scores", 16, 4):
        pass
    assert said(capsys) == ["scores: resuming, 4 of 16 done"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_when_it_ends_where_a_step_takes_longer_than_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, terminal = Clock(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(Meter.__init__, "__defaults__", (0, clock))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with console.progress.progress("[bold]iter2\n\x1b]0;x DPO", 10) as advance:
        clock.now_s = 50.0
        advance(1)
    shown = terminal.getvalue()
    assert "[bold]iter2␊␛]0;x DPO" in shown and "1/10" in shown
    assert "8 min" in shown
