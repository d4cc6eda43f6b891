"""Compare two or more models: how often a judge prefers one model's answers to another's, in both orders.

python -m evals.head_to_head iter3 iter0                  iterations of the newest run, on its held-out prompts
python -m evals.head_to_head iter0 iter1 iter2 iter3 --judge-model Qwen/Qwen3-8B --picture matrix.png    round robin
python -m evals.head_to_head --run demo --judge-model Qwen/Qwen3-8B          all iterations of a run
python -m evals.head_to_head a.jsonl b.jsonl --judge-model gpt-5-mini --judge-base-url http://localhost:8000/v1
python -m evals.head_to_head --model iter3 --baseline iter2 --prompts prompts.jsonl --limit 40

A model is a name as for --model, NAME@http://host/v1 for one on a server, or a file of answers. Files bring their own
prompts, which are matched by text. With three or more models there are ratings too. Results go to
runs/<run>/evals/head_to_head/: <model>/responses.jsonl, comparisons.jsonl and head_to_head.json. The same command
resumes an interrupted one.
"""

from console.again import starts_again
from console.command import run
from evals.head_to_head.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, compare, and print the win rates."""
    from evals.head_to_head.evaluation import evaluate

    evaluate(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.head_to_head")
