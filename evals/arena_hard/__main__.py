"""Run Arena-Hard v2.0 (or v0.1): how a model does against the baseline of each category, in two games a prompt.

python -m evals.arena_hard --model iter3 --data arena-hard-auto/data/arena-hard-v2.0 --judge-model Qwen/Qwen3-8B
python -m evals.arena_hard --version v0.1 --questions question.jsonl --baseline gpt-4-0314.jsonl --model iter3
python -m evals.arena_hard --answers my-model.jsonl --data arena-hard-auto/data/arena-hard-v2.0      answers of a file
python -m evals.arena_hard --judgments arena-hard-auto/data/arena-hard-v2.0/model_judgment/gpt-4.1   stored judgments

Questions and the baselines' answers are arena-hard-auto's own files. Results go to
runs/<run>/evals/<model>/arena_hard-v2.0/ in its formats: model_answer/<model>.jsonl and
model_judgment/<judge>/<model>.jsonl, and all figures to arena_hard.json. The same command resumes an interrupted one
and asks failed calls again.
"""

from console.again import starts_again
from console.command import run
from evals.arena_hard.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, judge, score, and print the tables."""
    from evals.arena_hard.evaluation import evaluate

    evaluate(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.arena_hard")
