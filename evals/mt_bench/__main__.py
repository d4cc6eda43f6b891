"""Run MT-Bench (two turns) or Vicuna-80 (one): a score from 1 to 10 for each answer, or two games against a baseline.

python -m evals.mt_bench --model iter3 --data FastChat/fastchat/llm_judge/data/mt_bench --judge-model Qwen/Qwen3-8B
python -m evals.mt_bench --model iter3 --data .../vicuna_bench --bench vicuna_bench
python -m evals.mt_bench --mode pair --baseline gpt-3.5-turbo.jsonl --model iter3 --data .../mt_bench
python -m evals.mt_bench --answers my-model.jsonl --questions question.jsonl --references gpt-4.jsonl
python -m evals.mt_bench --judgments model_judgment/gpt-4_single.jsonl            stored judgments, with no model

Questions, reference answers and answers are FastChat's own files. Maths, coding and reasoning are judged beside a
reference answer. Results go to runs/<run>/evals/<model>/mt_bench/ in FastChat's formats: model_answer/<model>.jsonl
and model_judgment/<judge>_single.jsonl or _pair.jsonl, and all figures to mt_bench.json. The same command resumes an
interrupted one and asks failed calls again.
"""

from console.again import starts_again
from console.command import run
from evals.mt_bench.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, judge, score, and print the tables."""
    from evals.mt_bench.evaluation import evaluate

    evaluate(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.mt_bench")
