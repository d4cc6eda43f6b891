"""Follow the signal through each round of a self-rewarding run: from judge to pairs to learning, against people.

python -m experiments.round_signal runs/self_rewarding_small --labelled runs/eft/held_out.jsonl
python -m experiments.round_signal runs/self_rewarding_small --labelled Natural.json --limit 20

--labelled has pairs of which people preferred one, and which the run was not trained on. An answer's gain is how much
more likely a round made it, in nats: DPO's implicit reward over beta (arXiv 2305.18290). If a round passes on what its
judge knows, the chosen answers of its pairs gain more than the rejected ones, and the answers that people prefer more
than the others.
"""

from console.command import run
from experiments.round_signal.options import Config


def main(config: Config) -> None:
    """Measure and print a row for each round of preference optimisation."""
    from experiments.round_signal.signal import print_rounds

    print_rounds(config)


if __name__ == "__main__":
    run(Config, main, "python -m experiments.round_signal")
