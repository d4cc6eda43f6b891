"""Measure a model on the Open LLM Leaderboard's tasks that Intuitive Fine-Tuning uses, on ARC-Gen and on IFEval.

python -m evals.open_llm --model iter3                                         every task, data from the hub
python -m evals.open_llm --model runs/ift/model --data-dir DATA --tasks arc_challenge gsm8k
python -m evals.open_llm --model iter3 --data-dir DATA --limit 100 --no-chat

Tasks: arc_challenge (25 shots), arc_gen (25), gsm8k (5), ifeval (0), mmlu (5), truthfulqa_mc2 (0), winogrande (5). DATA
has the hub's Parquet files, one folder per data set, or other people's copies. evals/open_llm/tasks/*.yaml name them.
Results go to runs/<run>/evals/<model>/open_llm/: results.json, and lm-eval's results and replies in its own formats. An
interrupted command resumes when it is started again.
"""

from console.command import run
from evals.open_llm.options import Config


def main(config: Config) -> None:
    """Read the data, ask the model, write the results, and print them."""
    from evals.open_llm.evaluation import evaluate_tasks

    evaluate_tasks(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.open_llm")
