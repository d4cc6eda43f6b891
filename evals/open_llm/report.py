"""The plan, the record and the table of evals.open_llm."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from console.errors import JudgeError
from console.output import tell, tell_encoded, tell_plan
from console.progress import say
from console.table import Cell, print_table
from engines.models import check_model
from engines.options import EngineOptions
from evals.folders import results_folder
from evals.open_llm.harness import Score, as_json
from evals.open_llm.options import BENCHMARK, Config
from evals.open_llm.task import Files, TaskFile
from judges.intervals.proportion import Z, percent_text
from records import write_atomic
from records.keys import content_key
from records.store import set_aside

PAPERS_MEAN = ("arc_challenge", "mmlu", "truthfulqa_mc2", "winogrande", "gsm8k")
"""The tasks of the paper's average (arXiv 2405.11870, table 2). ARC-Gen is not one of them."""

SETTINGS = ("limit", "chat", "seed")


def results_of(config: Config) -> Path:
    """Return the folder of the results."""
    return config.out or results_folder(EngineOptions(config.model, config.run), BENCHMARK)


def write_report(config: Config, scores: Sequence[Score]) -> None:
    """Write the record and print the table. Raises JudgeError if a task that was run has no number."""
    mean = papers_mean(scores, config)
    record = {
        "model": config.model,
        "lm_eval": version("lm-eval"),
        **{name: getattr(config, name) for name in SETTINGS},
        "tasks": [as_json(score) for score in scores],
        "mean": mean,
    }
    data = json.dumps(record, ensure_ascii=False, indent=1)
    path = results_of(config) / "results.json"
    _keep_others(path, record)
    write_atomic(path, data)
    if config.json:
        tell_encoded(data)
    else:
        print_table([_cells(score) for score in scores])
        shown = "" if mean is None else f"; mean of the paper's five {100 * mean:.2f}"
        if raw := [score.task for score in scores if not score.is_share]:
            shown += f"; not in percent: {', '.join(raw)}"
        tell("", f"in percent{shown}; results: {path}")
    for score in scores:
        _say_problems(score)
    if failed := [score.task for score in scores if score.value is None and score.n]:  # n is 0 for a task without data
        raise JudgeError(f"no score for {', '.join(failed)}")


def _keep_others(path: Path, record: Mapping[str, Any]) -> None:
    """Rename earlier results of other tasks or settings, which the report goes on to read. Torn ones are set aside."""
    try:
        before = key_of(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        set_aside(path)
        say(f"{path}: set aside, because it cannot be read")
        return
    now = key_of(record)
    if before != now:
        path.replace(other := path.with_name(f"results-{before}.json"))
        say(f"{path}: now {other.name}, because it is of other tasks or settings")
    path.with_name(f"results-{now}.json").unlink(missing_ok=True)  # the new file takes its place


def key_of(record: Mapping[str, Any]) -> str:
    """Return 8 hex digits for the tasks of a record and how they were asked."""
    tasks = [(task["task"], task["shots"]) for task in record["tasks"]]
    return content_key("open_llm", [record[name] for name in SETTINGS], tasks)[:8]


def _say_problems(score: Score) -> None:
    if score.no_answer:
        n = len(score.no_answer)
        say(f"{score.task}: {n} replies have no readable answer and count as wrong: {_few(score)}")
    if score.n_cut:
        say(f"{score.task}: {score.n_cut} prompts are longer than the model's context and lost their beginning")
    if score.reason:
        say(f"{score.task}: no score: {score.reason}")


def papers_mean(scores: Sequence[Score], config: Config) -> float | None:
    """Return the mean that the paper reports, or None unless all of its tasks have a number over all questions."""
    values = [score.value for score in scores if score.task in PAPERS_MEAN and score.value is not None]
    return sum(values) / len(values) if len(values) == len(PAPERS_MEAN) and config.limit is None else None


def _few(score: Score) -> str:
    return ", ".join(score.no_answer[:3]) + (" ..." if len(score.no_answer) > 3 else "")


def _cells(score: Score) -> dict[str, Cell]:
    factor = 100 if score.is_share else 1
    return {
        "task": score.task,
        "metric": score.metric,
        "shots": score.shots if score.n else None,
        "score": None if score.value is None else factor * score.value,
        "standard error": None if score.stderr is None else factor * score.stderr,
        "with 95% interval": _interval(score),
        "questions": score.n,
        "no answer": len(score.no_answer),
        "cut": score.n_cut,
    }


def _interval(score: Score) -> str | None:
    if score.value is None:
        return None
    if score.is_share:
        return percent_text(score.value, score.stderr, score.n)
    return f"{score.value:.2f}" if score.stderr is None else f"{score.value:.2f} ± {Z * score.stderr:.2f}"


def print_plan(
    config: Config,
    tasks: Sequence[TaskFile],
    stock: Sequence[str],
    files: Mapping[str, Files],
    missing: Mapping[str, Score],
) -> None:
    """Print the tasks with their data and the folder of the results. Raises InputError if there is no such model."""
    check_model(config.model, config.run)
    lines: list[str] = []
    plans: list[dict[str, object]] = []
    for task in tasks:
        if task.name in missing:
            lines.append(f"{task.name}: not asked: {missing[task.name].reason}")
            plans.append({"task": task.name, "missing": missing[task.name].reason})
            continue
        source = _source(files[task.name]) if config.data_dir else "the hub"
        shots = task.shots_of(config.shots)
        first = "" if config.limit is None else f", the first {config.limit} questions"
        lines.append(f"{task.name}: {task.metric}, {shots} shots, from {source}{first}")
        plans.append({"task": task.name, "metric": task.metric, "shots": shots, "from": source})
    for name in stock:
        lines.append(f"{name}: lm-eval's own, with its data")
        plans.append({"task": name, "from": "lm-eval"})
    out = results_of(config)
    lines.append(f"model {config.model}; results in {out}")
    plan = {"tasks": plans, "limit": config.limit, "model": config.model, "out": out}
    tell_plan(plan, *lines, as_json=config.json)


def _source(files: Files) -> str:
    return ", ".join(str(path) for split in files.values() for path in split)
