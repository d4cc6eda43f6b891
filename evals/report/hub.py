"""The hub's own format of results, `.eval_results/*.yaml`: one file for each data set, to upload beside the model."""

from collections.abc import Sequence

import yaml  # type: ignore[import-untyped]
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from evals.results.numbers import Number
from evals.results.official import ALPACA_EVAL_2

DATA_SETS = {
    "alpaca_eval": "tatsu-lab/alpaca_eval",
    "arc_challenge": "allenai/ai2_arc",
    "arc_easy": "allenai/ai2_arc",
    "gsm8k": "openai/gsm8k",
    "hellaswag": "Rowan/hellaswag",
    "ifeval": "google/IFEval",
    "mmlu": "cais/mmlu",
    "openbookqa": "allenai/openbookqa",
    "truthfulqa_mc2": "truthfulqa/truthful_qa",
    "winogrande": "allenai/winogrande",
}
"""The hub's data set of each benchmark. Others are left out: the hub shows results of data sets alone."""
JUDGES = {"alpaca_eval": ALPACA_EVAL_2}
"""The judge of benchmarks that have one. Numbers by another judge are left out: they would be taken for this one's."""


def eval_results(found: Sequence[Number], model: str) -> dict[str, str]:
    """Return the files of one model's results by their names, as YAML. Values are in percent."""
    files: dict[str, list[EvalResultEntry]] = {}
    for one in found:
        task = one.benchmark.split(": ")[-1]
        if one.model == model and task in DATA_SETS and one.judge == JUDGES.get(task, one.judge):
            n = "" if one.n is None else f", {one.n} questions"
            entry = EvalResultEntry(DATA_SETS[task], task, round(one.value, 2), notes=f"{one.measure}, in percent{n}")
            files.setdefault(f"{task}.yaml", []).append(entry)
    return {
        name: yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False) for name, entries in files.items()
    }
