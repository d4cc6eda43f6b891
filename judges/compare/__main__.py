"""Compare two answers to each prompt in both orders and report win rates.

python -m judges.compare a.jsonl b.jsonl                        compare two models' answers to the same prompts
python -m judges.compare pairs.jsonl --engine openai --model gpt-5-mini --read text
python -m judges.compare a.jsonl b.jsonl --rubric pairwise_5    use five levels instead of three
python -m judges.compare judgments.jsonl --rubric meta_judge    compare a judge's replies with each other
python -m judges.compare a.jsonl b.jsonl --judge smollm2 --judge big@http://localhost:8000/v1               ask a panel
python -m judges.compare a.jsonl b.jsonl --engine openai --model gpt-4.1-mini --export-batch batch.jsonl

If the two orders give different winners, the pair is a tie and is marked as flipped. The same command resumes an
interrupted one.
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
