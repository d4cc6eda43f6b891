"""Runs one arm of one seed with the loop's own stages: M0, M1 by SFT, M2 and M3 on their parents' judged answers."""

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from experiments.known_truth.arms import Arm
from experiments.known_truth.recipe import recipe
from experiments.random_judge import random_engine
from experiments.world.data import prompts_of
from experiments.world.sizes import ITERATIONS, Seeds, Size
from experiments.world.world import LEVELS, quality
from records.runs import Run, link_base_model
from trainer.loop.rounds import preference_round, supervised, supervised_chats

JUDGED = re.compile(r"^(?P<prompt>.*) <answer> (?P<answer>.*) </answer>")


def run_arm(arm: Arm, name: str, size: Size, seeds: Seeds, seed: int) -> Run:
    """Train M1 to M3 of one arm, resuming if interrupted, and return the run's folder."""
    run, config = Run(seeds.folder / name), recipe(arm, size, seeds, seed)
    link_base_model(run, seeds.base)
    _link_first(run, arm, size, seeds, seed)
    held_out = prompts_of(seeds, "held_out")
    for number in range(2, ITERATIONS + 1):
        if run.model(number).exists():
            continue
        prompts = prompts_of(seeds, f"iter{number}")
        preference_round(run, number, prompts, held_out, config, _judge(arm, config.seed))
    return run


def model_folder(run: Run, number: int) -> Path:
    """Return the folder of a model with links followed, so that the same weights have the same folder."""
    return run.model(number).resolve()


def _link_first(run: Run, arm: Arm, size: Size, seeds: Seeds, seed: int) -> None:
    """Link iter1/model to the M1 that all arms with the same seeds share, training it if it does not exist."""
    shared = Run(seeds.folder / ("m1" if arm.eft else "m1_no_eft"))
    if not shared.model(1).exists():
        link_base_model(shared, seeds.base)
        config = recipe(Arm("", eft=arm.eft), size, seeds, seed)
        supervised(shared, *supervised_chats(config), config)
    link = run.model(1)
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(shared.model(1).resolve(), target_is_directory=True)


def _judge(arm: Arm, seed: int) -> ScriptedEngine | None:
    """Return the engine of an arm's judge, or None if the model judges itself."""
    if arm.judge == "model":
        return None
    return truth_engine() if arm.judge == "truth" else random_engine(seed)


def truth_engine() -> ScriptedEngine:
    """Return a judge's engine that always gives the true quality."""

    def logprobs(request: Request, _: Sequence[str]) -> list[float]:
        question = JUDGED.search(request.messages[-1]["content"])
        level = quality(question["prompt"], question["answer"]) if question else 0.0  # an empty answer does not match
        return [0.0 if level == choice else -inf for choice in LEVELS]  # all probability on the truth

    return ScriptedEngine(logprobs=logprobs, digest="truth")
