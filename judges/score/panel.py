"""Scores a file of responses with each judge of a panel, then combines their scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.errors import EngineError
from console.output import tell
from console.progress import say
from console.table import print_table
from judges.judging.cost import Budget, price_of
from judges.judging.judge import Judge, has_every_reply
from judges.judging.stream import Source, judge_stream
from judges.panels.panel import Member
from judges.panels.rows import Panel, check_panel, check_reached, open_members, panel_judgments, without_model
from judges.score.options import Config
from judges.score.output import default_out, keep_to_source, plan, print_plan, report
from records import Judgment, Store


def score_by_panel(config: Config, source: Source, members: Sequence[Member], budget: Budget) -> None:
    """Let each judge score all responses, then combine their scores and print the result."""
    is_batch = bool(config.batch or config.export_batch or config.import_batch)
    check_panel(config.out, batch=is_batch, tools=config.evidence.enabled)
    opened = open_members(members, config.panel.judge, config.seed)
    # taken out one by one, so that a judge's model is freed before the next one is loaded
    results = [_score_by_member(config, source, opened.popleft(), engine.model, budget) for engine, _ in members]
    panel = Panel([result.judge for result in results], [result.path for result in results], config.panel)
    out = config.out or default_out(source, panel.fingerprint)
    if config.dry_run:
        print_plan(config, [result.plan for result in results], out)
        return
    summary, agreement = panel_judgments(panel, source, out)
    if not config.json:
        print_table(agreement)
        tell()
    who = f"a panel of {len(results)}"
    extra = {"agreement": agreement, "judge": panel.fingerprint}
    report(summary, panel.judges[0], budget, out, config, who=who, extra=extra)
    check_reached(source.n - summary.n, source.n)


@dataclass(frozen=True)
class _Scored:
    """One judge of a panel and the file of its judgments."""

    judge: Judge
    """Without its model."""
    path: Path
    plan: dict[str, Any] = field(default_factory=dict)
    """The plan of a dry run."""


def _score_by_member(config: Config, source: Source, judge: Judge, model: str, budget: Budget) -> _Scored:
    """Score all responses with one judge of a panel, or only plan it."""
    budget.next_judge(price_of(model, config.cost.prices))
    path = default_out(source, judge.fingerprint)
    if config.out:
        path = config.out.with_name(f"{config.out.stem}-{judge.fingerprint}.jsonl")
    if config.dry_run:
        return _Scored(without_model(judge), path, plan(judge, source, path, config.cost.prices))
    with Store(path, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        keep_to_source(store, source, judge, config, in_panel=True)
        try:
            judge_stream(store, source, judge, budget, f"{judge.engine.name} judging")
        except EngineError as error:
            # no end of the run: the quorum says how many votes are enough
            say(f"{judge.engine.name} has no vote on responses that it has not judged: {error}")
    return _Scored(without_model(judge), path)
