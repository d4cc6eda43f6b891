"""The lines that a loop says while it runs: at its start, and after each iteration."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.progress import duration
from judges.intervals.bootstrap import Estimate
from records import Message, Prompt
from records.runs import Run
from trainer.loop.gather import MOST_JUDGED
from trainer.loop.held_out.figures import IterationFigures
from trainer.loop.plan.course import Course, steps_of
from trainer.loop.plan.estimate import estimate
from trainer.loop.plan.probe import this_machine
from trainer.loop.plan.work import Work
from trainer.loop.plan.workload import stages
from trainer.loop.recipe import Config
from trainer.loop.rounds import PAIRS
from trainer.training.memory.size import model_size

PAIRS_PER_PROMPT = 0.45
"""The share of a round's prompts that give a pair: 34 to 40 of 80 in the demo."""


def course_of(base: Path, prompts: Sequence[Prompt], chats: Sequence[Sequence[Message]], config: Config) -> Course:
    """Return the stages of the run, each with a guess of its seconds from the size of `base` and this machine.

    `prompts` are the seeds, and `chats` what iter1 learns from, none if it is made already. The speed of a judge that
    is no model of the run is not known, and is taken to be theirs.
    """
    works = [usual(replace(work, is_own=True)) for work in stages(config, prompts, chats)]
    guesses = estimate(works, size=model_size(base), hardware=this_machine())
    return Course(steps_of(works, [stage.seconds for stage in guesses]))


def usual(work: Work) -> Work:
    """Return the work of a stage as it mostly is. A plan counts a pair for each prompt, which is the most."""
    # only the training on pairs, and judging that leaves out prompts without a pair, have no fixed amount
    counts = ["n_trained", "n_reference", "n_steps"] if work.stage.endswith(PAIRS) else []
    if work.stage.endswith(MOST_JUDGED):
        counts = ["n_calls", "n_read", "n_shared", "n_written"]
    return replace(work, **{name: math.ceil(getattr(work, name) * PAIRS_PER_PROMPT) for name in counts})


def opening(run: Run, config: Config, done: int, guess_s: float) -> list[str]:
    """Return what the run makes, about how long it takes, and where its files go. `done` iterations are made."""
    what = f"{config.name}: iter0 to iter{config.iterations} of {config.engine.model}"
    measured = f"each measured on {config.eval.prompts} held-out prompts"
    if done:
        made = "iter1 is made" if done == 1 else f"iter1 to iter{done} are made"
        return [f"{what}, {measured}", f"{made}; the run goes on in {run.folder}"]
    return [
        f"{what}, {measured}",
        f"about {duration(guess_s)} on this machine; files in {run.folder}; the same command resumes",
    ]


def result(figures: IterationFigures) -> str:
    """Return what was measured of an iteration, in a line."""
    name, following = f"iter{figures.iteration}", figures.following
    if following is None:
        score = "no score" if figures.mean_score is None else f"mean score {figures.mean_score:.2f}"
        rate = "" if figures.win_rate is None else f", win rate against iter0 {figures.win_rate} %"
        return f"{name}: {score}, {figures.mean_chars:.0f} characters{rate}"
    pairs = following.known_pairs
    of = "1 pair" if pairs.n == 1 else f"{pairs.n} pairs"
    judge = "" if pairs.value is None else f", judge right {percent(pairs)} % of {of}"
    return f"{name}: does what is asked {percent(following.follows)} % ({interval_text(following.follows)}){judge}"


def percent(share: Estimate) -> str:
    """Return `20.5`, or a dash without a value."""
    return "-" if share.value is None else f"{100 * share.value:.1f}"


def interval_text(share: Estimate) -> str:
    """Return `14 to 27`, in percent, or a dash if the interval is not known."""
    return "-" if share.low is None or share.high is None else f"{100 * share.low:.0f} to {100 * share.high:.0f}"
