"""Score each answer in a file with a judge.

python -m judges.score                        score the newest run's answers, or a packaged example if there is no run
python -m judges.score answers.jsonl --limit 40 --out judgments.jsonl
python -m judges.score answers.json.gz --model Qwen/Qwen3-8B --read text --samples 3
python -m judges.score answers.csv --model my-model --base-url http://localhost:8000/v1 --read structured
python -m judges.score answers.jsonl --engine openai --model gpt-5-mini --read text --max-cost 2.50
python -m judges.score answers.jsonl --judge smollm2 --judge iter3 --judge big@http://localhost:8000/v1     ask a panel
python -m judges.score answers.jsonl --engine openai --model gpt-4.1-mini --read text --export-batch batch.jsonl
python -m judges.score answers.jsonl --corpus notes/ --verify cap       look up the claims before scoring
python -m judges.score answers.jsonl --tool constraints --verify strict      check the form alone

FILE has a prompt and a response in each row, as JSONL, JSON, CSV or Parquet, or is a hub data set. Conversations, pairs
and AlpacaEval outputs are read too: docs/judge.md lists the formats. The same command resumes an interrupted one.
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
