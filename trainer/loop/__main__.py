"""Train a model on answers that it judges itself, iteration after iteration (Self-Rewarding, arXiv 2401.10020).

python -m trainer.loop --config recipes/demo.toml
python -m trainer.loop --config recipes/demo.toml --name longer --iterations 4 --candidates.prompts 12
python -m trainer.loop --config recipes/demo.toml --dry-run

iter0 is the base model and iter1 its fine-tuning on answers and judgments. Each later iteration asks the one before
it for several answers to new prompts, lets it judge them, and trains it on the best against the worst. Stopped
anywhere and started again, the same command goes on where it was.
"""

from typing import TYPE_CHECKING

from console.again import starts_again
from console.command import run as run_command
from records.runs import named_run
from trainer.loop.recipe import Config, check

if TYPE_CHECKING:
    from records.runs import Run
    from trainer.loop.measure import Measured
    from trainer.loop.splits import Split
    from trainer.run.ledger import LedgerLine


@starts_again
def main(config: Config) -> None:
    """Run all iterations, measure them on held-out prompts, and print the table."""
    check(config)
    run = named_run(config.name)
    from engines.models import resolve_model
    from engines.options import check_engine
    from records import Store
    from records.runs import link_base_model
    from trainer.loop.report import print_plan, print_report
    from trainer.loop.splits import split_prompts
    from trainer.run.eval_integrity import check_eval_hashes, write_eval_hashes
    from trainer.run.integrity import check_hashes, write_hashes
    from trainer.run.ledger import LedgerLine, claim_run, remove_run_leftovers, set_aside_run
    from trainer.seeds.reading import seed_prompts

    split = split_prompts(seed_prompts(config.seeds.prompts, strict=config.strict), config)
    if config.dry_run:
        check_engine(config.engine)
        print_plan(run, config)
        return
    known = run.model(0).exists() and not config.fresh  # an iterN of the newest run may mean another one by now
    base = run.model(0) if known else resolve_model(config.engine.model, config.engine.run)
    if config.fresh:
        set_aside_run(run)
    measured: dict[int, Measured] = {}
    with Store(run.ledger, LedgerLine) as ledger:  # its lock keeps a second loop out of the run
        remove_run_leftovers(run)
        claim_run(run, config, ledger.ids)
        check_eval_hashes(run)
        link_base_model(run, base)
        for number in range(1, config.iterations + 1):
            if f"iter{number}" in ledger:
                check_hashes(run, number)
            else:
                made = _made(run, number, split, config)
                write_hashes(run, number)
                ledger.append(made)
            _measure(run, number, split, config, measured)
            write_eval_hashes(run)
        print_report(run, config, {line.id: line for line in ledger.rows()}, list(measured.values()))


def _made(run: "Run", number: int, split: "Split", config: Config) -> "LedgerLine":
    """Make iteration `number` and return its line in the ledger."""
    from trainer.loop.prompts import prompts_of
    from trainer.loop.rounds import preference_round, supervised

    if number == 1:
        return supervised(run, config)
    return preference_round(run, number, prompts_of(run, number, split, config), split.stopping, config)


def _measure(run: "Run", number: int, split: "Split", config: Config, measured: "dict[int, Measured]") -> None:
    """Measure what can be after iteration `number`, the judge's being there; raises TrainingError at a gate."""
    from trainer.loop.measure import measure
    from trainer.monitors.gates import check_gates

    if number < config.eval.judge:
        return
    for done in range(number + 1):
        if done not in measured:
            measured[done] = measure(run, done, split.held_out, config)
            monitors = measured[done].monitors
            if done > 0 and monitors is not None:
                check_gates(monitors, measured[1].monitors if done > 1 else None, config.gates)


if __name__ == "__main__":
    run_command(Config, main, "python -m trainer.loop")
