"""Let a model answer prompts, several times each.

python -m engines.candidates prompts.jsonl --model Qwen/Qwen3-8B --n 4 --out answers.jsonl
python -m engines.candidates prompts.jsonl --model my-model --base-url http://localhost:8000/v1 --n 4
python -m engines.candidates prompts.jsonl --model iter2 --n 8 --workers 4 --gpus-per-worker 1
python -m engines.candidates prompts.jsonl --model Qwen/Qwen3-8B --shards s3://bucket/answers     on each machine

FILE has prompts in any format that judges.score reads. Each answer has a seed of its own, so that it does not depend on
the others. The answers are what judges.score, judges.best_of and judges.cluster read. The same command resumes an
interrupted one.
"""

from console.again import starts_again
from console.command import run
from engines.candidates.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, store and print a table."""
    from engines.candidates.answering import answer

    answer(config)


if __name__ == "__main__":
    run(Config, main, "python -m engines.candidates")
