"""Reads the runs of a report and writes its files."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from time import time

from huggingface_hub import HfApi

from console.errors import InputError
from console.output import tell, tell_json, tell_plan
from console.progress import say
from console.table import print_table, screen_width
from evals.report.card import base_of, card_of
from evals.report.content import UNREADABLE, Content, content_of
from evals.report.every_eval import every_eval_ever
from evals.report.facts.run import RunFacts, read_run, up_to
from evals.report.hub import eval_results
from evals.report.markdown import markdown_of
from evals.report.options import Config
from evals.report.page import page_of
from evals.report.push import check_push, licence_of, push, pushed_iteration, tell_upload, upload_of
from evals.report.tables.table import Table
from records import write_atomic
from records.names import folder_name
from records.runs import Run, find_run
from records.store import set_aside

MOST_RUNS = 2


def write_report(config: Config) -> None:
    """Write the page, the Markdown and the model card. Raises InputError if a run is not there or has no iteration."""
    runs = runs_of(config)
    check_push(config, len(runs))
    out = config.out or folder_of(runs)
    if config.dry_run and config.push is None:
        names = [str(run.folder) for run in runs]
        plan = {"runs": names, "calls": 0, "out": str(out)}
        line = f"would write a report on {' and '.join(names)} to {out}; no model is asked"
        tell_plan(plan, line, as_json=config.json)
        return
    facts = [read_run(run) for run in runs]
    for one in facts:
        if not one.iterations:
            raise InputError(f"{one.run.folder}: no iteration is done yet; go on with the run first")
    content = content_of(facts, config.seed)
    problems = content.lists.get(UNREADABLE, ())
    if config.strict and problems:
        raise InputError(problems[0])
    if config.fresh:
        set_aside(out)
    upload = None
    if config.push is not None:
        api = HfApi(library_name="judgeloop")
        pushed = up_to(facts[-1], pushed_iteration(config, facts[-1]))
        licence = licence_of(config, pushed, api)
        is_last = pushed.iterations == facts[-1].iterations
        upload = upload_of(config, pushed, content if is_last else content_of([pushed], config.seed), licence)
        if config.dry_run:
            tell_upload(upload, as_json=config.json)
            return
    files = _files(out, facts[-1], content)
    for path, text in files.items():
        write_atomic(path, text)
    for problem in problems:
        say(f"warning: {problem}")
    if upload is not None:
        push(upload, api, update=config.update, as_json=config.json)
        return
    if config.json:
        tables = {table.title: table.rows for table in content.tables}
        lists = {"headlines": content.headlines, **content.lists}
        tell_json({"title": content.title, "tables": tables, **lists, "files": list(map(str, files))})
        return
    _tell(content.headlines, content.tables[0], list(files))


def runs_of(config: Config) -> list[Run]:
    """Return the runs that are named, or the newest. Raises InputError if there is none, or there are too many."""
    if len(config.runs) > MOST_RUNS:
        raise InputError(f"{len(config.runs)} runs: a report is on one run, or on two side by side")
    runs = [find_run(name) for name in config.runs or (None,)]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise InputError(f"{runs[0].folder} is named twice: a report compares two runs")
    return runs


def folder_of(runs: Sequence[Run]) -> Path:
    """Return the folder of a report, in the first of its runs."""
    first, *others = runs
    names = [folder_name(other.folder.resolve().name) for other in others]
    return first.folder / "-".join(["report", *names])


def _files(out: Path, last: RunFacts, content: Content) -> dict[Path, str]:
    iteration = last.iterations[-1]
    results = eval_results(last.benchmarks, iteration)
    record = every_eval_ever(last.benchmarks, iteration, last.name, base_of(last), int(time()))
    shared = {} if record is None else {out / "every_eval_ever.json": json.dumps(record, ensure_ascii=False, indent=1)}
    return {
        out / "report.html": page_of(content),
        out / "report.md": markdown_of(content),
        out / "model_card.md": card_of(last, content),
        **{out / ".eval_results" / name: text for name, text in results.items()},
        **shared,
    }


def _tell(headlines: Sequence[str], iterations: Table, files: Sequence[Path]) -> None:
    print_table([dict(row) for row in iterations.rows])
    width = screen_width()
    wrap = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False).wrap
    lines = (line for text in headlines for line in wrap(text))
    tell("", *lines, "", "files:", *(f"  {path}" for path in files))
