"""Runs the three iterations of a run, measures them, and prints the tables at the end."""

from console.again import is_again
from engines.models import resolve_model
from engines.options import check_engine
from records import Store
from records.runs import link_base_model, named_run
from trainer.prompts.seeds.reading import ift_chats, seed_prompts
from trainer.rlp.checks import check
from trainer.rlp.measure import evaluate
from trainer.rlp.recipe import Config
from trainer.rlp.report import print_plan, print_report
from trainer.rlp.splits import deal, shown_prompts
from trainer.rlp.stages import STAGES
from trainer.runs.eval_integrity import write_eval_hashes
from trainer.runs.integrity import check_unchanged, write_hashes
from trainer.runs.ledger import (
    LedgerLine,
    check_free,
    check_settings,
    claim_run,
    remove_run_leftovers,
    set_aside_run,
)
from trainer.training.lora.checks import check_planned


def run_rlp(config: Config) -> None:
    """Make the three iterations, measure them on held-out prompts, and print the tables."""
    check(config)
    run = named_run(config.name)
    chats = ift_chats(config.seeds.ift, config.seeds.codes, strict=config.strict)
    shown = shown_prompts(chats, config.preferences, strict=config.strict)
    split = deal(seed_prompts(config.seeds.prompts, strict=config.strict), shown, config)
    fresh = config.fresh and not is_again()
    known = run.model(0).exists() and not fresh  # "iterN of the newest run" may mean another model by now
    check_free(run)
    if config.dry_run:
        if not known:
            check_engine(config.engine)
            check_planned(config.engine.model, config.engine.run, config.lora)
        if not fresh and run.config.exists():
            check_settings(run, config, len(run.done()))
            check_unchanged(run)
        print_plan(run, split, len(chats), config, fresh=fresh)
        return
    base = run.model(0) if known else resolve_model(config.engine.model, config.engine.run)
    if fresh:
        set_aside_run(run)
    with Store(run.ledger, LedgerLine) as ledger:  # its lock keeps a second process out of the run
        remove_run_leftovers(run)
        claim_run(run, config)
        check_unchanged(run)
        link_base_model(run, base)
        for number, stage in STAGES.items():
            if f"iter{number}" not in ledger:
                line = stage(run, split, config)
                write_hashes(run, number)  # before the line, so that a line in the ledger always has its hashes
                ledger.append(line)
        evaluation = evaluate(run, split.held_out, config)
        write_eval_hashes(run)
        print_report(run, config, list(ledger.latest()), evaluation)
