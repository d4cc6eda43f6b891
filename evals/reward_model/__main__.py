"""Measure judges on answers that people ranked: the five measures of Self-Rewarding (section 3.1), with intervals.

python -m evals.reward_model runs/eft/held_out.jsonl --judge iter3
python -m evals.reward_model runs/eft/held_out.jsonl --judge iter1 --judge iter3 --run demo       paired differences
python -m evals.reward_model runs/eft/held_out.jsonl --judge big@http://localhost:8000/v1 --read text
python -m evals.reward_model runs/eft/held_out.jsonl --judge iter3 --judge runs/rm/model       and a reward model
python -m evals.reward_model trees.jsonl.gz --judgments judgments.jsonl       measures stored judgments, asks no judge

FILE has ranked answers, as for trainer.eft. Two baselines are measured too: the longer answer is better, and chance.
An interrupted command resumes when it is started again.
"""

from console.again import starts_again
from console.command import run
from evals.reward_model.options import Config


@starts_again
def main(config: Config) -> None:
    """Read, judge, measure, write the report, and print it."""
    from evals.reward_model.measuring import measure_judges

    measure_judges(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.reward_model")
