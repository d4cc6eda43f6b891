"""What this project adds to the packages that it evaluates with: alpaca-eval and lm-eval, in turns with each alone.

python -m benchmarks.evals --annotations gemma-7b-it.json.gz --df-gamed df_gamed.csv
python -m benchmarks.evals --data-dir DATA --task winogrande --limit 400 --model FOLDER

The first scores stored annotations again, length-controlled, from the start of the process to its end: `evals.alpaca`,
and the package's own command with the same annotations in its cache. The second asks a model a task, the model
loaded before: as `evals.open_llm` asks it, and with lm-eval's `evaluate` alone. Both sides take turns, three each.
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager

from console.table import print_table
from engines.models import resolve_model
from evals.alpaca.package import package_folder
from evals.open_llm.harness import Asking, Messages, ask, load_model
from evals.open_llm.task import build, files_of, read_task
from records.files import BadRows

ROOT = Path(__file__).parent.parent.parent
REPEATS = 3
ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"
HUB = "hub/datasets--tatsu-lab--alpaca_eval"
REVISION = "0" * 40
BATCH_SIZE = 16


@dataclass(frozen=True)
class Taken:
    """The time of one run."""

    wall_s: float
    processor_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--df-gamed", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--task", default="winogrande")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--model", default="smollm2")
    flags = parser.parse_args()
    if flags.annotations:
        with tempfile.TemporaryDirectory() as folder:
            compare(rescoring(flags.annotations, flags.df_gamed, Path(folder)))
    if flags.data_dir:
        with tempfile.TemporaryDirectory() as folder:
            compare(asking(flags.data_dir, flags.task, flags.limit, flags.model, Path(folder)))


def compare(sides: dict[str, Callable[[], Taken]]) -> None:
    """Run the sides in turns and print their medians, each over the first."""
    taken: dict[str, list[Taken]] = {name: [] for name in sides}
    for _ in range(REPEATS):
        for name, run in sides.items():
            taken[name].append(run())
    first = median(turn.processor_s for turn in next(iter(taken.values())))
    rows = []
    for name, turns in taken.items():
        processor_s = median(turn.processor_s for turn in turns)
        ratios = [
            turn.processor_s / other.processor_s for turn, other in zip(turns, *list(taken.values())[:1], strict=True)
        ]
        rows.append({
            "side": name,
            "wall s": round(median(turn.wall_s for turn in turns), 2),
            "processor s": round(processor_s, 2),
            "of the first": round(processor_s / first, 3),
            "in each turn": f"{min(ratios):.3f} to {max(ratios):.3f}",
        })  # fmt: skip
    print_table(rows)


def rescoring(annotations: Path, df_gamed: Path, folder: Path) -> dict[str, Callable[[], Taken]]:
    """Return our command and the package's on stored annotations."""
    opened = gzip.open if annotations.suffix == ".gz" else open
    with opened(annotations, "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = json.load(file)
    environment = _hub_files(df_gamed, folder)
    ours = [sys.executable, "-m", "evals.alpaca", "--annotations", str(annotations), "--df-gamed", str(df_gamed)]
    theirs = _package_command(rows, folder)
    return {
        "evals.alpaca": lambda: _process(ours, environment),
        "alpaca_eval": lambda: _process(theirs, environment),
    }


def _hub_files(df_gamed: Path, folder: Path) -> dict[str, str]:
    """Put the hub's files into a cache in `folder`, and return the environment that uses it."""
    snapshot = folder / HUB / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (folder / HUB / "refs").mkdir()
    (folder / HUB / "refs" / "main").write_text(REVISION)
    shutil.copy(df_gamed, snapshot / "df_gamed.csv")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder), "OPENAI_API_KEY": "none"}
    return os.environ | offline | {"PYTHONPATH": str(ROOT)}


def _package_command(rows: Sequence[dict[str, Any]], folder: Path) -> list[str]:
    """Write the package's files with the annotations in its cache, and return its command."""
    configs = folder / "evaluators"
    for name in (ANNOTATOR, "alpaca_eval_clf_gpt4_turbo"):
        shutil.copytree(package_folder() / "evaluators_configs" / name, configs / name)
    (configs / ANNOTATOR / "annotations_seed0_configs.json").write_text(json.dumps(rows))
    for name, number in (("model", 2), ("reference", 1)):
        outputs = [
            {"instruction": r["instruction"], "output": r[f"output_{number}"], "generator": r[f"generator_{number}"]}
            for r in rows
        ]
        (folder / f"{name}.json").write_text(json.dumps(outputs))
    command = [str(Path(sys.executable).parent / "alpaca_eval"), "evaluate"]
    command += ["--model_outputs", str(folder / "model.json"), "--reference_outputs", str(folder / "reference.json")]
    command += ["--annotators_config", str(configs / ANNOTATOR), "--output_path", "None"]
    return [*command, "--precomputed_leaderboard", "None", "--metric_kwargs", f"{{'save_weights_dir': '{folder}/w'}}"]


def _process(command: Sequence[str], environment: dict[str, str]) -> Taken:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr[-800:]}")
    return Taken(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def asking(data: Path, name: str, limit: int, model_name: str, folder: Path) -> dict[str, Callable[[], Taken]]:
    """Return a task asked with lm-eval alone and as this project asks it."""
    task = read_task(name)
    with Messages():
        model = load_model(resolve_model(model_name), BATCH_SIZE)
    turns = iter(range(10 * REPEATS))

    def timed(run: Callable[[], object]) -> Taken:
        wall, used = time.perf_counter(), time.process_time()
        run()
        return Taken(time.perf_counter() - wall, time.process_time() - used)

    def loaded() -> Any:
        with Messages():
            return build(task, files_of(task, data), None, BadRows(quiet=True))

    def alone() -> object:
        part = TaskManager(include_defaults=False).load([loaded()])
        with Messages():
            return evaluate(lm=model, task_dict=part, limit=limit, apply_chat_template=False, fewshot_as_multiturn=True)

    def through_us() -> object:
        return ask(task, loaded(), model, Asking(limit, False, 0), folder / f"replies-{next(turns)}")

    return {"lm-eval": lambda: timed(alone), "evals.open_llm": lambda: timed(through_us)}


if __name__ == "__main__":
    main()
