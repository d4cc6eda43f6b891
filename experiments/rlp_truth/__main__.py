"""Run reward learning on policy (arXiv 2403.19279) in a world where a program knows how good an answer is.

python -m experiments.rlp_truth --seed 1 --seeds 5 --out runs/rlp_truth
python -m experiments.rlp_truth --seeds 1 --arms sft,ppo,spg
python -m experiments.rlp_truth --dry-run

Each seed has its own base model of a million weights, trained from scratch, and its own instructions. Everything after
that uses the stages of trainer.rlp. Pairs of SFT's answers are labelled by a labeller who adds half a point per symbol
to the true quality, 0 to 5, and 15 % of whose labels are flipped. Measured on held-out instructions are the true
quality, the learned reward, the distance to SFT, and how often each reward model orders two answers of SFT, and two of
PPO's, as the truth does. For SPG two answers mean the same if they are the same words (equivalence `exact`), because in
this world no other text means the same. There are 600 instructions that leave a choice, one in sixteen of the ten
thousand of a seed. Results are in OUT/results.jsonl, and an interrupted experiment resumes.

The settings were tuned on seeds 0 and 100, until the first reward model ordered about three quarters of SFT's pairs
correctly and PPO gained over SFT: 0.32 on seed 0 and 0.39 on seed 100, where twice the steps ended 0.51 under SFT. No
result of the retraining was looked at for them. An earlier setting, tuned on seed 6, had the answers to 1000
instructions labelled instead of 5000. It was given up after six arms of seed 1 had been seen, because the reward model
was right on 0.63 of SFT's pairs and PPO gained nothing.

Expectations written down before anything was measured:

- best_of_n and ppo: better than sft by half a point and more. ppo is also longer, because the labels are biased.
- The first reward model is right less often on PPO's answers than on SFT's, because they differ less and it was not
  trained on them.
- ppo_twice: as ppo. The difference shows what another seed alone can do.
- spg: most answers of PPO to an instruction with one right answer agree, and the majority is then right more often than
  the reward, so synthetic pairs are in the true order more often than the labels. A gain over ppo of 0.1 to 0.3.
- select_all: fewer of its pairs are in the true order, and the gain is smaller. reward: it repeats what the first
  reward model already says, so no gain.
- uml: little, either way, because a bottleneck on unlabelled views cannot know what is right.
- The paper's order, SPG > UML > PPO > SFT: expected for SPG > PPO > SFT, with UML near PPO.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from console.command import Flags, run
from console.ranges import Count
from console.writing import OutFolder
from experiments.arms import ArmAndSeed, print_plan, print_results, run_missing, seed_folder, wanted
from experiments.rlp_truth.arms import ARMS, Size

if TYPE_CHECKING:
    from experiments.rlp_truth.results import ArmResult


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Run reward learning on policy where the truth is known."""

    seeds: Count = 5
    """Repeat with N seeds, from --seed on."""
    arms: str = ",".join(ARMS)
    """The names of the arms, separated by commas."""
    size: Size = field(default_factory=Size)
    out: OutFolder = Path("runs/rlp_truth")
    """The folder for models, rows and results."""


def main(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    pairs = wanted(config, ARMS)
    if config.dry_run:
        print_plan(config, pairs, ARMS)
        return
    _print(run_all(pairs, config), config)


def run_all(pairs: "list[ArmAndSeed]", config: Config) -> "list[ArmResult]":
    """Return the result of each arm and seed, running those that are not in the store."""
    from experiments.rlp_truth.results import ArmResult
    from records.keys import content_key

    ids = {pair: content_key("rlp truth", asdict(ARMS[pair[0]]), asdict(config.size), pair[1]) for pair in pairs}
    return run_missing(config, ids, ArmResult, lambda name, seed, row_id: _one(name, seed, row_id, config))


def _one(name: str, seed: int, row_id: str, config: Config) -> "ArmResult":
    import time

    from experiments.rlp_truth.circle import prepare_seed, run_arm
    from experiments.rlp_truth.measure import measure
    from experiments.rlp_truth.results import ArmResult
    from experiments.world.sizes import Seeds

    arm, size = ARMS[name], config.size
    seeds = Seeds(seed_folder(config, asdict(size), seed))
    started_s = time.monotonic()
    prepare_seed(seeds, size, seed)
    run = run_arm(arm, name, size, seeds, seed)
    figures = measure(arm, run, size, seeds, seed)
    return ArmResult(id=row_id, arm=name, seed=seed, **figures, seconds=time.monotonic() - started_s)


def _print(results: "list[ArmResult]", config: Config) -> None:
    from experiments.rlp_truth.report import POLICY_WORDS, REWARD_WORDS, policy_table, reward_table

    tables = [(policy_table(results), POLICY_WORDS), (reward_table(results), REWARD_WORDS)]
    print_results(results, tables, as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.rlp_truth")
