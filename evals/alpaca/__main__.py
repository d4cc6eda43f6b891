"""Run AlpacaEval 2 (or 1): how often a judge prefers a model's answers to a baseline's.

python -m evals.alpaca --model iter3                                     generate, judge, and write the leaderboard row
python -m evals.alpaca --model iter3 --judge-model gpt-5-mini --judge-base-url http://localhost:8000/v1
python -m evals.alpaca --model iter3 --prompts prompts.jsonl --reference baseline_outputs.json --limit 40
python -m evals.alpaca --model iter3 --annotator weighted_alpaca_eval_gpt4_turbo --judge-base-url https://api.openai.com/v1
python -m evals.alpaca --annotations annotations.json.gz --df-gamed df_gamed.csv     score stored annotations

Prompts and the baseline's answers come from the hub (tatsu-lab/alpaca_eval). If it cannot be reached, the run's
held-out prompts replace them, with iter0 as the baseline. Results go to runs/<run>/evals/<model>/alpaca_eval/ in
alpaca_eval's own formats: model_outputs.json, annotations.json, leaderboard.csv. The same command
resumes an interrupted one.
"""

from importlib import import_module

from console.again import starts_again
from console.command import run
from evals.alpaca.options import Config


@starts_again
def main(config: Config) -> None:
    """Answer, compare, score, and print the leaderboard row."""
    if config.annotations is None:
        # not for stored annotations, which need no engine
        import_module("evals.alpaca.evaluation").evaluate(config)
        return
    from evals.alpaca.stored import score_stored

    score_stored(config, config.annotations)


if __name__ == "__main__":
    run(Config, main, "python -m evals.alpaca")
