"""Run the self-rewarding loop on prompts whose constraints a program can check, with and without the checks.

python -m experiments.instruction_following --seed 1                        all arms, 5 seeds
python -m experiments.instruction_following --seeds 1 --arms checked,own
python -m experiments.instruction_following --recipe recipes/instruction_following_small.toml
python -m experiments.instruction_following --ifeval input_data.jsonl --picture docs/instruction_following.png
python -m experiments.instruction_following --dry-run

Each arm is the recipe of trainer.loop with one thing changed. iter0 to iter3 are made with the loop's own stages. Every
model is measured on held-out prompts of the kinds of constraints that it was trained on, on prompts of other kinds, and
with --ifeval on IFEval's. How well it judges is measured on pairs of its own answers of which a program knows the
better one. Results are in OUT/results.jsonl, and an interrupted experiment resumes.

One seed of two arms had been run before these expectations were written, with other data and settings: pairs by the
checks alone went from 20 % to 49, 61 and 77 %, pairs by the own score with the wider half of the margins to 49, 57 and
19 %, with the judge right on 25 of 31, then on 6 of 14 pairs. Expectations, before anything else was measured:

- checked: every iteration is better than the one before, iter3 by 30 points and more above iter0.
- constraints_only: as checked, within 5 points. What the rubric adds is only an order among equals.
- own: iter2 is a little better than iter1. iter3 is worse than iter1 in at least three of five seeds, and the judge is
  then right on less than half of the known pairs.
- own_margin: better than own at iter2, because wide margins are more often right, and no better at iter3.
- own_text: no result with 135 million weights, because too few written verdicts can be read.
- random: no gain, 3 to 5 points lost by iter3.
- passing: better than iter1 in each round, by half of what checked gains. Nobody tells it what to avoid.
- no_eft: as checked. The checks decide the pairs, and the rubric's score hardly matters.
- frozen: no collapse, but no gain at iter3 either, because iter1 judges the later answers worse than its own.
- panel: between own and frozen.
- mixed_5, mixed_10, mixed_25: the more is checked the later the collapse. 25 % prevents it and stays below checked.
- replay: the judge is right more often at iter3 than at iter1, and there is no collapse. checked_replay: the same for
  the judge, and compliance as checked. This would be the circle that the paper hopes for, with a fixed point outside.
- Kinds that were never trained on, and IFEval: a gain of a third of that on the kinds seen, and none for own.
- Content: the additive score of checked falls by less than 0.2 of 5 points. Perplexity rises, distinct-2 falls.
- Monitors: a few labelled pairs see the collapse first, then the agreement with iter1. Inflation, the share of top
  scores and the length do not see it before iter3.
"""

from console.command import run
from experiments.instruction_following.options import Config


def main(config: Config) -> None:
    """Run the missing arms, and print the tables of all requested ones."""
    from experiments.instruction_following.run_arms import run_and_print

    run_and_print(config)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.instruction_following")
