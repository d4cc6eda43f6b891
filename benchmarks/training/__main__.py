"""Step time and peak memory of this project's trainings against TRL's own trainers with the same settings.

python -m benchmarks.training                                             SmolLM2-135M, half an hour of a core
python -m benchmarks.training --only sft dpo --repeats 1 --steps 3        minutes
MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=65536 python -m benchmarks.training    less of the C library

Each side is a process of its own, and they take turns. A step lasts from the end of one optimizer step to that of the
next, in processor time, so that other processes do not count. It is the median without the first. The peak is the
growth of the resident set after the libraries are loaded, with memory that the C library keeps after it was freed,
unless the variables above make it give that back. `whole` is the processor time of all, from reading the data to the
saved model. A ratio to TRL is the median of those within a repeat. The goal is at most 1.02.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

import tyro

from benchmarks.iteration.__main__ import ENVIRONMENT
from benchmarks.training.sides import TRAININGS, Work
from console.progress import say
from console.table import Cell, print_table

GIB = 1 << 30
SIDES = ("ours", "trl")
Name = Literal["sft", "sft-lora", "dpo", "dpo-lora", "reward_model", "grpo"]


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    only: tuple[Name, ...] = TRAININGS  # type: ignore[assignment]  # the same names
    """The trainings to measure."""
    model: str = "smollm2"
    steps: int = 6
    repeats: int = 3
    json: bool = False
    """Print all figures as JSON."""


def main(config: Config) -> None:
    rows: list[dict[str, Cell]] = []
    everything: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in config.only:
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for repeat in range(config.repeats):
            for side in SIDES if repeat % 2 == 0 else SIDES[::-1]:  # what comes second may find warmer caches
                runs[side].append(in_process(config, side, name))
            say(f"{name}: {repeat + 1} of {config.repeats} done")
        everything[name] = runs
        rows.append(row(name, runs))
    if config.json:
        print(json.dumps(everything))
        return
    print_table(rows)


def row(name: str, runs: dict[str, list[dict[str, float]]]) -> dict[str, Cell]:
    """Return the medians of this project's figures, and the ratios to TRL's."""

    def ratio(figure: str) -> float:
        both = zip(runs["ours"], runs["trl"], strict=True)
        return median(ours[figure] / theirs[figure] for ours, theirs in both)

    ours = {figure: median(run[figure] for run in runs["ours"]) for figure in ("step", "bytes", "whole")}
    return {
        "training": name,
        "step, CPU s": ours["step"],
        "step / TRL": ratio("step"),
        "peak, GiB": ours["bytes"] / GIB,
        "peak / TRL": ratio("bytes"),
        "whole / TRL": ratio("whole"),
    }


def in_process(config: Config, side: str, training: str) -> dict[str, float]:
    """Run one side in a process of its own and return its figures."""
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        work = Work(side, training, f"{folder}/model", config.model, config.steps)
        command = [sys.executable, "-m", "benchmarks.training.sides", json.dumps(asdict(work))]
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
    if process.returncode:
        raise SystemExit(f"{side} {training} failed:\n{process.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
