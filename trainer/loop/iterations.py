"""Runs the iterations of a loop: makes each, measures it, and prints the table at the end."""

from functools import partial
from itertools import takewhile
from pathlib import Path

from console.again import is_again
from console.progress import say, shown_by
from engines.models import resolve_model
from engines.options import check_engine
from records import Store
from records.runs import Run, link_base_model, named_run
from trainer.loop.held_out.figures import IterationFigures
from trainer.loop.held_out.files import metrics_path
from trainer.loop.held_out.measure import measure
from trainer.loop.judging.answers import check_reached
from trainer.loop.judging.judges import check_judges, is_parent, round_judges
from trainer.loop.prompts import prompts_of
from trainer.loop.recipe import Config, named_iteration, taken_number
from trainer.loop.report import print_plan, print_report
from trainer.loop.rounds import is_gathered, preference_round, supervised, supervised_chats
from trainer.loop.said import course_of, opening, result
from trainer.loop.splits import LoopSplit, split_prompts
from trainer.loop.whole import shown_in
from trainer.monitors.gates import check_gates
from trainer.prompts.seeds.reading import seed_prompts
from trainer.runs.eval_integrity import write_eval_hashes
from trainer.runs.integrity import check_hashes, check_unchanged, write_hashes
from trainer.runs.ledger import (
    LedgerLine,
    check_free,
    check_settings,
    claim_run,
    remove_run_leftovers,
    set_aside_run,
)
from trainer.runs.taking import origin_of, prompts_before, take_iterations
from trainer.training.lora.checks import check_planned


def run_loop(config: Config) -> None:
    """Run all iterations, measure them on held-out prompts, and print the table."""
    check_judges(
        config.judge,
        config.panel,
        tools=config.evidence.enabled,
        meta=config.round.meta,
        planned=config.dry_run,
        beside=config.round.learn == "grpo",
    )
    run = named_run(config.name)
    prompts = seed_prompts(config.seeds.prompts, strict=config.strict)
    # a command that starts itself again must not set aside what it has just made
    fresh = config.fresh and not is_again()
    source, taken = _source(run, config, fresh=fresh), taken_number(config)
    split = split_prompts(prompts, config, prompts_before(source or run, taken))
    known = run.model(0).exists() and not fresh  # "iterN of the newest run" may mean another model by now
    check_free(run)
    if config.dry_run:
        if not known:
            check_engine(config.engine)
            check_planned(config.engine.model, config.engine.run, config.lora)
        _check_planned(run, source, split, config, fresh=fresh)
        print_plan(run, partial(_base, run, source, known, config), prompts, config, fresh=fresh)
        return
    base = _base(run, source, known, config)
    if fresh:
        set_aside_run(run)
    measured: dict[int, IterationFigures] = {}
    with Store(run.ledger, LedgerLine) as ledger:  # its lock keeps a second loop out of the run
        remove_run_leftovers(run)
        claim_run(run, config, ledger.ids)
        check_unchanged(run)  # nobody may have edited what a finished iteration learnt from
        link_base_model(run, base)
        if source is not None:
            take_iterations(run, source, taken, ledger)
        if not all(is_gathered(run, number, config.round) for number in range(2, config.iterations + 1)):
            check_reached(run, config)
        # What iter1 has learnt from is not read again, because it may be gone.
        ift, eft = supervised_chats(config) if "iter1" not in ledger else ([], [])
        course = course_of(base, prompts, [*ift, *eft], config)
        if not config.json and len(ledger.ids) < config.iterations:
            for line in opening(run, config, len(ledger.ids), course.guess_s):
                say(line)
        with shown_by(shown_in(course)):
            for number in range(1, config.iterations + 1):
                if f"iter{number}" not in ledger:
                    made = supervised(run, ift, eft, config) if number == 1 else _round(run, number, split, config)
                    _say_other_judge(made, list(ledger.latest()), config)
                    write_hashes(run, number)  # before the line, so that a line in the ledger always has its hashes
                    ledger.append(made)
                _measure(run, number, split, config, measured)
                write_eval_hashes(run)
        print_report(run, config, {line.id: line for line in ledger.rows()}, list(measured.values()))


def _check_planned(run: Run, source: Run | None, split: LoopSplit, config: Config, *, fresh: bool) -> None:
    """Raise what the command would raise before it makes anything. Nothing is written, and no server is asked."""
    done = set() if fresh else run.done()
    for number in range(1, taken_number(config) + 1):
        if source is not None and number not in done:
            check_hashes(source, number)
    if fresh or not run.config.exists():
        return
    check_settings(run, config, len(done))
    check_unchanged(run)
    measured: dict[int, IterationFigures] = {}
    for number in takewhile(lambda number: metrics_path(run, number).exists(), range(config.iterations + 1)):
        _measure(run, number, split, config, measured)  # a gate may hold the run


def _source(run: Run, config: Config, *, fresh: bool) -> Run | None:
    """Return the run whose iterations this one still has to take, if there is one."""
    if config.from_iteration is None:
        return None
    return origin_of(run, *named_iteration(config.from_iteration), config.engine.model, fresh=fresh)


def _base(run: Run, source: Run | None, known: bool, config: Config) -> Path:
    """Return the model that the run begins with, which a run that goes on from another one shares with it."""
    if known:
        return run.model(0)
    return source.model(0) if source is not None else resolve_model(config.engine.model, config.engine.run)


def _round(run: Run, number: int, split: LoopSplit, config: Config) -> LedgerLine:
    return preference_round(run, number, prompts_of(run, number, split, config), split.stopping, config)


def _measure(run: Run, number: int, split: LoopSplit, config: Config, measured: dict[int, IterationFigures]) -> None:
    """Measure all iterations up to `number` once the judge's iteration exists. Raises TrainingError at a gate."""
    if number < config.eval.judge:  # the judge does not exist yet; its iteration then measures all before it
        return
    for done in range(number + 1):
        if done not in measured:
            known = metrics_path(run, done).exists()
            measured[done] = measure(run, done, split.held_out, config)
            if not known and not config.json:
                say(result(measured[done]))
            monitors = measured[done].monitors
            if done > 0 and monitors is not None:
                # ratios are to iter1, the first model that has learnt the format
                check_gates(monitors, measured[1].monitors if done > 1 else None, config.gates)


def _say_other_judge(line: LedgerLine, before: list[LedgerLine], config: Config) -> None:
    """Report a judge that has changed since the round before, if the recipe names one that stays the same.

    A server can begin to serve another model under the same name, and a model's folder can be replaced.
    """
    judges = round_judges(config.judge, config.panel)
    earlier = [other for other in before if other.judge]
    if not judges or not earlier or line.judge == earlier[-1].judge or any(is_parent(engine) for engine, _ in judges):
        return
    last = earlier[-1]
    say(f"{line.id} was judged by {line.judge}, {last.id} by {last.judge}: the judge's model or server has changed")
