"""Train a model on answers that it judges itself, iteration after iteration (Self-Rewarding, arXiv 2401.10020).

python -m trainer.loop --config recipes/demo.toml
python -m trainer.loop --config recipes/demo.toml --name longer --iterations 4 --candidates.prompts 12
python -m trainer.loop --config recipes/demo.toml --dry-run

iter0 is the base model and iter1 its fine-tuning on answers and judgments. Each later iteration asks the one before
it for several answers to new prompts, lets it judge them, and trains it on the best against the worst. Stopped
anywhere and started again, the same command goes on where it was.
"""

from console.command import run as run_command
from trainer.recipe import Config, check


def main(config: Config) -> None:
    """Run all iterations, measure them on held-out prompts, and print the table."""
    check(config)
    from engines.models import resolve_model
    from records import Store
    from records.runs import RUNS, Run
    from records.store import set_aside
    from trainer.ledger import LedgerLine, claim_run
    from trainer.measure import measure
    from trainer.report import print_plan, print_report
    from trainer.rounds import link_base_model, preference_round, supervised
    from trainer.seeds import seed_prompts
    from trainer.splits import split_prompts

    split = split_prompts(seed_prompts(config.seeds.prompts, strict=config.strict), config)
    run = Run(RUNS / config.name)
    if config.dry_run:
        print_plan(run, config)
        return
    base = resolve_model(config.engine.model, config.engine.run)
    if config.fresh:
        set_aside(run.folder)
    claim_run(run, config)
    link_base_model(run, base)
    with Store(run.ledger, LedgerLine) as ledger:  # its lock keeps a second loop out of the run
        for number in range(1, config.iterations + 1):
            if f"iter{number}" not in ledger:
                made = (
                    supervised(run, config)
                    if number == 1
                    else preference_round(run, number, split.rounds[number], config)
                )
                ledger.append(made)
        lines = {line.id: line for line in ledger.rows()}
        print_report(run, config, lines, measure(run, split.held_out, config))


if __name__ == "__main__":
    run_command(Config, main, "python -m trainer.loop")
