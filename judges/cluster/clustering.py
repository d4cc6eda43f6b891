"""Clusters the answers of a file prompt by prompt, and stores each result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.progress import progress
from console.writing import DiskErrors, check_writable, make_folder
from engines.options import pinned
from judges.cluster.answer_sets import AnswerSet, Census, Rewards, read_answer_sets, read_rewards, take_census
from judges.cluster.clusters import Spg, decide
from judges.cluster.equivalence import Equivalence
from judges.cluster.equivalences.choice import open_equivalence
from judges.cluster.options import OUT, Config
from judges.cluster.relations import open_relations, related
from judges.cluster.totals import Rewarded, Totals, check_coverage, print_plan, print_totals
from records.files import BadRows, check_limit
from records.inputs import check_out, output_name
from records.keys import content_key
from records.leftovers import temporary_path
from records.runs import newest_run
from records.store import replace_apart, set_aside


def cluster_file(config: Config) -> None:
    """Read, relate, cluster, store and print a table."""
    config = replace(config, engine=pinned(config.engine))
    check_limit(config.limit)
    source = config.file or _default_source()
    check_out(config.out, source, config.rewards)
    census = take_census(source, BadRows(strict=config.strict), config.limit)
    rewards = read_rewards(config.rewards, BadRows(strict=config.strict)) if config.rewards else None
    spg = _spg(config, source, census, rewards)
    equivalence = open_equivalence(config.relation, config.engine)
    paths = _paths(config, source, equivalence, spg)
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


def _default_source() -> Path:
    latest_run = newest_run()
    judgments = latest_run and latest_run.newest("judgments.jsonl")
    if not judgments:
        raise InputError("no FILE, and no run with judgments; give a file with several answers to each prompt")
    return judgments


def _spg(config: Config, source: Path, census: Census, rewards: Rewards | None) -> Spg:
    """Return how pairs are made. Raises InputError if the rewards are missing or not comparable."""
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


@dataclass(frozen=True)
class Paths:
    """The files of results."""

    clusters: Path
    pairs: Path
    relations: Path


def _paths(config: Config, source: Path, equivalence: Equivalence, spg: Spg) -> Paths:
    """Return the files of results. Another rule or --gamma gives a new result file but reuses the paid relations."""
    if config.out:
        out, relations = config.out, config.out.with_suffix(".relations.jsonl")
    else:
        name = output_name(source)
        rewards = output_name(config.rewards) if config.rewards else None
        rule = (equivalence.digest, equivalence.rule, spg.gamma, spg.choose, spg.seed, spg.judge)
        out = OUT / f"{name}-{content_key(*rule, config.limit, rewards)}.jsonl"
        relations = OUT / f"{name}-{equivalence.digest}.relations.jsonl"
    return Paths(out, out.with_suffix(".pairs.jsonl"), relations)


def cluster_into(
    paths: Paths,
    sets: Iterator[AnswerSet],
    equivalence: Equivalence,
    spg: Spg,
    n_prompts: int,
    *,
    fresh: bool,
    apart: bool = False,
) -> Totals:
    """Write a row per prompt and the pairs, and return the totals. An interruption keeps only the relations."""
    if fresh:
        set_aside(paths.clusters)
        set_aside(paths.pairs)
    totals = Totals()
    with (
        open_relations(paths.relations, fresh=fresh) as store,
        rows_into(paths.clusters, apart=apart) as write_clustering,
        rows_into(paths.pairs, apart=apart) as write_pair,
        progress("clustering", n_prompts) as advance,
    ):
        for answers, relation in related(sets, equivalence, store, advance):
            clustering, pair = decide(answers, relation, equivalence, spg)
            write_clustering(clustering)
            if pair:
                write_pair(pair)
            totals.add(clustering, pair)
    return totals


@contextmanager
def rows_into(path: Path, *, apart: bool = False) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes a row. `path` appears only once it is complete.

    With `apart`, an earlier file with other contents is set aside, not replaced.
    """
    check_writable(path)
    make_folder(path.parent)
    partial = temporary_path(path)
    with DiskErrors(path):
        try:
            with partial.open("wb") as file:
                yield lambda row: file.writelines((msgspec.json.encode(row), b"\n"))
            if apart:
                replace_apart(partial, path)
            else:
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)  # gone already if it was renamed
