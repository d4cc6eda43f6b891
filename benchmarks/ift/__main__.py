"""A step of intuitive fine-tuning beside one of TRL's SFT and DPO, and beside IFT written down without care for memory.

python -m benchmarks.ift                                          the packaged model's layers, 150,000 words; minutes
python -m benchmarks.ift --vocabulary 0 --rows 2 --length 512     the packaged model as it is
python -m benchmarks.ift --rows 8 --checkpointing --sides ift two_pass                   memory, at a GPU's settings
python -m benchmarks.ift --layers 2 --vocabulary 50000 --length 128 --steps 2 --repeats 1

All sides learn the same answers, cut at the same length; DPO's pairs have them as the chosen ones, and a rejected one
each. Each side is a process of its own, and they take turns. Seconds are of an optimiser step with all its passes, its
gradient and the optimiser, without the first step: a clock's on a GPU, and the processor's own elsewhere, so that what
others compute meanwhile does not count. Peak memory is a device's allocated memory, or on a processor what the resident
set grows by after the libraries are loaded. `in two passes` has the whole logits in float32 twice.
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

import tyro

from benchmarks.ift.sides import SIDES, Work, save
from benchmarks.iteration.__main__ import ENVIRONMENT
from console.progress import say
from console.table import Cell, print_table

TITLES = {
    "ift": "IFT",
    "sft": "TRL SFT",
    "dpo": "TRL DPO",
    "dpo_precomputed": "TRL DPO, reference precomputed",
    "two_pass": "IFT in two passes",
}
TARGETS = {"sft": (1.45, 1.1), "dpo": (1.0, 0.6), "dpo_precomputed": (1.0, None), "two_pass": (None, 0.5)}
"""What our time and our peak are to be at most, over a side's."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    model: str = "smollm2"
    vocabulary: int = 150_000
    """Words of a model with random weights in the shape of `model`; 0 takes that model itself."""
    layers: int | None = None
    """Of the model with random weights; the default is as many as the model has."""
    rows: int = 2
    """Sequences a step."""
    length: int = 512
    """Tokens of each."""
    prompt: int = 64
    """Tokens of it that are not learnt, about."""
    steps: int = 3
    """Steps that are timed."""
    repeats: int = 2
    sides: tuple[str, ...] = tuple(SIDES)
    checkpointing: bool = False
    """Compute activations again for the gradient, as every training here does on a GPU."""
    seed: int = 0


def main(config: Config) -> None:
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in config.sides}
    with tempfile.TemporaryDirectory(prefix="ift-") as name:
        folder = Path(name)
        model = make_model(config, folder / "model")
        shape = config.rows, config.length, config.prompt, config.steps
        work = Work(str(model), *shape, config.seed, config.checkpointing)
        save(work, folder / "work.json")
        for repeat in range(config.repeats):
            for side in config.sides:
                found[side].append(measured(side, folder))
            say(f"{repeat + 1} of {config.repeats} done")
    print_table([row(side, found) for side in TITLES if found.get(side)])


def make_model(config: Config, folder: Path) -> Path:
    """Return the model to train: a random one in `folder` where its vocabulary is given, with the other's tokenizer.

    Its first words are the tokenizer's; the others are never written, and cost as much.
    """
    from engines.models import resolve_model

    parent = resolve_model(config.model)
    if not config.vocabulary:
        return parent
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

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
    """Run a side in a process of its own and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.ift.sides", side, str(folder / "work.json"), str(folder / side)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:4])} failed:\n{process.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    say(f"{TITLES[side]}: {median(found['seconds']):.2f} s a step, {found['peak_mib']:.0f} MiB")
    return found


def row(side: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Cell]:
    """Return a table row: medians over the repeats; a ratio is the median of the ratios within a repeat."""
    time_target, peak_target = TARGETS.get(side, (None, None))
    mine = found[side]
    return {
        "side": TITLES[side],
        "tokens": mine[0]["n_tokens"],
        "preparing, s": median(one["prepared_s"] for one in mine),
        "seconds a step": median(median(one["seconds"]) for one in mine),
        "peak, MiB": round(max(one["peak_mib"] for one in mine)),
        "IFT's time / this": ratio(found, side, lambda one: median(one["seconds"])),
        "at most": time_target,
        "IFT's peak / this": ratio(found, side, lambda one: one["peak_mib"]),
        "at most ": peak_target,
    }


def ratio(found: dict[str, list[dict[str, Any]]], side: str, figure: Any) -> float | None:
    """Return our figure over that of `side`, or None where one was not measured."""
    ours = found.get("ift")
    if not ours or side == "ift":
        return None
    return median(figure(mine) / figure(its) for mine, its in zip(ours, found[side], strict=True))


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.ift"))
