"""Measure whether learning to judge (EFT) makes a small model a better judge (Self-Rewarding, arXiv 2401.10020).

python -m experiments.eft trees.jsonl.gz                                  3 seeds, about an hour on two cores
python -m experiments.eft trees.jsonl.gz --seeds 5 --learning-rate 5e-5 --epochs 2 --out runs/eft_5e-5
python -m experiments.eft trees.jsonl.gz --dry-run

Each seed splits the trees again and fine-tunes the model on the IFT part, and on IFT and EFT together. Then the
untrained model and both others judge the held-out part. The score is the only target (--targets ranks, --read
logprobs), because a model of this size writes no rationale that ends with a score. The second table uses the likeliest
score instead of the expected one. It ties and reaches the top of the scale as written scores do, and needs no model.
The steps are this project's own commands, each in a process of its own, and finished steps are not repeated.
"""

from console.command import run
from experiments.eft.options import Config


def main(config: Config) -> None:
    """Run the missing steps and print the measures, averaged over seeds with 95% intervals."""
    from experiments.eft.comparison import compare_judges

    compare_judges(config)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.eft")
