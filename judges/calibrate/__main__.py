"""Measure a judge against human labels: agreement, biases and baselines.

python -m judges.calibrate Natural.json --rubric pairwise                       compare answers in both orders (LLMBar)
python -m judges.calibrate Natural.json --limit 40                              score each answer, compare the scores
python -m judges.calibrate testset-v1.json --verdicts gpt-3.5-turbo-testset-v1.json   use stored verdicts (PandaLM)
python -m judges.calibrate log.csv --verdict-column gpt4 --human-column me      use a table with verdicts and labels
python -m judges.calibrate Natural.json --verdicts comparisons.jsonl --test runs/demo/eval/comparisons.jsonl
python -m judges.calibrate labels.json --rubric criteria --fit      learn weights from the labels, for --calibration

FILE is a labelled set: LLMBar, PandaLM, JudgeBench, FairEval, Auto-J, RM-Bench, RewardBench, OASST trees, MT-Bench,
Prometheus, HHH, or any table with a label. The same command resumes an interrupted one.
"""

from console.again import starts_again
from console.command import run
from judges.calibrate.options import Config


@starts_again
def main(config: Config) -> None:
    """Read the labels, get the verdicts, and write and print the audit."""
    from judges.calibrate.labels import audit_labels

    audit_labels(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.calibrate")
