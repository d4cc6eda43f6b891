"""`judges.rubrics --from`: splits the labels, searches for a rubric on one part, and measures it on the other."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from console.errors import InputError, JudgeError
from console.output import counted, tell, tell_encoded, tell_plan
from console.progress import say
from console.table import print_table
from engines.options import check_engine, open_engine, pinned
from engines.protocol import Engine, Sampling
from judges.audit.asking import ask_about, check_texts, n_calls
from judges.calibrate.fit_report import Report, changes_table, report_of
from judges.calibrate.proposing.proposals import TEMPLATE
from judges.calibrate.proposing.search import Ask, Budget, Search, candidate, search
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge, open_judge
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledPair, LabelledSet, Verdict, pairs_within
from judges.labelled.readers.formats import read_labelled
from judges.panels.panel import member_named
from judges.rubrics.checked import checked_rubric
from judges.rubrics.options import Config
from judges.rubrics.rubric import Rubric, load_rubric
from judges.rubrics.writing import write_rubric
from records import Response, Store, write_atomic
from records.files import BadRows, check_limit
from records.inputs import path_digest
from records.keys import derived_seed

OUT = Path("runs/rubrics")
LEAST_PAIRS = 20
"""Fewer pairs in a part than this measure nothing."""


@dataclass(frozen=True)
class Parts:
    """The two parts of the labels, with no prompt in both."""

    labelled: LabelledSet
    development: Sequence[LabelledPair]
    held_out: Sequence[LabelledPair]


def propose_rubric(config: Config, source: Path) -> None:
    """Search for a rubric, measure it on held-out labels, and write it if it agrees better on the development part."""
    check_limit(config.limit)
    if config.name is not None:
        raise InputError("--from writes a rubric: name the one to begin with as --rubric")
    if config.judge.calibration is not None:
        raise InputError("--from changes the rubric, and a calibration is of one rubric: leave out --calibration")
    if config.held_out_share >= 1:
        raise InputError("--held-out-share must be below 1: a part of the labels is to learn from")
    config = replace(config, engine=pinned(config.engine))
    start = checked_rubric(config.judge)
    for rubric in (start, load_rubric(TEMPLATE)):
        if config.judge.read != "decisions" and not getattr(rubric.closing, config.judge.read):
            raise InputError(f"the rubric '{rubric.name}' says nothing on --read {config.judge.read}")
    labelled = read_labelled(source, None, Columns(), BadRows(strict=config.strict))
    check_texts(labelled)
    parts = _parts(labelled, config)
    out = config.out or OUT / f"{labelled.name}-{path_digest(source)}"
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    if config.dry_run:
        _print_plan(config, parts, judge, out)
        return
    proposer = _proposer(config, judge.engine)
    ask = _asker(judge, labelled, out, fresh=config.fresh)
    state = Search(ask, parts.development, candidate(ask, parts.development, start))
    began = state.best
    sampling = Sampling(config.proposal_tokens, config.proposal_temperature, 1.0)
    with Store(out / "proposals.jsonl", Response, fresh=config.fresh) as store:
        budget = Budget(config.rounds, config.candidates, config.cases)
        search(state, proposer, store, sampling, budget, config.seed)
    _finish(config, parts, state, began.rubric, out)


def _parts(labelled: LabelledSet, config: Config) -> Parts:
    """Return the labelled pairs in two parts by prompt. Raises InputError if one has too few."""
    pairs = labelled.pairs or tuple(within.pair for within in pairs_within(labelled.scores))
    pairs = tuple(pair for pair in pairs if pair.label != "tie")
    groups = sorted({pair.group for pair in pairs})
    Random(derived_seed(config.seed, "parts")).shuffle(groups)
    groups = groups[: config.limit]
    held_out = set(groups[: round(config.held_out_share * len(groups))])
    chosen = [pair for pair in pairs if pair.group in set(groups)]
    parts = Parts(
        labelled,
        [pair for pair in chosen if pair.group not in held_out],
        [pair for pair in chosen if pair.group in held_out],
    )
    if min(len(parts.development), len(parts.held_out)) < LEAST_PAIRS:
        raise InputError(
            f"{labelled.name}: {len(parts.development)} pairs with a better answer to learn from and "
            f"{len(parts.held_out)} held out are too few: each part needs at least {LEAST_PAIRS}"
        )
    return parts


def _asker(judge: Judge, labelled: LabelledSet, out: Path, *, fresh: bool) -> Ask:
    """Return a function that asks the judge by another rubric. Its rows lie in a folder of the judge's fingerprint."""
    asked_fresh: set[str] = set()

    def ask(rubric: Rubric, pairs: Sequence[LabelledPair]) -> list[Verdict]:
        by_rubric = replace(judge, rubric=rubric)
        part = replace(labelled, pairs=tuple(pairs), scores=())
        is_first = by_rubric.fingerprint not in asked_fresh
        asked_fresh.add(by_rubric.fingerprint)
        folder = out / by_rubric.fingerprint
        return ask_about(part, by_rubric, folder, fresh=fresh and is_first).verdicts

    return ask


def _proposer(config: Config, engine: Engine) -> Engine:
    if config.proposer is None:
        return engine
    options, _ = member_named(config.proposer, config.engine, config.judge)
    return open_engine(pinned(options))


def _finish(config: Config, parts: Parts, state: Search, start: Rubric, out: Path) -> None:
    """Measure the start and the best rubric on the held-out part, write the files, and print the result."""
    before = state.ask(start, parts.held_out)
    is_better = state.best.rubric is not start
    after = state.ask(state.best.rubric, parts.held_out) if is_better else before
    report = report_of(parts.held_out, before, after, (config.resamples, config.seed))
    path = out / "rubric.toml"
    if is_better:
        write_rubric(path, state.best.rubric)
    data = json.dumps(_as_json(state, parts, report, path if is_better else None), ensure_ascii=False, indent=1)
    write_atomic(out / "report.json", data)
    if config.json:
        tell_encoded(data)
    else:
        _print(state, parts, report, path if is_better else None)
    for why, n in Counter(state.unread).most_common(3):
        say(f"{n} proposals could not be read: {why}")
    if state.n_unanswered:
        say(f"{counted(state.n_unanswered, 'proposals')} asked for and not given; the same command asks again")
    if not state.agreements and (state.unread or state.n_unanswered):
        raise JudgeError("no proposal could be judged, so nothing was looked for; try another --proposer")
    n_known = sum(verdict.winner is not None for verdict in after)
    reasons = Counter(verdict.error or "unknown" for verdict in after if verdict.winner is None)
    least = config.judge.min_coverage
    require_coverage(n_known, len(after), least, what="held-out pairs have a verdict", reasons=reasons)


def _print(state: Search, parts: Parts, report: Report, path: Path | None) -> None:
    n = len(state.agreements)
    tell(
        f"{len(parts.development)} pairs to learn from, {len(parts.held_out)} held out; {n} proposals judged, "
        f"{len(state.unread)} not readable"
    )
    if path is None:
        tell("no proposal agrees better with the development part than the rubric at the start: nothing is written")
        return
    tell(f"on the development part: {state.best.agreement:.4f}; held out, before and after:")
    print_table(changes_table(report))
    tell()
    print_table(
        [{"criterion": c.name, "weight": f"{c.weight:.2f}", "what": c.description} for c in state.best.rubric.criteria]
    )
    tell("", f"{path}: give it to any command that judges, with --rubric")


def _as_json(state: Search, parts: Parts, report: Report, path: Path | None) -> dict[str, object]:
    return {
        "rubric": None if path is None else str(path),
        "pairs": {"development": len(parts.development), "held_out": len(parts.held_out)},
        "development": {"best": state.best.agreement, "proposals": state.agreements, "unread": state.unread},
        "held_out": [asdict(change) for change in report.changes],
    }


def _print_plan(config: Config, parts: Parts, judge: Judge, out: Path) -> None:
    check_engine(config.engine)
    template = replace(judge, rubric=load_rubric(TEMPLATE))
    sets = [replace(parts.labelled, pairs=tuple(part), scores=()) for part in (parts.development, parts.held_out)]
    n_proposals = config.rounds * config.candidates
    n_judge = sum(n_calls(part, judge) for part in sets) + n_calls(sets[1], template)
    n_judge += n_proposals * n_calls(sets[0], template)
    n = {"development": len(parts.development), "held_out": len(parts.held_out)}
    plan = {"labels": parts.labelled.name, **n, "proposals": n_proposals, "judge_calls": n_judge, "out": out}
    words = f"would learn from {n['development']} pairs of {parts.labelled.name} and hold out {n['held_out']}"
    tell_plan(
        plan, f"{words}: at most {n_proposals} proposals and {n_judge} calls of the judge; output in {out}",
        as_json=config.json,
    )  # fmt: skip
