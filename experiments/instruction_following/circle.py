"""Runs one arm of one seed with the loop's own stages: iter1 by SFT, the later ones on judged answers."""

from pathlib import Path
from random import Random

import msgspec

from engines.models import resolve_model
from experiments.instruction_following.arms import Arm
from experiments.instruction_following.recipe import recipe
from experiments.instruction_following.replay import replay
from experiments.random_judge import random_engine
from records import Prompt, Store
from records.runs import Run, link_base_model
from trainer.loop.held_out.files import answers_path, checks_path
from trainer.loop.recipe import Config
from trainer.loop.rounds import preference_round, supervised, supervised_chats
from trainer.loop.splits import LoopSplit
from trainer.runs.ledger import LedgerLine, claim_run, remove_run_leftovers

FIRST = "first"
"""The name of the run with the iter1 that has learnt to judge, which most arms share."""


def first_run(arm: Arm, base: Config, folder: Path, seed: int) -> Run:
    """Return the run with the iter0 and iter1 of an arm. Arms that learn from the same examples share it."""
    name = FIRST + ("" if arm.eft else "_no_eft") + ("" if arm.read == "logprobs" else f"_{arm.read}")
    run, config = Run(folder / name), recipe(Arm("", eft=arm.eft, read=arm.read), base, seed)
    with Store(run.ledger, LedgerLine) as ledger:
        remove_run_leftovers(run)
        claim_run(run, config, ledger.ids)
        link_base_model(run, resolve_model(config.engine.model, config.engine.run))
        if "iter1" not in ledger:
            ledger.append(supervised(run, *supervised_chats(config), config))
    return run


def run_arm(
    arm: Arm, name: str, first: Run, base: Config, split: LoopSplit, folder: Path, seed: int, n_replayed: int
) -> Run:
    """Make the iterations after iter1 of an arm, resuming if interrupted, and return its run.

    `first` must be measured, because the measures of iter0 and iter1 are shared with the models.
    """
    run, config = Run(folder / name), recipe(arm, base, seed)
    with Store(run.ledger, LedgerLine) as ledger:
        remove_run_leftovers(run)
        claim_run(run, config, ledger.ids)
        _link(run, first)
        for number in range(2, config.iterations + 1):
            if f"iter{number}" not in ledger:
                ledger.append(_round(arm, run, number, split.rounds[number], config, n_replayed))
    return run


def rounds_of(arm: Arm, run: Run) -> Run:
    """Return the run with the rounds of an arm: its own, or the one before the replay."""
    return Run(run.folder / "before_replay") if arm.replay else run


def partly_checked(prompts: list[Prompt], share: float, seed: int) -> list[Prompt]:
    """Return the prompts with the constraints of all but a `share`, drawn by the seed, taken out of their rows.

    The tool then finds nothing to check on them, and the judge's score stays as it is. Their texts stay the same.
    """
    n_checked = round(share * len(prompts))
    # the first prompt's id stands for the round, so that each round draws other places
    drawn = set(Random(f"checked {seed} {prompts[0].id}").sample(range(len(prompts)), n_checked))
    return [
        prompt if place in drawn else msgspec.structs.replace(prompt, constraints=None)
        for place, prompt in enumerate(prompts)
    ]


def _round(arm: Arm, run: Run, number: int, prompts: list[Prompt], config: Config, n_replayed: int) -> LedgerLine:
    rounds = rounds_of(arm, run)
    if arm.replay:
        _link_models(rounds, run, number)
    shown = partly_checked(prompts, arm.checked, config.seed) if 0 < arm.checked < 1 else prompts
    judge = random_engine(config.seed) if arm.scores == "random" else None
    line = preference_round(rounds, number, shown, [], config, judge)
    if arm.replay:
        replay(rounds, run, number, prompts, config, n_replayed)
    return line


def _link(run: Run, first: Run) -> None:
    """Link iter0 and iter1 with their measures."""
    paths = [run.iteration(number) for number in (0, 1)]
    paths += [path(run, number) for path in (answers_path, checks_path) for number in (0, 1)]
    for path in paths:
        _link_path(path, first.folder / path.relative_to(run.folder))


def _link_models(rounds: Run, run: Run, number: int) -> None:
    """Link the models that a round begins with, made by the arm's run, into the run before the replay."""
    for before in (0, 1, number - 1):  # base model, first judge and parent
        _link_path(rounds.model(before), run.model(before))


def _link_path(link: Path, target: Path) -> None:
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.resolve())  # absolute, so that it holds from any folder
