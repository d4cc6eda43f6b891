"""Tasks, groups and tags of lm-eval itself, by name or as a task file of the user's, as lm-eval alone runs them."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager
from lm_eval.tasks.manager import TaskDict

from console.errors import InputError
from console.progress import say
from console.visible import one_line
from evals.open_llm.harness import Score, no_answer_in, number_of

TASK_FILES = (".yaml", ".yml")
PREFERRED = ("acc_norm", "exact_match", "acc", "prompt_level_strict_acc", "f1")
"""The metric that is shown, the first of these that a task has. All are in the record."""
SHARES = ("acc", "exact_match", "f1", "em", "mc1", "mc2", "pass", "contains", "brier_score")
"""Beginnings of the names of metrics from 0 to 1. Others are shown as they are."""


@cache
def manager() -> TaskManager:
    """Return lm-eval's list of tasks, which takes some seconds to read."""
    say("reading lm-eval's list of tasks, which takes some seconds")
    return TaskManager()


def is_task_file(name: str) -> bool:
    """Return whether a name is a task file of lm-eval, and not a task's name."""
    return name.endswith(TASK_FILES) and Path(name).is_file()


def check_name(name: str, known: list[str]) -> None:
    """Raise InputError, which names the nearest tasks, if lm-eval has no such task, group or tag."""
    if is_task_file(name):
        return
    if name.endswith(TASK_FILES):
        raise InputError(f"--tasks {one_line(name)}: no such file")
    if name in manager().task_index:
        return
    here = [task for task in known if name in task]
    nearest = list(dict.fromkeys([*here, *get_close_matches(name, [*known, *manager().all_tasks], n=4)]))[:4]
    hint = f"the nearest are {', '.join(nearest)}" if nearest else f"this project's are {', '.join(known)}"
    raise InputError(f"no task '{one_line(name)}', here or in lm-eval; {hint}")


def load_stock(name: str, shots: int | None) -> TaskDict:
    """Return a task or all tasks of a group with their data, from where lm-eval takes them, in most cases the hub.

    Raises InputError if the data cannot be had, before any model is loaded.
    """
    try:
        loaded = manager().load([name])
    except Exception as error:  # datasets raises many types, each because the data are not available
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{name}: lm-eval cannot load it: {reason}") from None
    for task in loaded["tasks"].values():
        own = task.get_config("num_fewshot")
        # as lm-eval does: an explicit 0 means that the prompt has its own examples, and none means 0
        if own != 0:
            task.set_config(key="num_fewshot", value=(own or 0) if shots is None else shots)
    return loaded


def stock_scores(results: Mapping[str, Any], n_cut: int) -> list[Score]:
    """Return the score of each group and of each task outside of groups that has a number, from lm-eval's results."""
    groups = {name: numbers for name, numbers in results.get("groups", {}).items() if _metrics(numbers)}
    children = results.get("group_subtasks", {})
    inside = {leaf for name in groups for leaf in _leaves(name, children)}
    alone = {name: numbers for name, numbers in results["results"].items() if name in results["samples"]}
    rows = groups | {name: numbers for name, numbers in alone.items() if name not in inside}
    return [_score(name, numbers, _leaves(name, children), results, n_cut) for name, numbers in rows.items()]


def _score(name: str, numbers: Mapping[str, Any], leaves: list[str], results: Mapping[str, Any], n_cut: int) -> Score:
    metrics = _metrics(numbers)
    known = [key for key in metrics if "_stderr," not in key]
    by_name = {key.partition(",")[0]: key for key in reversed(known)}
    shown = next((by_name[metric] for metric in PREFERRED if metric in by_name), known[0] if known else "")
    metric, _, filter_name = shown.partition(",")
    samples = {leaf: results["samples"][leaf] for leaf in leaves}
    value = metrics.get(shown)
    return Score(
        task=name,
        metric=shown,
        value=value,
        stderr=metrics.get(f"{metric}_stderr,{filter_name}"),
        n=sum(results["n-samples"][leaf]["effective"] for leaf in leaves),
        shots=max((results["n-shot"].get(leaf, 0) for leaf in leaves), default=0),
        no_answer=no_answer_in(samples, filter_name),
        n_cut=n_cut,
        reason=None if value is not None else f"{shown or 'the task'} has no number",
        metrics=metrics,
        is_share=metric.startswith(SHARES) or metric.endswith("_acc"),
    )


def _leaves(name: str, children: Mapping[str, list[str]]) -> list[str]:
    """Return the tasks of a group, or the task itself."""
    below = children.get(name) or []
    return [leaf for child in below for leaf in _leaves(child, children)] if below else [name]


def _metrics(numbers: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the numbers by `metric,filter`, without aliases and names."""
    return {key: number_of(value) for key, value in numbers.items() if "," in key}
