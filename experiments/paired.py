"""Compares two models on the same questions, from the replies that evals.open_llm stores."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judges.intervals.mean import Mean, mean_of

Answered = dict[tuple[str, int], float]
"""The result of each question, named by its file and its place in the task's data."""


def answered(folder: Path, score: Mapping[str, Any]) -> Answered:
    """Return a task's result question by question. `score` is its entry in the results of `folder`.

    A task of several parts, such as MMLU's subjects, has a file for each.
    """
    task = score["task"]
    metric, _, read_by = score["metric"].partition(",")
    results: Answered = {}
    # not one pattern with *, which would also match a task whose name only begins alike
    for path in sorted({*folder.glob(f"samples_{task}.jsonl"), *folder.glob(f"samples_{task}_*.jsonl")}):
        for line in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            if sample["filter"] == read_by:  # a file has a row for each filter that read a reply
                results[path.name, sample["doc_id"]] = float(sample[metric])
    return results


def difference(results: Answered, other: Answered) -> Mean | None:
    """Return the mean difference on the questions that both have, with its 95% interval, or None if they share none."""
    shared = sorted(results.keys() & other.keys())
    return mean_of([results[question] - other[question] for question in shared]) if shared else None
