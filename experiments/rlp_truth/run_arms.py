"""Runs the missing arms of the experiment and prints the tables."""

import time
from dataclasses import asdict

from experiments.arms import ArmAndSeed, print_plan, print_results, run_missing, seed_folder, wanted
from experiments.rlp_truth.arms import ARMS
from experiments.rlp_truth.circle import prepare_seed, run_arm
from experiments.rlp_truth.measure import measure
from experiments.rlp_truth.options import Config
from experiments.rlp_truth.report import POLICY_WORDS, REWARD_WORDS, policy_table, reward_table
from experiments.rlp_truth.results import ArmResult
from experiments.world.sizes import Seeds
from records.keys import content_key


def run_and_print(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    pairs = wanted(config, ARMS)
    if config.dry_run:
        print_plan(config, _ids(pairs, config), ArmResult, ARMS)
        return
    _print(run_all(pairs, config), config)


def run_all(pairs: list[ArmAndSeed], config: Config) -> list[ArmResult]:
    """Return the result of each arm and seed, running those that are not in the store."""
    return run_missing(
        config, _ids(pairs, config), ArmResult, lambda name, seed, row_id: _one(name, seed, row_id, config)
    )


def _ids(pairs: list[ArmAndSeed], config: Config) -> dict[ArmAndSeed, str]:
    # settings and not names, so that a changed arm is run again
    return {pair: content_key("rlp truth", asdict(ARMS[pair[0]]), asdict(config.size), pair[1]) for pair in pairs}


def _one(name: str, seed: int, row_id: str, config: Config) -> ArmResult:
    arm, size = ARMS[name], config.size
    seeds = Seeds(seed_folder(config, asdict(size), seed))
    started_s = time.monotonic()
    prepare_seed(seeds, size, seed)
    run = run_arm(arm, name, size, seeds, seed)
    figures = measure(arm, run, size, seeds, seed)
    return ArmResult(id=row_id, arm=name, seed=seed, **figures, seconds=time.monotonic() - started_s)


def _print(results: list[ArmResult], config: Config) -> None:
    tables = [(policy_table(results), POLICY_WORDS), (reward_table(results), REWARD_WORDS)]
    print_results(results, tables, as_json=config.json)
