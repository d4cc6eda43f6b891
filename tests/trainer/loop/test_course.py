"""How much of a run is done and how long the rest takes, and what a terminal and a log show of it."""

import io
import sys

import pytest

from console.progress import progress, shown_by
from trainer.loop.plan.course import Course, Step
from trainer.loop.whole import WholeMeter, _Said, shown_in


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


STEPS = [
    Step("iter1 SFT", "train", 10.0),
    Step("iter2 candidates", "answer", 4.0),
    Step("iter2 judging", "judge", 6.0),
    Step("iter2 DPO", "train", 20.0),
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def course(clock: Clock) -> Course:
    return Course(STEPS, clock)


def at(course: Course, clock: Clock, now_s: float, title: str, share: float) -> None:
    """Tell the course at a moment how much of a stage is done, and let the stage begin if it is new."""
    clock.now_s = now_s
    if share == 0:
        course.begin(title, 0.0)
    else:
        course.update(title, share)


def test_the_time_left_is_not_told_before_a_tenth_of_a_stage_is_measured(course: Course, clock: Clock) -> None:
    assert course.left_s is None and course.text() == "0 % of the run"
    at(course, clock, 5, "iter1 SFT", 0)
    at(course, clock, 6, "iter1 SFT", 0.05)
    assert course.left_s is None


def test_the_pace_of_the_first_stage_scales_all_guesses(course: Course, clock: Clock) -> None:
    at(course, clock, 0, "iter1 SFT", 0)
    at(course, clock, 10, "iter1 SFT", 0.5)
    assert course.left_s == pytest.approx(2 * (5 + 4 + 6 + 20)) and course.share == pytest.approx(5 / 40)
    assert course.text() == "12 % of the run, about 70 s left"


def test_each_kind_of_work_has_its_own_pace_once_it_was_measured(course: Course, clock: Clock) -> None:
    at(course, clock, 0, "iter1 SFT", 0)
    at(course, clock, 20, "iter1 SFT", 1.0)
    at(course, clock, 21, "iter2 candidates", 0)  # a second to load the model, which belongs to it
    at(course, clock, 28, "iter2 candidates", 1.0)
    # training takes twice its guess, answers 8 / 4 of it, judging is not known: 28 s for 14 guessed
    assert course.left_s == pytest.approx(2 * 6 + 2 * 20)
    at(course, clock, 28, "iter2 judging", 0)
    at(course, clock, 58, "iter2 judging", 0.5)
    # judging runs at 30 s for 3 guessed
    assert course.left_s == pytest.approx(30 + 2 * 20)


def test_what_was_done_before_counts_as_done_and_says_nothing_about_the_pace(course: Course, clock: Clock) -> None:
    clock.now_s = 100.0
    course.begin("iter2 judging", 0.5)
    assert course.share == pytest.approx((10 + 4 + 3) / 40) and course.left_s is None
    at(course, clock, 106, "iter2 judging", 1.0)
    assert course.left_s == pytest.approx(2 * 20)  # 6 s for the 3 that were left of it


def test_a_stage_that_was_skipped_or_is_not_in_the_plan_changes_no_pace(course: Course, clock: Clock) -> None:
    at(course, clock, 0, "iter1 SFT", 0)
    at(course, clock, 10, "iter1 SFT", 1.0)
    clock.now_s = 90.0
    course.begin("gathering evidence", 0.0)
    course.update("gathering evidence", 0.7)
    assert course.left_s == pytest.approx(30)
    course.begin("iter2 DPO", 0.0)  # nobody heard of the stages between
    clock.now_s = 110.0
    course.update("iter2 DPO", 0.5)
    assert course.left_s == pytest.approx(10 * 30 / 20)  # 10 s and 20 s of training for 10 and 10 guessed


def test_a_stage_whose_time_nobody_can_guess_leaves_the_others_their_pace(clock: Clock) -> None:
    course = Course([STEPS[0], Step("iter2 judging", "judge", 0.0), STEPS[3]], clock)
    at(course, clock, 0, "iter1 SFT", 0)
    at(course, clock, 20, "iter1 SFT", 1.0)
    at(course, clock, 20, "iter2 judging", 0)
    at(course, clock, 80, "iter2 judging", 0.5)
    assert course.left_s == pytest.approx(2 * 20) and course.share == pytest.approx(10 / 30)


def test_the_share_never_goes_back(course: Course, clock: Clock) -> None:
    at(course, clock, 0, "iter1 SFT", 0)
    at(course, clock, 1, "iter1 SFT", 1.0)
    before = course.share
    at(course, clock, 1, "iter2 candidates", 0)
    at(course, clock, 200, "iter2 candidates", 0.2)  # much slower than guessed, so the rest is now more
    assert course.share >= before


def test_a_log_has_a_line_each_half_minute_whatever_stage_is_under_way(
    course: Course, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _Said()
    for place, step in enumerate(STEPS):
        course.begin(step.title, 0.0)
        meter = WholeMeter(step.title, 10, 0, course, said, clock)
        for n in range(10):
            clock.now_s = 20 * place + 2 * (n + 1)
            meter(1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        "iter1 SFT: 3 of 10",
        "iter2 candidates: 8 of 10",
        "iter2 DPO: 3 of 10",
    ]
    assert all("% of the run, about" in line and len(line) <= 80 for line in lines)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_gone_at_the_end(
    course: Course, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with shown_by(shown_in(course)), progress("iter1 SFT", 8) as advance:
        clock.now_s = 1.0
        advance(4)
        advance(2)
        before = len(terminal.getvalue())
        advance(2)
    shown = terminal.getvalue()
    assert "iter1 SFT" in shown and "8/8" in shown and "25 % of the run, about 3 s left" in shown
    assert "\x1b[2K" in shown[before:] and shown.count("\n") <= 1  # the line is erased and none is left


def test_outside_the_run_progress_is_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_by(shown_in(Course(STEPS))):
        with progress("iter1 SFT", 2, 2):
            pass
        with progress("iter2 candidates", 2) as advance:
            advance(2)
    assert capsys.readouterr().err == ""
    with progress("another", 2) as advance:
        advance(2)
    assert capsys.readouterr().err.splitlines()[-1].startswith("another: 2 of 2")
