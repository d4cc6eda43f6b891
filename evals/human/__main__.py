"""Compute the win rates that people's votes give, and how far people and the judge agree.

python -m evals.human                          the newest run's votes.jsonl, on its comparisons
python -m evals.human demo                     those of runs/demo
python -m evals.human --votes votes.jsonl --comparisons comparisons.jsonl
python -m evals.human demo --voter anna        the votes of one person

Votes are made in the terminal (python -m tui). For each two models and each judge that compared them, the tables have
the win rate by the votes, by the judge, and by the judge corrected for its errors; the agreement of people with each
other and with the judge; and how many more votes would decide it. No model is asked. Results go to
runs/<run>/evals/human/human.json.
"""

from console.command import run
from evals.human.options import Config


def main(config: Config) -> None:
    """Join votes and comparisons, and print the tables."""
    from evals.human.evaluation import evaluate

    evaluate(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.human")
