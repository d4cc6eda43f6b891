"""Runs the missing arms of the experiment and prints the tables."""

import time
from dataclasses import asdict

from experiments.arms import ArmAndSeed, print_plan, print_results, run_missing, seed_folder, wanted
from experiments.known_truth.arms import ARMS
from experiments.known_truth.circle import model_folder, run_arm
from experiments.known_truth.measure import learnt, measure, measured_folder
from experiments.known_truth.options import Config
from experiments.known_truth.picture import draw
from experiments.known_truth.recipe import recipe
from experiments.known_truth.report import JUDGE_WORDS, QUALITY_WORDS, judge_table, quality_table
from experiments.known_truth.results import ArmResult
from experiments.world.data import prepare
from experiments.world.sizes import Seeds
from records import write_atomic
from records.keys import content_key


def run_and_print(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    pairs = wanted(config, ARMS)
    if config.dry_run:
        print_plan(config, _ids(pairs, config), ArmResult, ARMS)
        return
    results = run_all(pairs, config)
    _print(results, config)
    if config.picture:
        write_atomic(config.picture, draw(results))


def run_all(pairs: list[ArmAndSeed], config: Config) -> list[ArmResult]:
    """Return the result of each arm and seed, running those that are not in the store."""
    return run_missing(
        config, _ids(pairs, config), ArmResult, lambda name, seed, row_id: _one(name, seed, row_id, config)
    )


def _ids(pairs: list[ArmAndSeed], config: Config) -> dict[ArmAndSeed, str]:
    # settings and not names, so that a changed arm is run again
    return {pair: content_key("known truth", asdict(ARMS[pair[0]]), asdict(config.size), pair[1]) for pair in pairs}


def _one(name: str, seed: int, row_id: str, config: Config) -> ArmResult:
    arm, size = ARMS[name], config.size
    seeds = Seeds(seed_folder(config, asdict(size), seed))
    prepare(seeds, size, seed)
    started_s = time.monotonic()  # after the data that all arms share
    run = run_arm(arm, name, size, seeds, seed)
    settings = recipe(arm, size, seeds, seed)
    measured = measure(run, settings, size, seeds)
    rounds = [
        learnt(run, seeds, measured_folder(model_folder(run, number - 1), settings, seeds), number)
        for number in range(2, len(measured))
    ]
    seconds = time.monotonic() - started_s
    return ArmResult(id=row_id, arm=name, seed=seed, measured=measured, learnt=rounds, seconds=seconds)


def _print(results: list[ArmResult], config: Config) -> None:
    tables = [(quality_table(results), QUALITY_WORDS), (judge_table(results), JUDGE_WORDS)]
    print_results(results, tables, as_json=config.json)
