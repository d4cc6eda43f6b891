"""One iteration of the loop (write, judge, pair, train) by this project, TRL's OnlineDPO, and a script of steps.

python -m benchmarks.iteration                                 16 prompts, 2 answers each, twice, about 15 minutes
python -m benchmarks.iteration --n 4 --sides project steps     OnlineDPO always writes two answers per prompt
python -m benchmarks.iteration --prompts 4 --new-tokens 16 --batch-size 2 --rows 4 --repeats 1

All sides have the same model, prompts, judge prompts, number of tokens and number of DPO steps, on the same machine
with the same OpenMP settings, and take turns. Each process is measured from its start to its end, so importing the
libraries and loading the model count. Peak memory is the process's largest resident set. `training` is a process that
only trains: for this project an extra one on the same pairs, for the script its last step. `bare DPOTrainer` is TRL's
trainer on this project's pairs with the reference precomputed. OnlineDPO's training cannot be separated.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import tyro

from benchmarks.iteration.work import Counts, Work
from console.progress import say
from console.table import Cell, print_table
from engines.models import resolve_model
from trainer.prompts.seeds.reading import seed_prompts

Side = Literal["project", "online", "steps"]
TITLES: dict[str, str] = {
    "project": "this project",
    "online": "TRL OnlineDPO",
    "steps": "script of steps",
    "bare": "bare DPOTrainer",
}
WHOLE: dict[str, list[tuple[str, str]]] = {
    "project": [("project", "whole")],
    "online": [("online", "whole")],
    "steps": [("steps", stage) for stage in ("generate", "score", "pairs", "train")],
}
"""The processes of a side in order: module and stage."""
TRAINING = {"project": ("project", "training"), "bare": ("steps", "bare")}
"""Processes that only train, on the pairs of this project. They are not part of any side's time."""
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # for all sides, because spinning threads slow everything down if others work too
    "GOMP_SPINCOUNT": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "HF_HUB_OFFLINE": "1",
    "TQDM_DISABLE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    model: str = "smollm2"
    prompts: int = 16
    """Prompts, of the packaged ones."""
    n: int = 2
    """Answers per prompt."""
    new_tokens: int = 64
    """Tokens of every answer."""
    batch_size: int = 8
    """Pairs per optimiser step."""
    micro_batch_size: int = 2
    """Pairs in memory at once. OnlineDPO uses `rows` / 2 instead, because it writes a micro-batch at a time."""
    rows: int = 8
    """Sequences that the other sides write and judge at once."""
    repeats: int = 2
    sides: tuple[Side, ...] = ("project", "online", "steps")
    seed: int = 0


@dataclass(frozen=True)
class ProcessFigures:
    """The measurements of a process, or of all processes of a side."""

    seconds: float
    cpu_s: float
    peak_mib: float
    counts: Counts


def main(config: Config) -> None:
    sides = [side for side in config.sides if side != "online" or config.n == 2]
    if len(sides) < len(config.sides):
        say("OnlineDPO is left out: it always writes two answers per prompt")
    work = planned(config)
    whole: dict[str, list[ProcessFigures]] = {side: [] for side in sides}
    training: dict[str, list[ProcessFigures]] = {name: [] for name in TITLES}
    for repeat in range(config.repeats):
        with tempfile.TemporaryDirectory(prefix="iteration-") as name:
            folder = Path(name)
            work.save(folder / "work.json")
            for side in sides:
                processes = [measured(folder, side, *process) for process in WHOLE[side]]
                whole[side].append(together(processes))
                if side == "steps":
                    training[side].append(processes[-1])
                shutil.rmtree(folder / side / "model", ignore_errors=True)
            if "project" in sides:
                for side_name, process in TRAINING.items():
                    training[side_name].append(measured(folder, f"{side_name}-training", *process))
        say(f"{repeat + 1} of {config.repeats} done")
    print_table([row(name, whole, training) for name in TITLES if whole.get(name) or training[name]])


def planned(config: Config) -> Work:
    """Return the work. Raises SystemExit if the sides cannot get the same work."""
    texts = [str(prompt.prompt) for prompt in seed_prompts(None)]
    if config.prompts > len(texts) or config.prompts % config.batch_size:
        raise SystemExit(f"--prompts must be a multiple of --batch-size and at most {len(texts)}")
    if config.batch_size % config.micro_batch_size or config.batch_size % min(config.rows // 2, config.batch_size):
        raise SystemExit("--batch-size must be a multiple of --micro-batch-size and of half of --rows")
    return Work(
        # Resolved here, so that no side pays for the first conversion of the packaged model.
        model=str(resolve_model(config.model)),
        prompts=texts[: config.prompts],
        n=config.n,
        new_tokens=config.new_tokens,
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        rows=config.rows,
        seed=config.seed,
    )


def measured(folder: Path, name: str, module: str, stage: str) -> ProcessFigures:
    """Run one stage in a process of its own, in the folder of side `name`."""
    command = [sys.executable, "-m", f"benchmarks.iteration.{module}", stage]
    log = folder / "log.txt"
    started = time.perf_counter()
    with log.open("w") as errors, subprocess.Popen(
        [*command, str(folder / "work.json"), str(folder / name)],
        stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | ENVIRONMENT,
    ) as process:  # fmt: skip
        printed = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)  # the usage of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{log.read_text()[-2000:]}")
    counts = json.loads(printed.splitlines()[-1])
    measurement = ProcessFigures(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, counts)
    say(f"{name} {stage}: {seconds:.1f} s, {measurement.cpu_s:.1f} CPU-s, {measurement.peak_mib:.0f} MiB, {counts}")
    return measurement


def together(processes: list[ProcessFigures]) -> ProcessFigures:
    """Return the sum of processes that ran in turn."""
    return ProcessFigures(
        sum(process.seconds for process in processes),
        sum(process.cpu_s for process in processes),
        max(process.peak_mib for process in processes),
        {name: n for process in processes for name, n in process.counts.items()},
    )


def row(
    name: str, whole: dict[str, list[ProcessFigures]], training: dict[str, list[ProcessFigures]]
) -> dict[str, Cell]:
    """Return a table row of medians over the repeats. A ratio is the median of the ratios within a repeat."""
    runs, trained, base = whole.get(name, []), training[name], whole.get("project", [])
    counts = (runs or trained)[0].counts
    shared: dict[str, Cell] = {key: counts.get(key) for key in ("tokens", "judged", "pairs", "steps")}
    return {
        "side": TITLES[name],
        **shared,
        "seconds": median(run.seconds for run in runs) if runs else None,
        "CPU-s": median(run.cpu_s for run in runs) if runs else None,
        "peak, MiB": round(max(run.peak_mib for run in runs)) if runs else None,
        "seconds / ours": ratio([run.seconds for run in runs], [run.seconds for run in base]),
        "CPU-s / ours": ratio([run.cpu_s for run in runs], [run.cpu_s for run in base]),
        "training, s": median(run.seconds for run in trained) if trained else None,
        "training CPU-s": median(run.cpu_s for run in trained) if trained else None,
        "training peak, MiB": round(max(run.peak_mib for run in trained)) if trained else None,
    }


def ratio(figures: list[float], base: list[float]) -> float | None:
    """Return the median ratio of the figures to this project's, or None if one of them was not measured."""
    return median(a / b for a, b in zip(figures, base, strict=True)) if figures and base else None


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.iteration"))
