"""Measure a model on the tasks of the Open LLM Leaderboard and of the papers, or on any task of lm-eval.

python -m evals.open_llm --model iter3                                         every task, data from the hub
python -m evals.open_llm --model runs/ift/model --data-dir DATA --tasks arc_challenge gsm8k
python -m evals.open_llm --model iter3 --data-dir DATA --limit 100 --no-chat
python -m evals.open_llm --model iter3 --tasks leaderboard lambada_openai my_task.yaml --engine vllm

Tasks: arc_challenge (25 shots), arc_easy (0), arc_gen (25), gsm8k (5), hellaswag (10), ifeval (0), mmlu (5), nq_open
(5), openbookqa (0), piqa (0), social_iqa (0), truthfulqa_mc2 (0), winogrande (5), and all of lm-eval by its names. DATA
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
