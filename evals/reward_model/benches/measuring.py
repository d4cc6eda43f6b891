"""Measures judges on a judge benchmark, writes the report, and prints it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.output import tell, tell_encoded
from console.progress import say
from console.table import print_table
from evals.reward_model.benches.asking import (
    Verdicts,
    ask_about_bench,
    contests_of,
    longer,
    panel_of,
    ranked_items,
    stored_verdicts,
)
from evals.reward_model.benches.items import Bench
from evals.reward_model.benches.report import Measured, as_json, headline, leads_table, markdown, measured, table
from evals.reward_model.judging import distinct_responses
from evals.reward_model.options import Config, name_of
from evals.reward_model.plan import print_plan
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge
from judges.judging.pairwise import comparison_id
from judges.panels.panel import Member
from records import write_atomic
from records.inputs import stem_of
from records.keys import content_key

SHOWN_REASONS = 3


def measure_on_bench(config: Config, source: Path, bench: Bench, members: Sequence[Member]) -> None:
    """Ask the judges, measure them, write the report and print it."""
    bench = replace(bench, items=bench.items[: config.limit])
    if config.dry_run:
        _print_plan(config, bench, members)
        return
    judges = [ask_about_bench(config, bench, member) for member in members] + stored_verdicts(config, bench)
    judges = _with_distinct_names(judges)
    if config.panel:
        judges.append(panel_of(judges, config.panel_rule, config.quorum))
    _report(config, source, bench, measured(bench, [*judges, longer(bench)], config.resamples, config.seed))


def _with_distinct_names(judges: Sequence[Verdicts]) -> list[Verdicts]:
    names = Counter(judge.name for judge in judges)
    if len({(judge.fingerprint, judge.path) for judge in judges}) < len(judges):
        raise InputError("two of the judges are the same: nothing that changes a verdict differs between them")
    return [
        judge if names[judge.name] == 1 else replace(judge, name=f"{judge.name} ({judge.how}, {judge.fingerprint[:4]})")
        for judge in judges
    ]


def _report(config: Config, source: Path, bench: Bench, judges: Sequence[Measured]) -> None:
    """Write the report beside the judgments and print it. Raises JudgeError if a judge has too few verdicts."""
    asked_judges = [judge.verdicts for judge in judges if judge.verdicts.fingerprint]
    keys = [judge.fingerprint for judge in asked_judges]
    folder = config.out or Path(asked_judges[0].path).parent
    page = folder / f"{name_of(config)}-{keys[0] if len(keys) == 1 else content_key(*keys)}.md"
    data = json.dumps({"file": str(source), **as_json(bench, judges)}, ensure_ascii=False, indent=1)
    write_atomic(page.with_suffix(".json"), data)
    write_atomic(page, markdown(bench, judges, f"Judges on {bench.name}, {stem_of(source)}"))
    if config.json:
        tell_encoded(data)
    else:
        for judge in judges:
            tell(f"{judge.verdicts.name}, in percent:")
            print_table(table(bench, judge))
            tell()
        print_table(leads_table(judges))
        tell("", *headline(bench, judges), f"{page}, and every number in the .json beside it")
    for verdicts in asked_judges:
        for reason, n in verdicts.reasons.most_common(SHOWN_REASONS):
            say(f"{verdicts.name}: {n} without a verdict: {reason}")
    for verdicts in asked_judges:
        n_known = sum(not outcome.failed for outcome in verdicts.outcomes)
        require_coverage(
            n_known,
            len(verdicts.outcomes),
            config.judging.min_coverage,
            what="items have a verdict",
            reasons=verdicts.reasons,
        )


def _print_plan(config: Config, bench: Bench, members: Sequence[Member]) -> None:
    responses = distinct_responses(ranked_items(bench))

    def wanted(judge: Judge) -> list[str]:
        if judge.rubric.kind == "pair":
            return [comparison_id(judge, contest) for contest in contests_of(bench, judge.rubric.name)]
        return list(map(judge.judgment_id, responses))

    counts = {"benchmark": bench.name, "items": len(bench.items), "answers": len(responses)}
    summary = f"would measure on {bench.name}: {len(bench.items)} items with {len(responses)} answers of {config.file}"
    print_plan(config, summary, counts, members, wanted)
