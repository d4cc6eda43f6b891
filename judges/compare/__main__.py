"""Compare two answers to each prompt in both orders and report win rates.

python -m judges.compare a.jsonl b.jsonl                        the answers of two models, joined by their prompts
python -m judges.compare pairs.jsonl --engine openai --model gpt-5-mini --read text
python -m judges.compare a.jsonl b.jsonl --rubric pairwise_5    five levels instead of three
python -m judges.compare judgments.jsonl --rubric meta_judge    the replies of a judge, compared with one another
python -m judges.compare a.jsonl b.jsonl --judge smollm2 --judge big@http://localhost:8000/v1               a panel
python -m judges.compare a.jsonl b.jsonl --engine openai --model gpt-4.1-mini --export-batch batch.jsonl

If the two orders name different winners, the pair is a tie and marked as flipped. An interrupted command resumes when
it is started again.
"""

from console.again import starts_again
from console.command import run
from judges.compare.options import Config


@starts_again
def main(config: Config) -> None:
    """Read, compare, store and print a table."""
    from judges.compare.comparing import compare

    compare(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.compare")
