"""Asks a model every task and writes the results."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lm_eval.utils import handle_non_serializable

from console.errors import InputError
from console.output import counted
from console.progress import progress
from engines.chat.template import with_kwargs
from engines.local.vllm.installed import check_installed, why_not_alone
from engines.models import model_digest, resolve_model
from evals.open_llm.harness import Asking, LMEngine, Messages, Score, ask, load_model, run
from evals.open_llm.options import Config
from evals.open_llm.report import print_plan, results_of, write_report
from evals.open_llm.stock import check_name, is_task_file, load_stock, stock_scores
from evals.open_llm.task import Files, TaskFile, build, files_of, read_task, task_names
from records import write_atomic
from records.files import BadRows
from records.keys import content_key
from records.names import folder_name
from records.runs import ITERATION, find_run, named_in_run
from records.store import set_aside


def evaluate_tasks(config: Config) -> None:
    """Read the data, ask the model, write the results, and print them."""
    model, run = named_in_run(config.model, config.run)
    config = replace(config, model=model, run=run)
    if config.run is None and ITERATION.fullmatch(config.model):
        config = replace(config, run=str(find_run().folder))  # another run may become the newest meanwhile
    names = list(dict.fromkeys(_single(config.tasks) or task_names()))
    tasks = [read_task(name) for name in names if name in task_names()]
    stock = [name for name in names if name not in task_names()]
    for name in stock:
        check_name(name, task_names())
    files, missing = _files(config, tasks)
    engine = picked_engine(config)
    if config.dry_run:
        print_plan(config, tasks, stock, files, missing)
        return
    asked = [task for task in tasks if task.name not in missing]
    scores = [*evaluate(config, asked, stock, files, engine), *missing.values()]
    write_report(config, sorted(scores, key=lambda score: score.task))


def _single(names: Sequence[str]) -> list[str]:
    """Return the names of --tasks one by one. lm-eval's own command takes them with commas between."""
    files_apart = ([name] if is_task_file(name) else name.split(",") for name in names)
    return [name.strip() for names_of in files_apart for name in names_of if name.strip()]


def picked_engine(config: Config) -> LMEngine:
    """Return the engine. Raises EngineError if vLLM is asked for and cannot be used here."""
    engine: LMEngine = "vllm" if config.engine == "auto" and why_not_alone() is None else "transformers"
    if config.engine != "auto":
        engine = config.engine
    if engine == "vllm":
        check_installed()
    return engine


def evaluate(
    config: Config, tasks: Sequence[TaskFile], stock: Sequence[str], files: dict[str, Files], engine: LMEngine
) -> list[Score]:
    """Return the scores of this project's `tasks` and of lm-eval's own, named in `stock`.

    The results of each are written as soon as it is done.
    """
    folder = resolve_model(config.model, config.run)
    bad = BadRows(strict=config.strict)
    with Messages():
        built = {task.name: build(task, files.get(task.name), config.shots, bad) for task in tasks}
        loaded = {name: load_stock(name, config.shots) for name in stock}
    out = results_of(config)
    # after the data are built: a bad file must not cost the old results
    if config.fresh:
        set_aside(out)
    asking = Asking(config.limit, config.chat, config.seed)
    model = load_model(folder, config.batch_size, config.chat_template_kwargs, engine)
    # the weights are in the name, because lm-eval's cache keys have only the prompt
    name = with_kwargs(model_digest(folder), config.chat_template_kwargs)
    cache = out / "replies" / (name if engine == "transformers" else f"{name}-{engine}")
    scores = []
    n = len(tasks) + len(stock)
    with progress(f"{config.model} on {counted(n, 'tasks')}", n) as advance:
        for task in tasks:
            score, results = ask(task, built[task.name], model, asking, cache)
            _write(out, task.name, results)
            scores.append(score)
            advance(1)
        for name in stock:
            results, n_cut = run(loaded[name], model, asking, cache)
            _write(out, folder_name(Path(name).stem if is_task_file(name) else name), results)
            scores += stock_scores(results, n_cut)
            advance(1)
    return scores


def _files(config: Config, tasks: Sequence[TaskFile]) -> tuple[dict[str, Files], dict[str, Score]]:
    """Return the data files of each task, and a score without a number for each task that has none.

    Raises InputError if a task named by --tasks has no data, or if no task has.
    """
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
            if config.tasks:  # asked for by name; otherwise it is only left out
                raise
            missing[task.name] = Score(task.name, task.metric, reason=str(error))
    if not files:
        raise InputError(f"--data-dir {config.data_dir}: has the data of no task; see evals/open_llm/tasks/*.yaml")
    return files, missing


def _write(out: Path, name: str, results: dict[str, Any]) -> None:
    """Write lm-eval's results of a task in its own formats."""

    def encoded(data: object, **settings: Any) -> str:
        return json.dumps(data, default=handle_non_serializable, ensure_ascii=False, **settings)

    def keep(path: Path, data: str) -> None:
        """Write a file. What another command has written there is renamed."""
        if path.exists() and (before := path.read_bytes()) != data.encode():
            path.replace(path.with_name(f"{path.stem}-{content_key(before.hex())[:8]}{path.suffix}"))
        write_atomic(path, data)

    rest = {key: value for key, value in results.items() if key != "samples"}
    keep(out / f"results_{name}.json", encoded(rest, indent=1))
    for part, samples in results["samples"].items():
        keep(out / f"samples_{part}.jsonl", "".join(encoded(sample) + "\n" for sample in samples))
