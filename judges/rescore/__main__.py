"""Score stored replies again with another parser, rubric or aggregation, without a model.

python -m judges.rescore judgments.jsonl                          with the current parser
python -m judges.rescore judgments.jsonl --aggregate median
python -m judges.rescore judgments.jsonl --rubric my_scale.toml --out again.jsonl
python -m judges.rescore comparisons.jsonl --min-mass 0.3 --show 10

FILE has judgments or comparisons of this project. The new rows have new ids and another judge fingerprint, so that
none is taken for an old one. A call that failed stays without a verdict.
"""

from console.command import run
from judges.rescore.options import Config


def main(config: Config) -> None:
    """Read, rescore, write and print a table."""
    from judges.rescore.rescoring import rescore

    rescore(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.rescore")
