"""Make examples of judging from answers that people ranked (EFT: Self-Rewarding, section 3.1).

python -m trainer.eft trees.jsonl.gz --split-only --out runs/eft             split into IFT, EFT and held-out
python -m trainer.eft trees.jsonl.gz --model runs/sft/model --out runs/eft   keep what agrees with people
python -m trainer.eft OpenAssistant/oasst1 --model runs/sft/model --samples 4 --out runs/eft
python -m trainer.eft ranked.jsonl --targets ranks --read logprobs --out runs/eft   scores from the ranks, no model

FILE has ranked answers: OASST trees or messages, rows with prompt, responses and ranks, HelpSteer, or UltraFeedback. An
interrupted command resumes when it is started again.
"""

from console.again import starts_again
from console.command import run
from trainer.eft.options import Config


@starts_again
def main(config: Config) -> None:
    """Split the answers, judge them, and write the examples."""
    from trainer.eft.make import make_examples

    make_examples(config)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.eft")
