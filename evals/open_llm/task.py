"""Tasks of lm-eval, changed by a YAML file of tasks/, with data from the hub or from files.

The entries of a file:

- `stock`: a task of lm-eval, or a pattern of several that make one
- `metric`: which of its numbers is shown
- `shots`: the number of examples
- `own_examples`: whether the prompt has its own, so that --shots does not count
- `local`: the splits that can be read from files. Each is a list of patterns, of which the first with a file counts.
  `without` replaces entries of the stock for each split that has no file.
- `config`: entries that always replace the stock's. If `process_results` is `constraints`, the judge's tool checks.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lm_eval.tasks
import yaml  # type: ignore[import-untyped]
from datasets import Dataset, DatasetDict
from lm_eval.api.group import Group
from lm_eval.api.task import ConfigurableTask
from lm_eval.config.group import AggMetricConfig
from lm_eval.tasks._yaml_loader import load_yaml

from console.errors import InputError
from evals.open_llm import ifeval
from evals.open_llm.local import first_match, read_split
from records.files import BadRows, Record

FOLDER = Path(__file__).parent / "tasks"
Files = dict[str, list[Path]]
"""The files of each split."""


@dataclass(frozen=True)
class TaskFile:
    """The content of one file of tasks/."""

    name: str
    stock: str
    metric: str
    """The metric and the name of the filter that reads the reply, as lm-eval writes them."""
    shots: int
    local: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    own_examples: bool = False
    """Whether --shots does not count, because the prompt has its own examples."""

    def shots_of(self, given: int | None) -> int:
        """Return the number of examples for the value `given` of --shots."""
        return self.shots if given is None or self.own_examples else given


def task_names() -> list[str]:
    """Return the names of all tasks."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_task(name: str) -> TaskFile:
    """Return the task called `name`. Raises InputError, listing the known tasks, if there is none."""
    path = FOLDER / f"{name}.yaml"
    if name not in task_names():
        raise InputError(f"no task '{name}'; known: {', '.join(task_names())}")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    return TaskFile(name=name, **table)


def files_of(task: TaskFile, folder: Path) -> Files:
    """Return the files in `folder` of each of the task's splits. Raises InputError if a required split has none."""
    patterns = {split: some for split, some in task.local.items() if split not in ("rows", "without")}
    files = {split: first_match(some, folder) for split, some in patterns.items()}
    for split, some in files.items():
        if not some and split not in task.local.get("without", {}):
            raise InputError(f"{task.name}: {folder} has no {split} data: none of {', '.join(patterns[split])}")
    return {split: some for split, some in files.items() if some}


def build(task: TaskFile, files: Files | None, shots: int | None, bad: BadRows) -> ConfigurableTask | Group:
    """Return the task for lm-eval with its data read from `files`, or from the hub if `files` is None.

    Raises InputError if the data are not available, before any model is loaded.
    """
    if files is None:
        built = _from_hub(task, shots)
    else:
        rows = {split: read_split(some, task.local["rows"], bad) for split, some in files.items()}
        # one for each subject of MMLU
        built = [_build(task, _local(config, task, rows), shots) for config in _stocks(task)]
    return built[0] if len(built) == 1 else _group(task, built)


def _stocks(task: TaskFile) -> list[dict[str, Any]]:
    """Return the stock's entries, changed by the file's: one dict per part of the stock."""
    paths = sorted(Path(lm_eval.tasks.__file__).parent.glob(task.stock))
    config = task.config
    if config.get("process_results") == "constraints":
        ifeval.prepare()
        config = config | {"process_results": ifeval.results}
    return [load_yaml(path) | config for path in paths]


def _from_hub(task: TaskFile, shots: int | None) -> list[ConfigurableTask]:
    stocks = _stocks(task)
    try:
        return [_build(task, config, shots) for config in stocks]
    except Exception as error:  # datasets raises many types, each because the data are not available
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{task.name}: no data from the hub: {reason}; give --data-dir") from None


def _local(config: dict[str, Any], task: TaskFile, rows: dict[str, list[Record]]) -> dict[str, Any]:
    """Return the entries with `rows` instead of the hub's set. A subject gets only its own rows."""
    subject = config.get("dataset_name")
    by_split = {
        split: [record for record in some if record.get("subject", subject) == subject] for split, some in rows.items()
    }
    data = DatasetDict({split: Dataset.from_list(some) for split, some in by_split.items()})

    def given(**_: Any) -> Any:
        return data

    config = config | {"custom_dataset": given}
    for split, entries in task.local.get("without", {}).items():
        # |= on the copy made above, not on the stock's own entries
        config |= {} if split in rows else entries
    return config


def _build(task: TaskFile, config: dict[str, Any], shots: int | None) -> ConfigurableTask:
    # they put the task into lm-eval's own groups, which are not wanted here
    config = {name: value for name, value in config.items() if name not in ("tag", "group")}
    return ConfigurableTask(config=config | {"num_fewshot": task.shots_of(shots)})


def _group(task: TaskFile, parts: list[ConfigurableTask]) -> Group:
    """Return the parts as one task, whose number is the mean over all of their questions."""
    metric, _, filter_name = task.metric.partition(",")
    # by size: over questions and not over subjects, as in lm-eval's own group
    mean = AggMetricConfig(metric=metric, weight_by_size=True, filter_list=[filter_name])
    group = Group(task.name, aggregate_metric_list=[mean])
    for part in parts:
        group.add(part)
    return group
