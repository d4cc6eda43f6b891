"""Pick the best checkpoint of a training by comparing answers, until none improves.

python -m trainer.early_stop runs/dpo/checkpoints --prompts prompts.jsonl
python -m trainer.early_stop runs/demo --model iter1
python -m trainer.early_stop runs/dpo/checkpoints --engine openai --model gpt-5-mini --read text --patience 2

FOLDER has checkpoints step-N, or is a run: then its newest iteration with checkpoints is taken. Each checkpoint answers
the prompts and is compared with the best before it, in both orders (Self-Rewarding, section 3.1.4). Do not report the
model on the same prompts, because the choice inflates the result on them. --model is the judge. The same command
resumes an interrupted one.
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
