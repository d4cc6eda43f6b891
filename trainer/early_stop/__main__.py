"""Pick the best checkpoint of a training by pairwise comparison of answers, stopping when none improves any more.

python -m trainer.early_stop runs/dpo/checkpoints --prompts prompts.jsonl
python -m trainer.early_stop runs/demo --model iter1
python -m trainer.early_stop runs/dpo/checkpoints --engine openai --model gpt-5-mini --read text --patience 2

RUN_OR_FOLDER is a folder of checkpoints step-N, or a run, whose newest iteration with checkpoints is taken. Each
checkpoint answers the prompts and is compared with the best before it, in both orders (Self-Rewarding, section 3.1.4).
Use other prompts than those that the model is reported on, because the pick would inflate the result on them. --model
is the judge. An interrupted command resumes when it is started again.
"""

from console.again import starts_again
from console.command import run
from trainer.early_stop.options import Config


@starts_again
def main(config: Config) -> None:
    """Find the checkpoints, compare them and print the rounds and the pick."""
    from trainer.early_stop.command import pick_and_print

    pick_and_print(config)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.early_stop")
