"""Run the self-rewarding loop in a world where a program knows how good an answer is.

python -m experiments.known_truth                                           all arms, 5 seeds
python -m experiments.known_truth --seeds 1 --arms full,truth,random
python -m experiments.known_truth --arms full,no_eft --picture docs/known_truth.png
python -m experiments.known_truth --dry-run

Each seed has its own base model of a million weights, trained from scratch, and its own instructions. M1 to M3 are made
with the loop's own stages. The measures are the true quality of the answers of M0 to M3 on held-out instructions, how
often each model correctly judges which of two answers is better, and how many training pairs are in the true order.
Results are in OUT/results.jsonl, and an interrupted experiment resumes.

Expectations written down before anything was measured:

- full: the quality rises from M1 to M2 and to M3, the second time by less.
- The judge is right on about three of four pairs after EFT and stays there. It is right less often on its own answers
  than on graded ones, because they differ less.
- no_eft: no gain. Scores that were never learnt are noise, and the arm ends near `random`.
- Reading: text_1 below text_3 below full, because written scores tie and a sample adds noise.
- positive: a gain, but a smaller one than from pairs.
- Candidates: n_8 above full above n_2. Margins: fewer pairs, more of them right, with little effect on the whole.
  rho: none, because the instruction fixes the length of an answer in this world.
- truth: well above full. The judge is worth how far full gets from random towards truth.
"""

from console.command import run
from experiments.known_truth.options import Config


def main(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    from experiments.known_truth.run_arms import run_and_print

    run_and_print(config)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.known_truth")
