"""Train a model in iterations on answers that it judges itself (Self-Rewarding, arXiv 2401.10020).

python -m trainer.loop --config recipes/demo.toml
python -m trainer.loop --config recipes/demo.toml --name longer --iterations 4 --candidates.prompts 12
python -m trainer.loop --config recipes/demo.toml --dry-run

iter0 is the base model. iter1 is fine-tuned on example answers and judgments. In each later iteration the model of the
iteration before writes several answers to new prompts and judges them, and DPO trains it on the best against the worst.
The same command resumes an interrupted run.
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
