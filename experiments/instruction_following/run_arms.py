"""Runs the missing arms of the experiment and prints the tables."""

import time
from dataclasses import asdict
from pathlib import Path
from random import Random

from console.errors import InputError
from experiments.arms import ArmAndSeed, print_plan, print_results, run_missing, seed_folder, stored, wanted
from experiments.instruction_following.arms import ARMS, CHECKED, Arm
from experiments.instruction_following.circle import first_run, rounds_of, run_arm
from experiments.instruction_following.measure import Questions, learnt, measured
from experiments.instruction_following.options import Config, Size
from experiments.instruction_following.picture import draw
from experiments.instruction_following.recipe import read_recipe, recipe, settings_of, split, unaided
from experiments.instruction_following.report import tables
from experiments.instruction_following.results import ArmResult
from records import Prompt, write_atomic
from records.files import BadRows
from records.keys import content_key, files_digest
from records.shapes import read_prompts
from trainer.loop.recipe import Config as Recipe

UNSEEN = Path(__file__).parent / "unseen_kinds.jsonl"


def run_and_print(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    pairs, base = wanted(config, ARMS), read_recipe(config.recipe)
    if config.ifeval is not None and not config.ifeval.is_file():
        raise InputError(f"--ifeval {config.ifeval}: no such file")
    # only to fail early: the splits are made again where they are used
    for seed in {seed for _, seed in pairs}:
        split(base, seed)
    if config.stored and config.fresh:
        raise InputError("--stored shows the results in OUT, and --fresh sets them aside: give one of them")
    if config.dry_run:
        print_plan(config, _ids(pairs, base, config), ArmResult, ARMS)
        return
    results = run_all(pairs, base, config)
    print_results(results, tables(results, base.gates, config.size.labels), as_json=config.json)
    if config.picture:
        write_atomic(config.picture, draw(results))


def run_all(pairs: list[ArmAndSeed], base: Recipe, config: Config) -> list[ArmResult]:
    """Return the result of each arm and seed, running those that are not in the store unless --stored is given."""
    ids = _ids(pairs, base, config)
    if config.stored:
        return stored(config, ids, ArmResult)
    return run_missing(config, ids, ArmResult, lambda name, seed, row_id: _one(name, seed, row_id, base, config))


def _ids(pairs: list[ArmAndSeed], base: Recipe, config: Config) -> dict[ArmAndSeed, str]:
    return {(name, seed): _id(ARMS[name], base, seed, config) for name, seed in pairs}


def _id(arm: Arm, base: Recipe, seed: int, config: Config) -> str:
    how = {name: value for name, value in asdict(arm).items() if name != "about"}
    ifeval = files_digest([config.ifeval]) if config.ifeval else None
    return content_key("instruction following", how, settings_of(base), asdict(config.size), ifeval, seed)


def _one(name: str, seed: int, row_id: str, base: Recipe, config: Config) -> ArmResult:
    arm, size = ARMS[name], config.size
    folder, prompts = seed_folder(config, settings_of(base), seed), split(base, seed)
    questions = Questions(prompts.held_out, _prompts(UNSEEN), _drawn_ifeval(config.ifeval, size, seed))
    plain = unaided(recipe(arm, base, seed))
    # not in the arm's time, because all arms share it
    yardstick = first_run(ARMS[CHECKED], base, folder, seed)
    started_s = time.monotonic()
    first = first_run(arm, base, folder, seed)
    figures = [measured(first, number, questions, plain, size, yardstick) for number in (0, 1)]
    run = run_arm(arm, name, first, base, prompts, folder, seed, size.replayed)
    numbers = range(2, base.iterations + 1)
    figures += [measured(run, number, questions, plain, size, yardstick) for number in numbers]
    rounds = [learnt(rounds_of(arm, run), number, prompts.rounds[number]) for number in numbers]
    seconds = time.monotonic() - started_s
    return ArmResult(id=row_id, arm=name, seed=seed, iterations=figures, rounds=rounds, seconds=seconds)


def _drawn_ifeval(path: Path | None, size: Size, seed: int) -> list[Prompt]:
    prompts = _prompts(path) if path else []
    return Random(f"ifeval {seed}").sample(prompts, min(size.ifeval_prompts, len(prompts)))


def _prompts(path: Path) -> list[Prompt]:
    return list(read_prompts(path, BadRows(strict=True)))
