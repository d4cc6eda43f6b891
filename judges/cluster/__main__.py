"""Cluster the answers to each prompt by meaning, and make a preference pair where enough of them agree (RLP-SPG).

python -m judges.cluster responses.jsonl                      clusters by embeddings; the most central answer is chosen
python -m judges.cluster judgments.jsonl --gamma 0.6          the answer with the highest score is chosen
python -m judges.cluster answers.jsonl --equivalence nli --rewards judgments.jsonl
python -m judges.cluster answers.jsonl --equivalence judge --model my-model --base-url http://localhost:8000/v1
python -m judges.cluster gsm8k.jsonl --equivalence final_answer

FILE has several answers to each prompt, in any order, in any format that judges.score reads. The confidence of a prompt
is the share of its largest cluster. Where it is --gamma or more, the pair is an answer from that cluster against any
other answer, drawn at random. Stopped and started again, it goes on where it was.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError
from console.ranges import Count, Share
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions, pinned
from judges.cluster.clustering import Paths, cluster_into
from judges.cluster.equivalences.options import EquivalenceOptions

if TYPE_CHECKING:
    from judges.cluster.answer_sets import Census, Rewards
    from judges.cluster.clusters import Spg
    from judges.cluster.equivalence import Equivalence

OUT = Path("runs/clusters")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Cluster the answers to each prompt by meaning."""

    file: Given = None
    """Answers, several to a prompt; the default is the newest run's judgments."""
    relation: Annotated[EquivalenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EquivalenceOptions)
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    gamma: Share = 0.5
    """Make a pair only where the largest cluster has at least this share of the answers."""
    choose: Literal["auto", "reward", "central"] = "auto"
    """Chosen from the largest cluster: the answer with the highest reward or the most central one; auto takes the
    reward where FILE or --rewards has scores."""
    rewards: Path | None = None
    """Judgments of the same responses, where FILE has no scores of its own."""
    min_coverage: Share = 0.9
    """Fail where a smaller share of the prompts can be clustered; all results are kept."""
    limit: Count | None = None
    """Take only the first N prompts."""
    out: OutRows | None = None
    """Where the clusters go, with .pairs.jsonl and .relations.jsonl beside them; the default is
    runs/clusters/<file>-<digest of its path>-<key of the settings>.jsonl."""


@starts_again
def main(config: Config) -> None:
    """Read, relate, cluster, store and print a table."""
    config = replace(config, engine=pinned(config.engine))
    from judges.cluster.answer_sets import read_answer_sets, read_rewards, take_census
    from judges.cluster.equivalences.choice import open_equivalence
    from judges.cluster.totals import Rewarded, check_coverage, print_plan, print_totals
    from records.files import BadRows
    from records.inputs import check_out

    _check(config)
    source = config.file or default_source()
    check_out(config.out, source, config.rewards)
    census = take_census(source, BadRows(strict=config.strict), config.limit)
    rewards = read_rewards(config.rewards, BadRows(strict=config.strict)) if config.rewards else None
    spg = spg_of(config, source, census, rewards)
    equivalence = open_equivalence(config.relation, config.engine)
    paths = paths_of(config, source, equivalence, spg)
    sets = read_answer_sets(source, census, rewards)
    if config.dry_run:
        print_plan(sets, equivalence, spg, source, paths.clusters, as_json=config.json)
        return
    rewarded = Rewarded(config.rewards) if config.rewards else None
    totals = cluster_into(
        paths,
        rewarded.counted(sets) if rewarded else sets,
        equivalence,
        spg,
        len(census.n_rows),
        fresh=config.fresh,
        apart=config.out is not None,
    )
    print_totals(totals, equivalence, spg, paths.clusters, paths.pairs, as_json=config.json)
    check_coverage(totals, config.min_coverage)
    if rewarded:
        rewarded.check(config.min_coverage)


def _check(config: Config) -> None:
    from records.files import check_limit

    check_limit(config.limit)


def default_source() -> Path:
    """Return the newest run's last judgments; raises InputError where there are none."""
    from records.runs import newest_run

    latest_run = newest_run()
    found = latest_run and latest_run.newest("judgments.jsonl")
    if not found:
        raise InputError("no FILE, and no run with judgments; give a file with several answers to each prompt")
    return found


def spg_of(config: Config, source: Path, census: "Census", rewards: "Rewards | None") -> "Spg":
    """Return how pairs are made; raises InputError where the rewards asked for are not to be had or not comparable."""
    from judges.cluster.clusters import Spg

    n_scored, judges = (len(rewards.scores), rewards.judges) if rewards else (census.n_scored, census.judges)
    if config.choose == "central" or (config.choose == "auto" and n_scored == 0):
        return Spg(config.gamma, "central", config.seed)
    if n_scored == 0:
        raise InputError(f"{source}: no answer has a 'score'; give --rewards judgments.jsonl, or --choose central")
    if len(judges) > 1:
        raise InputError(
            f"{config.rewards or source}: the scores are from {len(judges)} judges and cannot be compared; "
            "keep one judge's rows, or give --choose central"
        )
    return Spg(config.gamma, "reward", config.seed, next(iter(judges)) or None)


def paths_of(config: Config, source: Path, equivalence: "Equivalence", spg: "Spg") -> Paths:
    """Return where results go: a change of the rule or of --gamma is a new result, but pays for no relation again."""
    from records.inputs import output_name
    from records.keys import content_key

    if config.out:
        out, relations = config.out, config.out.with_suffix(".relations.jsonl")
    else:
        name = output_name(source)
        rewards = output_name(config.rewards) if config.rewards else None
        rule = (equivalence.digest, equivalence.rule, spg.gamma, spg.choose, spg.seed, spg.judge)
        out = OUT / f"{name}-{content_key(*rule, config.limit, rewards)}.jsonl"
        relations = OUT / f"{name}-{equivalence.digest}.relations.jsonl"
    return Paths(out, out.with_suffix(".pairs.jsonl"), relations)


if __name__ == "__main__":
    run(Config, main, "python -m judges.cluster")
