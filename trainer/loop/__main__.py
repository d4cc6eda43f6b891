"""Train a model on answers that it judges itself, iteration after iteration (Self-Rewarding, arXiv 2401.10020).

python -m trainer.loop --config recipes/demo.toml
python -m trainer.loop --config recipes/demo.toml --name longer --iterations 4 --candidates.prompts 12
python -m trainer.loop --config recipes/demo.toml --dry-run

iter0 is the base model and iter1 its fine-tuning on answers and judgments. Each later iteration samples several answers
to new prompts from the model before it, lets that model judge them, and trains it on the best against the worst. An
interrupted run resumes when the same command is started again.
"""

from console.again import starts_again
from console.command import run
from trainer.loop.recipe import Config, check


@starts_again
def main(config: Config) -> None:
    """Run all iterations, measure them on held-out prompts, and print the table."""
    check(config)  # before the import, which takes seconds
    from trainer.loop.iterations import run_loop

    run_loop(config)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.loop")
