"""Make preference pairs from judged answers: the best against the worst answer to each prompt.

python -m trainer.pairs judgments.jsonl --out pairs.jsonl
python -m trainer.pairs judgments.jsonl --rho 0.1 --max-score-share 0.4 --min-margin 0.5 --out pairs.jsonl
python -m trainer.pairs judgments.jsonl --second-judge other.jsonl --votes votes.jsonl --on-vote overrule
python -m trainer.pairs iter2/judgments.jsonl --rejected-from iter0/judgments.jsonl      the rejected of another model
python -m trainer.pairs judgments.jsonl --positive-only --out chats.jsonl                chats for trainer.sft, no pairs

FILE has judgments, as judges.score writes them. Ties and answers without a score give no pair. The table counts the
outcome of every prompt.
"""

from console.command import run
from trainer.pairs.flags import Config


def main(config: Config) -> None:
    """Read, pair, write and print the outcome of the prompts."""
    from trainer.pairs.pair_file import make_pair_file

    make_pair_file(config)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.pairs")
