"""The Open LLM Leaderboard's tasks of Intuitive Fine-Tuning's paper, and ARC-Gen, through lm-eval.

python -m evals.open_llm --model iter3                                         every task, data from the hub
python -m evals.open_llm --model runs/ift/model --data-dir DATA --tasks arc_challenge gsm8k
python -m evals.open_llm --model iter3 --data-dir DATA --limit 100 --no-chat

Tasks: arc_challenge (25 shots), arc_gen (25), gsm8k (5), mmlu (5), truthfulqa_mc2 (0), winogrande (5). DATA has the
hub's Parquet files, a folder a set, or other people's copies: evals/open_llm/tasks/*.yaml name them. Results go to
runs/<run>/evals/<model>/open_llm/: results.json, and what lm-eval says and each reply in its own formats. Stopped and
started again, it goes on.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from console.command import Flags, off, run
from console.errors import InputError, JudgeError
from console.output import tell, tell_encoded, tell_plan
from console.ranges import Count, CountOr0
from console.writing import OutFolder
from engines.chat.options import ChatTemplateKwargs
from records.runs import ITERATION, RUNS, find_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.table import Cell
    from evals.open_llm.harness import Score
    from evals.open_llm.task import Files, TaskFile

BENCHMARK = "open_llm"
PAPERS_MEAN = ("arc_challenge", "mmlu", "truthfulqa_mc2", "winogrande", "gsm8k")
"""What the paper's average is over (arXiv 2405.11870, table 2): not ARC-Gen."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure a model on tasks with known answers."""

    model: str = "smollm2"
    """The model: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    tasks: tuple[str, ...] = ()
    """The default is every task whose data are to be had."""
    data_dir: Path | None = None
    """A folder with the tasks' data; the default is the hub."""
    limit: Count | None = None
    """Only the first N questions of each task, and of each subject of MMLU."""
    shots: CountOr0 | None = None
    """Examples before each question, in the place of the task's own number; TruthfulQA's prompt stays as it is."""
    chat: Annotated[bool, off("Ask in plain text, without the model's chat template.")] = True
    """Ask with the model's chat template, the examples as turns, as in the paper; false asks in plain text."""
    batch_size: Count = 8
    """Sequences in memory at once."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'."""
    out: OutFolder | None = None
    """The folder of the results; the default is runs/<run>/evals/<model>/open_llm."""


def main(config: Config) -> None:
    """Read the data, ask, write the results, and print them."""
    if config.run is None and ITERATION.fullmatch(config.model):
        config = replace(config, run=str(find_run().folder))  # which is the newest is decided once
    from evals.open_llm.task import read_task, task_names

    tasks = [read_task(name) for name in dict.fromkeys(config.tasks or task_names())]
    files, missing = _files(config, tasks)
    if config.dry_run:
        _print_plan(config, tasks, files, missing)
        return
    scores = [*evaluate(config, [task for task in tasks if task.name not in missing], files), *missing.values()]
    _report(config, sorted(scores, key=lambda one: one.task))


def evaluate(config: Config, tasks: "Sequence[TaskFile]", files: "dict[str, Files]") -> "list[Score]":
    """Return the scores of the tasks, their results written one by one."""
    from console.progress import progress
    from engines.chat.template import with_kwargs
    from engines.models import model_digest, resolve_model
    from evals.open_llm.harness import Asking, Messages, ask, load_model
    from evals.open_llm.task import build
    from records.files import BadRows
    from records.store import set_aside

    folder = resolve_model(config.model, config.run)
    bad = BadRows(strict=config.strict)
    with Messages():
        built = {task.name: build(task, files.get(task.name), config.shots, bad) for task in tasks}
    out = config.out or _folder(config)
    if config.fresh:
        set_aside(out)
    asking = Asking(config.limit, config.chat, config.seed)
    model = load_model(folder, config.batch_size, config.chat_template_kwargs)
    cache = out / "replies" / with_kwargs(model_digest(folder), config.chat_template_kwargs)
    scores = []
    with progress(f"{config.model} on {len(tasks)} tasks", len(tasks)) as advance:
        for task in tasks:
            one, found = ask(task, built[task.name], model, asking, cache)
            _write(out, task.name, found)
            scores.append(one)
            advance(1)
    return scores


def _files(config: Config, tasks: "Sequence[TaskFile]") -> "tuple[dict[str, Files], dict[str, Score]]":
    """Return where each task's data lie, and a score without a number for each that has none.

    Raises InputError where a task that was asked for has none, or none of all.
    """
    from evals.open_llm.harness import Score
    from evals.open_llm.task import files_of

    files: dict[str, Files] = {}
    missing: dict[str, Score] = {}
    if config.data_dir is None:
        return files, missing
    if not config.data_dir.is_dir():
        raise InputError(f"--data-dir {config.data_dir}: no such folder")
    for task in tasks:
        try:
            files[task.name] = files_of(task, config.data_dir)
        except InputError as error:
            if config.tasks:
                raise
            missing[task.name] = Score(task.name, task.metric, reason=str(error))
    if not files:
        raise InputError(f"--data-dir {config.data_dir}: has the data of no task; see evals/open_llm/tasks/*.yaml")
    return files, missing


def _write(out: Path, name: str, found: dict[str, Any]) -> None:
    """Write what lm-eval says of a task, in its own formats."""
    import json

    from lm_eval.utils import handle_non_serializable

    from records import write_atomic

    def encoded(data: object, **settings: Any) -> str:
        return json.dumps(data, default=handle_non_serializable, ensure_ascii=False, **settings)

    rest = {key: value for key, value in found.items() if key != "samples"}
    write_atomic(out / f"results_{name}.json", encoded(rest, indent=1))
    for part, samples in found["samples"].items():
        write_atomic(out / f"samples_{part}.jsonl", "".join(encoded(one) + "\n" for one in samples))


def _report(config: Config, scores: "list[Score]") -> None:
    """Write the record and print the table; raises JudgeError where a task that was asked has no number."""
    import json
    from importlib.metadata import version

    from console.progress import say
    from console.table import print_table
    from evals.open_llm.harness import as_json
    from records import write_atomic

    mean = _mean(scores, config)
    record = {
        "model": config.model,
        "lm_eval": version("lm-eval"),
        **{name: getattr(config, name) for name in ("limit", "chat", "seed")},
        "tasks": [as_json(one) for one in scores],
        "mean": mean,
    }
    data = json.dumps(record, ensure_ascii=False, indent=1)
    path = (config.out or _folder(config)) / "results.json"
    write_atomic(path, data)
    if config.json:
        tell_encoded(data)
    else:
        print_table([_row(one) for one in scores])
        shown = "" if mean is None else f"; mean of the paper's five {100 * mean:.2f}"
        tell("", f"in percent{shown}; results: {path}")
    for one in scores:
        if one.no_answer:
            say(f"{one.task}: {len(one.no_answer)} replies have no answer to read and count as wrong: {_few(one)}")
        if one.n_cut:
            say(f"{one.task}: {one.n_cut} prompts are longer than the model's context and lost their beginning")
        if one.reason:
            say(f"{one.task}: no score: {one.reason}")
    if failed := [one.task for one in scores if one.value is None and one.n]:
        raise JudgeError(f"no score for {', '.join(failed)}")


def _mean(scores: "list[Score]", config: Config) -> float | None:
    """Return the mean that the paper reports, where all of its tasks have a number and were asked whole."""
    values = [one.value for one in scores if one.task in PAPERS_MEAN and one.value is not None]
    return sum(values) / len(values) if len(values) == len(PAPERS_MEAN) and config.limit is None else None


def _few(one: "Score") -> str:
    return ", ".join(one.no_answer[:3]) + (" ..." if len(one.no_answer) > 3 else "")


def _row(one: "Score") -> "dict[str, Cell]":
    from judges.intervals.proportion import percent_text

    return {
        "task": one.task,
        "metric": one.metric,
        "shots": one.shots if one.n else None,
        "score": None if one.value is None else 100 * one.value,
        "standard error": None if one.stderr is None else 100 * one.stderr,
        "with 95% interval": None if one.value is None else percent_text(one.value, one.stderr, one.n),
        "questions": one.n,
        "no answer": len(one.no_answer),
        "cut": one.n_cut,
    }


def _print_plan(config: Config, tasks: "Sequence[TaskFile]", files: "dict[str, Files]", missing: Any) -> None:
    from engines.models import resolve_model

    resolve_model(config.model, config.run, weights=False)
    lines, plans = [], []
    for task in tasks:
        if task.name in missing:
            lines.append(f"{task.name}: not asked: {missing[task.name].reason}")
            plans.append({"task": task.name, "missing": missing[task.name].reason})
            continue
        where = (
            "the hub" if config.data_dir is None else ", ".join(str(p) for f in files[task.name].values() for p in f)
        )
        shots = task.shots_of(config.shots)
        first = "" if config.limit is None else f", the first {config.limit} questions"
        lines.append(f"{task.name}: {task.metric}, {shots} shots, from {where}{first}")
        plans.append({"task": task.name, "metric": task.metric, "shots": shots, "from": where})
    out = config.out or _folder(config)
    lines.append(f"model {config.model}; results in {out}")
    plan = {"tasks": plans, "limit": config.limit, "model": config.model, "out": out}
    tell_plan(plan, *lines, as_json=config.json)


def _folder(config: Config) -> Path:
    from records.names import folder_name

    root = find_run(config.run).folder if ITERATION.fullmatch(config.model) else RUNS
    return root / "evals" / folder_name(config.model) / BENCHMARK


if __name__ == "__main__":
    run(Config, main, "python -m evals.open_llm")
