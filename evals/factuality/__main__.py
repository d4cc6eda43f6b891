"""Measure a model's factuality: which of the claims in its answers a corpus supports (FActScore and F1@K).

python -m evals.factuality iter0 iter3 --prompts prompts.jsonl --corpus notes/ --judge-model Qwen/Qwen3-8B
python -m evals.factuality answers.jsonl --corpus passages.jsonl --search hybrid --judge-model iter1
python -m evals.factuality answers.jsonl --corpus notes/ --claims sentences --verifier nli --nli-model FOLDER

A model answers the prompts, or a file has the answers. A judge lists the claims of each answer, the corpus is searched
for each claim, and the judge says whether a passage supports or refutes it. Results go to
runs/<run>/evals/<model>/factuality-<prompts>/: responses.jsonl, evidence.jsonl with every claim and its passage, and
factuality.json. The same command resumes an interrupted one.
"""

from console.again import starts_again
from console.command import run
from evals.factuality.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, check, and print a row for each model."""
    from evals.factuality.evaluation import evaluate

    evaluate(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.factuality")
