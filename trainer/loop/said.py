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
from trainer.loop.judging.judges import judges_named, round_judges
from trainer.loop.plan.course import Course, steps_of
from trainer.loop.plan.estimate import estimate
from trainer.loop.plan.learning import PAIRS
from trainer.loop.plan.probe import this_machine
from trainer.loop.plan.work import Work
from trainer.loop.plan.workload import stages
from trainer.loop.recipe import Config
from trainer.training.memory.size import model_size

PAIRS_PER_PROMPT = 0.35
"""The share of a round's prompts that give a pair: 39 and 45 of 128 in the demo."""


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


def planned(run: Run, config: Config, to_make: Sequence[int], how: str) -> str:
    """Return what a dry run plans. `to_make` are the iterations that are left to make.

    `how` says where the estimate comes from. It is empty if nothing is left to do.
    """
    model, numbers = config.engine.model, range(1, config.iterations + 1)
    made = [number for number in numbers if number not in to_make]
    if not how:
        return f"nothing is left to do in {run.folder}: {_named(made)} of {model} made and measured"
    judged = round_judges(config.judge, config.panel)
    how = f"judged by {judges_named(config.judge, config.panel)}; {how}" if judged else how
    if not made:
        return f"would run {config.iterations} iterations of {model} in {run.folder}; {how}"
    what = f"make {_named(to_make)} of {model}" if to_make else f"measure the iterations of {model}"
    of_other = f" as in {config.from_iteration}" if config.from_iteration else ""
    return f"would {what} in {run.folder}, after {_named(made)}{of_other}; {how}"


def _named(numbers: Sequence[int]) -> str:
    return f"iter{numbers[0]}" if len(numbers) == 1 else f"iter{numbers[0]} to iter{numbers[-1]}"


def opening(run: Run, config: Config, done: int, guess_s: float) -> list[str]:
    """Return what the run makes, about how long it takes, and where its files go. `done` iterations are made."""
    what = f"{config.name}: iter0 to iter{config.iterations} of {config.engine.model}"
    measured = f"each measured on {config.eval.prompts} held-out prompts"
    if done:
        made = f"{_named(range(1, done + 1))} {'is' if done == 1 else 'are'} made"
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
