"""Run several evaluations of one model, one after the other, and print all of their numbers.

python -m evals.suite --model iter3 --config recipes/eval_paper.toml
python -m evals.suite --model iter3 --config recipes/eval_paper.toml --dry-run       the plan alone
python -m evals.suite --model iter3 --config recipes/eval_paper.toml --only alpaca safety

Each section of the file is an evaluation, with the settings of its command: [alpaca] is python -m evals.alpaca. The
sections are run in the order of the commands' names below, each in a process of its own, so that two models are never
in memory together. First each says what it would do. One that fails does not stop the others. The same command
resumes: what is done is not asked again.
"""

from console.command import run
from evals.suite.options import Config


def main(config: Config) -> None:
    """Plan, run and print."""
    from evals.suite.running import run_suite

    run_suite(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.suite")
