"""Run the self-rewarding loop in a world where a program knows how good an answer is.

python -m experiments.known_truth                                           all arms, 5 seeds
python -m experiments.known_truth --seeds 1 --arms full,truth,random
python -m experiments.known_truth --arms full,no_eft --picture docs/known_truth.png
python -m experiments.known_truth --dry-run

Each seed has its own base model of a million weights, trained from scratch, and its own instructions. M1 to M3 are made
with the loop's own stages. Measured are the true quality of the answers of M0 to M3 on held-out instructions, how often
each model correctly judges which of two answers is better, and how many training pairs are in the true order. Results
are in OUT/results.jsonl, and an interrupted experiment resumes.

Expectations written down before anything was measured:

- full: the quality rises from M1 to M2 and to M3, the second time by less.
- The judge is right on about three of four pairs after EFT and stays there. It is right less often on its own answers
  than on graded ones, because they differ less.
- no_eft: no gain. Scores that were never learnt are noise, and the arm ends near `random`.
- Reading: text_1 below text_3 below full, because written scores tie and a sample adds noise.
- positive: a gain, but a smaller one than from pairs.
- Candidates: n_8 above full above n_2. Margins: fewer pairs, more of them right, with little effect on the whole.
  rho: none, because the instruction fixes the length of an answer in this world.
- truth: well above full. The judge is worth how far full gets from random towards truth.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from console.command import Flags, run
from console.ranges import Count
from console.writing import OutFolder, OutPicture
from experiments.arms import ArmAndSeed, print_plan, print_results, run_missing, seed_folder, wanted
from experiments.known_truth.arms import ARMS
from experiments.world.sizes import Size

if TYPE_CHECKING:
    from experiments.known_truth.results import ArmResult


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Run the loop where the truth is known."""

    seeds: Count = 5
    """Repeat with N seeds, from --seed on."""
    arms: str = ",".join(ARMS)
    """The names of the arms, separated by commas."""
    size: Size = field(default_factory=Size)
    out: OutFolder = Path("runs/known_truth")
    """The folder for models, rows and results."""
    picture: OutPicture | None = None
    """Write the picture, a PNG, to this file."""


def main(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    pairs = wanted(config, ARMS)
    if config.dry_run:
        print_plan(config, pairs, ARMS)
        return
    results = run_all(pairs, config)
    _print(results, config)
    if config.picture:
        from experiments.known_truth.picture import draw
        from records import write_atomic

        write_atomic(config.picture, draw(results))


def run_all(pairs: "list[ArmAndSeed]", config: Config) -> "list[ArmResult]":
    """Return the result of each arm and seed, running those that are not in the store."""
    from experiments.known_truth.results import ArmResult
    from records.keys import content_key

    ids = {pair: content_key("known truth", asdict(ARMS[pair[0]]), asdict(config.size), pair[1]) for pair in pairs}
    return run_missing(config, ids, ArmResult, lambda name, seed, row_id: _one(name, seed, row_id, config))


def _one(name: str, seed: int, row_id: str, config: Config) -> "ArmResult":
    import time

    from experiments.known_truth.arms import recipe
    from experiments.known_truth.circle import model_folder, run_arm
    from experiments.known_truth.measure import learnt, measure, measured_folder
    from experiments.known_truth.results import ArmResult
    from experiments.world.data import prepare
    from experiments.world.sizes import Seeds

    arm, size = ARMS[name], config.size
    seeds = Seeds(seed_folder(config, asdict(size), seed))
    prepare(seeds, size, seed)
    started_s = time.monotonic()
    run = run_arm(arm, name, size, seeds, seed)
    settings = recipe(arm, size, seeds, seed)
    measured = measure(run, settings, size, seeds)
    rounds = [
        learnt(run, seeds, measured_folder(model_folder(run, number - 1), settings, seeds), number)
        for number in range(2, len(measured))
    ]
    seconds = time.monotonic() - started_s
    return ArmResult(id=row_id, arm=name, seed=seed, measured=measured, learnt=rounds, seconds=seconds)


def _print(results: "list[ArmResult]", config: Config) -> None:
    from experiments.known_truth.report import JUDGE_WORDS, QUALITY_WORDS, judge_table, quality_table

    tables = [(quality_table(results), QUALITY_WORDS), (judge_table(results), JUDGE_WORDS)]
    print_results(results, tables, as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.known_truth")
