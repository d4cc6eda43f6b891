"""The plan of measuring judges: the calls of each, and the rows of each that are there already. Nothing is asked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from console.output import tell_plan
from engines.options import check_engine, open_engine
from evals.comparing.there import comparisons_there
from evals.reward_model.implicit import gives_rewards, policy_of
from evals.reward_model.options import Config, name_of, results_of
from judges.judging.judge import Judge, has_every_reply, open_judge
from judges.panels.panel import Member
from records import Judgment, read_rows
from records.files import checked_file

Wanted = Callable[[Judge], Sequence[str]]
"""Returns the ids of the rows that a judge is to make."""


def print_plan(config: Config, summary: str, counts: dict[str, Any], members: Sequence[Member], wanted: Wanted) -> None:
    """Print `summary` and what each judge would be asked, as text or JSON."""
    lines, judges = [summary], list[dict[str, Any]]()
    for member in members:
        engine, judging = member
        out = results_of(config, policy_of(engine) or engine)
        plan: dict[str, Any] = {"model": engine.model, "calls": 0, "rows_there": 0, "out": str(out)}
        implicit = f"a policy's implicit reward, reference {config.dpo.reference}, no calls"
        how = implicit if policy_of(engine) else "a reward model, no calls"
        if not gives_rewards(engine):
            check_engine(engine)
            n_calls, n_there = _calls(config, member, wanted)
            there = f", {n_there} rows are there already" if n_there else ""
            how = f"{n_calls} calls, rubric {judging.rubric}, reading: {judging.read}{there}"
            plan |= {"calls": n_calls, "rows_there": n_there}
        judges.append(plan | {"how": how})
        lines.append(f"{engine.model}: {how}; results in {out}")
    for path in map(checked_file, config.judgments):
        judges.append({"judgments": str(path), "calls": 0})
        lines.append(f"{path}: no calls")
    tell_plan({**counts, "of": config.file, "judges": judges}, *lines, as_json=config.json)


def _calls(config: Config, member: Member, wanted: Wanted) -> tuple[int, int]:
    """Return the number of calls that a judge is still to be asked, and of its rows that are there."""
    engine, judging = member
    judge = open_judge(open_engine(engine), judging, config.seed)
    ids = set(wanted(judge))
    path = results_of(config, engine) / f"{name_of(config)}-{judge.fingerprint}.jsonl"
    n_there = len(ids & _there(path, judge, fresh=config.fresh))
    orders = 2 if judge.rubric.kind == "pair" else 1
    return orders * judge.n_calls * (len(ids) - n_there), n_there


def _there(path: Path, judge: Judge, *, fresh: bool) -> set[str]:
    if judge.rubric.kind == "pair":
        return comparisons_there(path, fresh=fresh)
    if fresh or not path.exists():
        return set()
    return {row.id for row in read_rows(path, Judgment) if has_every_reply(row)}
