"""Score every response in a file with a judge.

python -m judges.score                                        the newest run's responses, or else a packaged example
python -m judges.score answers.jsonl --limit 40 --out judgments.jsonl
python -m judges.score answers.json.gz --model Qwen/Qwen3-8B --read text --samples 3
python -m judges.score answers.csv --model my-model --base-url http://localhost:8000/v1 --read structured
python -m judges.score answers.jsonl --engine openai --model gpt-5-mini --read text --max-cost 2.50
python -m judges.score answers.jsonl --judge smollm2 --judge iter3 --judge big@http://localhost:8000/v1     a panel
python -m judges.score answers.jsonl --engine openai --model gpt-4.1-mini --read text --export-batch batch.jsonl
python -m judges.score answers.jsonl --corpus notes/ --verify cap       claims are looked up before they are scored

FILE has responses: this project's rows, alpaca_eval outputs, TRL conversations or pairs, CSV, Parquet, .gz of these,
or a hub data set. An interrupted command resumes when it is started again.
"""

from console.again import starts_again
from console.command import run
from judges.score.options import Config


@starts_again
def main(config: Config) -> None:
    """Read, judge, store and print a table."""
    from judges.score.scoring import score

    score(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.score")
