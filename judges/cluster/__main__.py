"""Cluster the answers to each prompt by meaning, and make a preference pair if enough of them agree (RLP-SPG).

python -m judges.cluster responses.jsonl                      clusters by embeddings, the most central answer is chosen
python -m judges.cluster judgments.jsonl --gamma 0.6          the answer with the highest score is chosen
python -m judges.cluster answers.jsonl --equivalence nli --rewards judgments.jsonl
python -m judges.cluster answers.jsonl --equivalence judge --model my-model --base-url http://localhost:8000/v1
python -m judges.cluster gsm8k.jsonl --equivalence final_answer

FILE has several answers to each prompt, in any order, in any format that judges.score reads. The confidence of a prompt
is the share of its largest cluster. If it is --gamma or more, the pair is an answer from that cluster against any
other answer, drawn at random. An interrupted command resumes when it is started again.
"""

from console.again import starts_again
from console.command import run
from judges.cluster.options import Config


@starts_again
def main(config: Config) -> None:
    """Read, relate, cluster, store and print a table."""
    from judges.cluster.clustering import cluster_file

    cluster_file(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.cluster")
