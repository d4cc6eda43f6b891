"""Measure judges on judge benchmarks, or on answers that people ranked.

python -m evals.reward_model reward-bench-2.jsonl --judge iter1 --judge iter3    by subset and as a whole
python -m evals.reward_model LLMBar/ --judge iter3 --rubric pairwise             a folder; the judge compares
python -m evals.reward_model judgebench.jsonl --judge a --judge b --panel        and both judges together
python -m evals.reward_model runs/eft/held_out.jsonl --judge iter1 --judge iter3 --run demo       ranked answers
python -m evals.reward_model runs/eft/held_out.jsonl --judge big@http://localhost:8000/v1 --read text
python -m evals.reward_model runs/eft/held_out.jsonl --judge iter3 --judge runs/rm/model       and a reward model
python -m evals.reward_model reward-bench-2.jsonl --judge dpo:iter3 --reference iter2         a policy's own reward
python -m evals.reward_model trees.jsonl.gz --judgments judgments.jsonl       measures stored judgments, asks no judge

FILE is RewardBench, RewardBench 2, JudgeBench, LLMBar, RM-Bench or PPE in its own form, recognised by its fields. Or it
has ranked answers, as for trainer.eft: then the five measures of Self-Rewarding (section 3.1) are printed. The rule
that the longer answer is better is measured too. An interrupted command resumes when it is started again.
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
