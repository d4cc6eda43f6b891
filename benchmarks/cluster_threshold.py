"""The threshold of the clusters by embedding, against people's marks.

python -m benchmarks.cluster_threshold NQ.json TQ.json      EVOUNA's files, from github.com/wangcunxiang/QA-Eval

EVOUNA (Wang et al. 2023, arXiv 2305.12421) has five models' answers to the same questions, each marked right or wrong
by a person. Two right answers mean the same, and a right and a wrong one do not. For two wrong ones it is unknown. It
takes some minutes on two cores, because the answers are embedded once and read at each threshold.
"""

import json
import os
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import tyro

from console.table import Cell, print_table
from judges.cluster.answer_sets import AnswerSet, Member
from judges.cluster.clustering import Paths, cluster_into
from judges.cluster.clusters import Clustering, Spg
from judges.cluster.equivalences.embedding import open_embedding
from records import read_rows

THRESHOLDS = (0.8, 0.85, 0.875, 0.9, 0.925, 0.95)
MODELS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    prompts: int = 800
    """Prompts of each file, drawn at random."""


def main(config: Config) -> None:
    print_table([cells for path in config.files for cells in thresholds(path, config.prompts)])


def thresholds(path: Path, n_prompts: int) -> list[dict[str, Cell]]:
    """Return a table row per threshold, from people's marks on the five models' answers."""
    marked = [record for record in json.loads(path.read_text()) if usable(record)]
    marked = random.Random(0).sample(marked, min(n_prompts, len(marked)))
    right = {
        (record["question"], record[f"answer_{name}"]): record[f"judge_{name}"] for record in marked for name in MODELS
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(*(Path(folder, f"{kind}.jsonl") for kind in ("clusters", "pairs", "relations")))
        for threshold in THRESHOLDS:
            same = open_embedding("minilm", threshold, batch_size=32)
            cluster_into(paths, map(set_of, marked), same, Spg(), len(marked), fresh=False)
            clusterings = list(read_rows(paths.clusters, Clustering))
            pairs = [json.loads(line) for line in paths.pairs.read_text().splitlines()]
            rows.append(against_marks(path.stem, threshold, clusterings, pairs, right))
    return rows


def usable(record: dict[str, Any]) -> bool:
    """Return whether all five answers have text and a mark."""
    texts = [record[f"answer_{name}"] for name in MODELS]
    marks = [record[f"judge_{name}"] for name in MODELS]
    return not record["improper"] and all(t and t.strip() for t in texts) and all(isinstance(m, bool) for m in marks)


def set_of(record: dict[str, Any]) -> AnswerSet:
    texts = [record[f"answer_{name}"] for name in MODELS]
    members = (Member(text, [f"{text}{n}" for n in range(texts.count(text))]) for text in sorted(set(texts)))
    return AnswerSet(record["question"], record["question"], tuple(members))


def against_marks(
    name: str, threshold: float, clusterings: Sequence[Clustering], pairs: list[Any], right: dict[Any, bool]
) -> dict[str, Cell]:
    """Return a table row: a right and a right answer should be together, a right and a wrong one apart."""
    counts = {(same, together): 0 for same in (True, False) for together in (True, False)}
    for clustering in clusterings:
        votes = [(m.response, n) for n, group in enumerate(clustering.clusters or []) for m in group for _ in m.ids]
        for place, (first, cluster) in enumerate(votes):
            for second, other in votes[:place]:
                marks = right[clustering.prompt, first], right[clustering.prompt, second]
                if any(marks):
                    counts[all(marks), cluster == other] += 1
    chosen, rejected = ([right[p["prompt_id"], p[s][0]["content"]] for p in pairs] for s in ("chosen", "rejected"))
    recall = counts[True, True] / (counts[True, True] + counts[True, False])
    specificity = counts[False, False] / (counts[False, False] + counts[False, True])
    return {
        "set": name,
        "threshold": f"{threshold:g}",
        "same kept together, %": 100 * recall,
        "different kept apart, %": 100 * specificity,
        "mean of the two": 50 * (recall + specificity),
        "pairs": len(pairs),
        "chosen right, %": 100 * float(np.mean(chosen)),
        "rejected right, %": 100 * float(np.mean(rejected)),
    }


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.cluster_threshold"))
