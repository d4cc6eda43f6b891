"""Memory and time of a training of adapters (LoRA) against one of all weights.

python -m benchmarks.adapters                      the packaged model: SFT and DPO, whole and with adapters, minutes
python -m benchmarks.adapters --rows 1 --steps 3 --checkpointing      memory, at a GPU's settings
python -m benchmarks.adapters --formula            a model of 8 billion weights by the formula of a loop's --dry-run

Each training is a process of its own. Peak memory is the growth of its resident set after the libraries are loaded.
Seconds are the CPU time of an optimiser step, the median without the first, so that other processes do not count. SFT
learns the chosen answers of DPO's pairs. By formula a GPU is enough if a step takes at most nine tenths of its memory.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import tyro
from transformers import TrainerCallback

import trainer.dpo.train
import trainer.sft.train
import trainer.training.fit
from benchmarks.iteration.__main__ import ENVIRONMENT
from console.table import Cell, print_table
from engines.models import resolve_model
from records import Pair, messages_of
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.memory.choice import FULL
from trainer.training.memory.options import EIGHT_BIT
from trainer.training.memory.size import Load, MemorySettings, model_size, training_bytes
from trainer.training.options import LoraOptions

GIB = 1 << 30
GPUS = (24, 48, 80)


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    model: str = "smollm2"
    r: int = 16
    rows: int = 2
    """Examples in memory at once. A pair is two rows."""
    length: int = 512
    """Tokens of an example, about."""
    steps: int = 4
    checkpointing: bool = False
    """Recompute activations for the gradient, as all training here does on a GPU."""
    formula: bool = False
    """Print the memory of 8 billion weights by formula, and measure nothing."""
    side: str | None = None
    """Set by the benchmark itself for the process of one training."""


class Clock(TrainerCallback):  # type: ignore[misc]
    """Measures each optimiser step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.started = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.started = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Keep the time."""
        self.seconds.append(time.process_time() - self.started)


def main(config: Config) -> None:
    if config.formula:
        print_table(by_formula(config.r))
        return
    if config.side is not None:
        print(json.dumps(measured(config, *config.side.split())))
        return
    rows: list[dict[str, Cell]] = []
    for kind in ("SFT", "DPO"):
        whole, adapted = (in_process(config, f"{kind} {r}") for r in (0, config.r))
        for name, figures in (("all", whole), (f"r {config.r}", adapted)):
            rows.append(
                {
                    "training": kind,
                    "learns": name,
                    "peak GiB": figures["bytes"] / GIB,
                    "share": figures["bytes"] / whole["bytes"],
                    "CPU s": figures["seconds"],
                    "saved MiB": figures["saved"] / 2**20,
                }
            )
    print_table(rows)


def in_process(config: Config, side: str) -> dict[str, float]:
    """Run a training in a process of its own and return its measurements."""
    flags = [f"--{name}={getattr(config, name)}" for name in ("model", "rows", "length", "steps")]
    flags += ["--checkpointing"] if config.checkpointing else []
    command = [sys.executable, "-m", "benchmarks.adapters", *flags, "--side", side]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
    if process.returncode:
        raise SystemExit(f"{side} failed:\n{process.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures


def measured(config: Config, kind: str, r: str) -> dict[str, float]:
    """Train here and return the peak in bytes, the CPU seconds of a step, and the size of the saved folder."""
    words = "a " * config.length  # more tokens than fit: what does not is cut from the end
    pairs = [pair(n, words, config.length) for n in range(config.rows * config.steps)]
    clock, watch = Clock(), trainer.training.fit.Watch

    def watched(made: Any, *rest: Any) -> Any:
        made.add_callback(clock)
        return watch(made, *rest)

    trainer.training.fit.Watch = watched  # type: ignore[assignment,misc]
    shared: dict[str, Any] = {
        "batch_size": config.rows,
        "micro_batch_size": config.rows,
        "max_length": config.length + 100,
        "lora": LoraOptions(r=int(r)),
        "save_minutes": 0.0,
        "activation_checkpointing": "on" if config.checkpointing else "off",
    }
    parent, before = resolve_model(config.model), resident("VmRSS")
    with tempfile.TemporaryDirectory(prefix="adapters-") as folder:
        out = Path(folder) / "model"
        if kind == "SFT":
            train_sft(parent, out, [[*one.prompt, *one.chosen] for one in pairs], SFTOptions(**shared), 0)
        else:
            train_dpo(parent, out, pairs, DPOOptions(**shared), 0)
        saved = sum(path.stat().st_size for path in out.iterdir())
    return {"bytes": resident("VmHWM") - before, "seconds": median(clock.seconds[1:]), "saved": saved}


def pair(n: int, words: str, length: int) -> Pair:
    sides = [[{"role": "assistant", "content": f"{side} {n} {words}"[: 2 * length - 100]}] for side in ("Yes", "No")]
    return Pair(prompt=messages_of(f"Question {n}?"), chosen=sides[0], rejected=sides[1], prompt_id=str(n))


def resident(name: str) -> int:
    """Return this process's resident memory now (VmRSS) or at its highest (VmHWM), in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def by_formula(r: int) -> list[dict[str, Cell]]:
    """Return the GiB of a DPO step of one pair on Llama 3.1 8B, and the GPUs that it fits."""
    size, whole, lora = model_size(Path("recipes/llama_3_1_8b.json")), LoraOptions(), LoraOptions(r=r)
    low = MemorySettings("bfloat16")
    kinds = {
        "all, float32": (MemorySettings(), whole),
        "all, adafactor": (replace(low, optim="adafactor"), whole),
        "all, 8-bit AdamW": (replace(low, optim=EIGHT_BIT), whole),
        f"r {r}": (low, lora),
        f"r {r}, 4 bits": (low, replace(lora, quantize="4bit")),
    }
    rows: list[dict[str, Cell]] = []
    for name, (settings, options) in kinds.items():
        for n in (1024, 4096):
            parts = training_bytes(size, Load(2 * n), settings, options)
            states = (parts.total - parts.activations) / GIB
            fits = {f"{gpu} GB": "yes" if parts.total < FULL * gpu * 1e9 else "no" for gpu in GPUS}
            rows.append({"learns": name, "tokens": n, "states": states, "GiB": parts.total / GIB, **fits})
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
