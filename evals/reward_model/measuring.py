"""Measures judges on ranked answers, writes the report, and prints it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.output import tell, tell_encoded
from console.progress import say
from console.table import print_table
from engines.options import pinned
from evals.reward_model.benches.measuring import measure_on_bench
from evals.reward_model.benches.reading import read_bench
from evals.reward_model.implicit import check_implicit, gives_rewards, policy_of, with_run
from evals.reward_model.judging import (
    ask_judge,
    distinct_responses,
    panel_of,
    read_judgments,
    stem,
    with_distinct_names,
)
from evals.reward_model.metrics import prompts_of
from evals.reward_model.options import Config, ImplicitOptions, name_of
from evals.reward_model.plan import print_plan
from evals.reward_model.report import Comparison, as_json, compared, markdown, summary, tables
from judges.judging.coverage import require_coverage
from judges.labelled.ranked import RankedAnswers
from judges.labelled.ranked_files import read_ranked
from judges.panels.panel import Member, member_named
from judges.rubrics.checked import checked_rubric
from judges.rubrics.rubric import Rubric
from records import write_atomic
from records.files import BadRows, take
from records.keys import content_key

SHOWN_REASONS = 3


def measure_judges(config: Config) -> None:
    """Read, judge, measure, write the report, and print it."""
    config = replace(config, engine=pinned(config.engine))
    source, members = _checked(config)
    bench = read_bench(source, BadRows(strict=config.strict))
    if bench is not None:
        measure_on_bench(config, source, bench, members)
        return
    _check_scores(members)
    ranked = list(take(read_ranked(source, BadRows(strict=config.strict)), config.limit))
    if config.dry_run:
        _print_plan(config, ranked, members)
        return
    judges = [ask_judge(config, ranked, member) for member in members]
    judges += [read_judgments(config, ranked, path) for path in config.judgments]
    judges = with_distinct_names(judges)
    if config.panel:
        judges.append(panel_of(judges, config.panel_rule, config.quorum))
    _report(config, compared(ranked, prompts_of(ranked), judges, config.resamples, config.seed))


def _checked(config: Config) -> tuple[Path, list[Member]]:
    """Return the file and the judges to ask. Raises InputError for a wrong flag, before a model is loaded."""
    if config.file is None:
        raise InputError("name a file of ranked answers; see --help")
    named = [member_named(word, config.engine, config.judging) for word in config.judge]
    members = [(with_run(engine), judging) for engine, judging in named]  # which run is the newest is decided once
    if not members and not config.judgments:
        members = [(config.engine, config.judging)]
    policies = [policy for engine, _ in members if (policy := policy_of(engine))]
    for policy in policies:
        check_implicit(policy, config.dpo)
    if config.dpo != ImplicitOptions() and not policies:
        raise InputError(
            "--reference, --beta and --per-token are for a policy's implicit reward: give --judge dpo:MODEL"
        )
    rubrics = [checked_rubric(judging) for _, judging in members]
    _check_panel(config, members, rubrics)
    return config.file, members


def _check_panel(config: Config, members: Sequence[Member], rubrics: Sequence[Rubric]) -> None:
    """Raise InputError if the judges make no panel."""
    if not config.panel:
        if config.quorum or config.panel_rule:
            raise InputError("--quorum and --panel-rule are for a panel: give --panel too")
        return
    if len(members) < 2 or config.judgments:
        raise InputError("--panel needs at least two judges that are asked: give --judge again, and no --judgments")
    if (config.quorum or 1) > len(members):
        raise InputError(f"--quorum must be from 1 to the number of judges, {len(members)}, not {config.quorum}")
    if any(gives_rewards(engine) for engine, _ in members):
        raise InputError("--panel: a reward has no scale, so it cannot be combined with a judge's scores")
    if len({(rubric.kind, rubric.scale) for rubric in rubrics}) > 1:
        raise InputError("--panel: the rubrics of the judges differ in kind or scale; a panel has one of each")


def _check_scores(members: Sequence[Member]) -> None:
    """Raise InputError if a rubric compares, because ranked answers are scored one by one."""
    for _, judging in members:
        if checked_rubric(judging).kind != "score":
            raise InputError(f"--rubric {judging.rubric} compares two answers; give one that scores: additive")


def _report(config: Config, comparison: Comparison) -> None:
    """Write the report beside the judgments and print it. Raises JudgeError if a judge scored too few answers."""
    keys = [judge.fingerprint for judge in comparison.judges]
    folder = config.out or Path(comparison.judges[0].path).parent
    page = folder / f"{name_of(config)}-{keys[0] if len(keys) == 1 else content_key(*keys)}.md"
    data = json.dumps({"file": str(config.file), **as_json(comparison)}, ensure_ascii=False, indent=1)
    write_atomic(page.with_suffix(".json"), data)
    write_atomic(page, markdown(comparison, f"Judges on {stem(config)}"))
    if config.json:
        tell_encoded(data)
    else:
        for title, table in tables(comparison).items():
            tell(f"{title}:")
            print_table(table)
            tell()
        tell(*summary(comparison).split("\n"), f"{page}, and every number in the .json beside it")
    for judge in comparison.judges:
        for reason, n in judge.reasons.most_common(SHOWN_REASONS):
            say(f"{judge.name}: {n} answers without a score: {reason}")
    for judge in comparison.judges:
        n, least = comparison.n_answers, config.judging.min_coverage
        require_coverage(n - judge.reasons.total(), n, least, reasons=judge.reasons, read=judge.read)


def _print_plan(config: Config, ranked: Sequence[RankedAnswers], members: Sequence[Member]) -> None:
    responses = distinct_responses(ranked)
    counts = {"prompts": len(ranked), "answers": len(responses)}
    summary = f"would measure on {len(ranked)} prompts with {len(responses)} answers of {config.file}"
    print_plan(config, summary, counts, members, lambda judge: list(map(judge.judgment_id, responses)))
