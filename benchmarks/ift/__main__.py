"""A step of intuitive fine-tuning against one of TRL's SFT and DPO, and against a naive IFT that ignores memory.

python -m benchmarks.ift                                          the packaged model's layers, 150,000 words, minutes
python -m benchmarks.ift --vocabulary 0 --rows 2 --length 512     the packaged model as it is
python -m benchmarks.ift --rows 8 --checkpointing --sides ift two_pass                   memory, at a GPU's settings
python -m benchmarks.ift --layers 2 --vocabulary 50000 --length 128 --steps 2 --repeats 1

All sides learn the same answers, cut at the same length. They are the chosen answers of DPO's pairs, which also have
rejected ones. Each side is a process of its own, and they take turns. Seconds are those of an optimiser step with all
its passes, its gradient and the optimiser, without the first step. They are wall time on a GPU, and CPU time elsewhere,
so that other processes do not count. Peak memory is the GPU's allocated memory, or on a CPU the growth of the resident
set after the libraries are loaded. `in two passes` has the whole logits in float32 twice.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import tyro
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from benchmarks.ift.sides import SIDES, Work, save
from benchmarks.iteration.__main__ import ENVIRONMENT
from console.progress import say
from console.table import Cell, print_table
from engines.models import resolve_model

TITLES = {
    "ift": "IFT",
    "sft": "TRL SFT",
    "dpo": "TRL DPO",
    "dpo_precomputed": "TRL DPO, reference precomputed",
    "two_pass": "IFT in two passes",
}
TARGETS = {"sft": (1.45, 1.1), "dpo": (1.0, 0.6), "dpo_precomputed": (1.0, None), "two_pass": (None, 0.5)}
"""The highest allowed ratio of our time and of our peak to those of a side."""


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    model: str = "smollm2"
    vocabulary: int = 150_000
    """Words of a model with random weights in the shape of `model`; 0 uses that model itself."""
    layers: int | None = None
    """Layers of the model with random weights. The default is the model's own number."""
    rows: int = 2
    """Sequences per step."""
    length: int = 512
    """Tokens per sequence."""
    prompt: int = 64
    """Tokens of the prompt, about, which are not learnt."""
    steps: int = 3
    """Timed steps."""
    repeats: int = 2
    sides: tuple[str, ...] = tuple(SIDES)
    checkpointing: bool = False
    """Recompute activations for the gradient, as all training here does on a GPU."""
    seed: int = 0


def main(config: Config) -> None:
    measurements: dict[str, list[dict[str, Any]]] = {side: [] for side in config.sides}
    with tempfile.TemporaryDirectory(prefix="ift-") as name:
        folder = Path(name)
        model = make_model(config, folder / "model")
        shape = config.rows, config.length, config.prompt, config.steps
        work = Work(str(model), *shape, config.seed, config.checkpointing)
        save(work, folder / "work.json")
        for repeat in range(config.repeats):
            for side in config.sides:
                measurements[side].append(measured(side, folder))
            say(f"{repeat + 1} of {config.repeats} done")
    print_table([row(side, measurements) for side in TITLES if measurements.get(side)])


def make_model(config: Config, folder: Path) -> Path:
    """Return the model to train: `model` itself, or with a vocabulary a random one in `folder` with its tokenizer.

    The first words are the tokenizer's. The others never occur in a text, but cost as much.
    """
    parent = resolve_model(config.model)
    if not config.vocabulary:
        return parent

    shape, tokenizer = AutoConfig.from_pretrained(parent), AutoTokenizer.from_pretrained(parent)
    if config.vocabulary < len(tokenizer):
        raise SystemExit(f"--vocabulary must be 0 or at least {len(tokenizer)}, the words of {config.model}")
    shape.vocab_size = config.vocabulary
    shape.num_hidden_layers = config.layers or shape.num_hidden_layers
    torch.manual_seed(config.seed)
    AutoModelForCausalLM.from_config(shape, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def measured(side: str, folder: Path) -> dict[str, Any]:
    """Run a side in a process of its own and return its measurements."""
    command = [sys.executable, "-m", "benchmarks.ift.sides", side, str(folder / "work.json"), str(folder / side)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:4])} failed:\n{process.stderr[-2000:]}")
    measurement: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    say(f"{TITLES[side]}: {median(measurement['seconds']):.2f} s per step, {measurement['peak_mib']:.0f} MiB")
    return measurement


def row(side: str, measurements: dict[str, list[dict[str, Any]]]) -> dict[str, Cell]:
    """Return a table row of medians over the repeats. A ratio is the median of the ratios within a repeat."""
    time_target, peak_target = TARGETS.get(side, (None, None))
    runs = measurements[side]
    return {
        "side": TITLES[side],
        "tokens": runs[0]["n_tokens"],
        "preparing, s": median(run["prepared_s"] for run in runs),
        "seconds a step": median(median(run["seconds"]) for run in runs),
        "peak, MiB": round(max(run["peak_mib"] for run in runs)),
        "IFT's time / this": ratio(measurements, side, lambda run: median(run["seconds"])),
        "at most": time_target,
        "IFT's peak / this": ratio(measurements, side, lambda run: run["peak_mib"]),
        "at most ": peak_target,
    }


def ratio(measurements: dict[str, list[dict[str, Any]]], side: str, figure: Any) -> float | None:
    """Return our figure over that of `side`, or None if one was not measured."""
    ours = measurements.get("ift")
    if not ours or side == "ift":
        return None
    return median(
        figure(our_run) / figure(other_run) for our_run, other_run in zip(ours, measurements[side], strict=True)
    )


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.ift"))
