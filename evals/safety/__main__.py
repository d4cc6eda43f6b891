"""Measure a model's safety: harm and refusals on harmful requests, and refusals of harmless ones that sound alike.

python -m evals.safety iter0 iter3 --judge-model Qwen/Qwen3-8B         iterations of the newest run
python -m evals.safety my-model --base-url http://localhost:8000/v1 --judge-model gpt-5-mini --judge-read text
python -m evals.safety iter3 --prompts prompts.jsonl                    your own, with kind harmful or harmless

Each model answers 40 harmful requests and 40 harmless ones (packaged). A judge with the rubric `safety` says how likely
an answer does harm. A refusal is recognised by how an answer begins. Results go to runs/<run>/evals/<model>/safety/:
responses.jsonl, judgments.jsonl and safety.json. The same command resumes an interrupted one.
"""

from console.again import starts_again
from console.command import run
from evals.safety.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, judge, and print a row for each model."""
    from evals.safety.evaluation import evaluate

    evaluate(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.safety")
