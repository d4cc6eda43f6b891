"""Compare intuitive fine-tuning with SFT, DPO and ORPO on the same answers of people, with a small model.

python -m experiments.ift_small trees.jsonl.gz --data-dir DATA
python -m experiments.ift_small trees.jsonl.gz --data-dir DATA --limit 40 --tasks arc_challenge winogrande
python -m experiments.ift_small trees.jsonl.gz --data-dir DATA --dry-run

The trees are split: most to learn from, the rest to measure on. For each prompt, the answer that people ranked highest
is the target of SFT and IFT and the chosen answer of DPO and ORPO. The lowest is the rejected one. All methods start
from the same model. Each model answers the questions of --tasks (--data-dir has their data, see evals.open_llm), and
--judge compares its answers to the held-out prompts with people's best ones. The steps are this project's own commands,
each in a process of its own, and finished steps are not repeated.
"""

from console.command import run
from experiments.ift_small.options import Config


def main(config: Config) -> None:
    """Run the missing steps and print each model's results and cost."""
    from experiments.ift_small.comparison import compare_methods

    compare_methods(config)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.ift_small")
