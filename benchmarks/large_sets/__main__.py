"""Memory of SFT on files of different sizes, which must not grow with the file.

python -m benchmarks.large_sets                        files of 12 and 48 MB, minutes
python -m benchmarks.large_sets --megabytes 250 1000   larger ones, an hour

Each file is learnt by a process of its own: python -m trainer.sft with a tiny random model and the packaged model's
tokenizer, which is stopped before its first step. Memory is the growth after the libraries are loaded. `own` is what
the process holds itself. `peak` has pages of the mapped file in it, which the system takes back if it needs them.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import trainer.training.fit
from console.table import Cell, print_table
from engines.models import resolve_model
from trainer.sft.__main__ import Config as SFTConfig
from trainer.sft.__main__ import main as sft
from trainer.sft.options import SFTOptions
from trainer.training.outcome import examples_path

MIB, WORDS_A_ROW = 1 << 20, 1200
TEXT = Path(__file__).parents[2] / "docs" / "train.md"
"""A text for its words."""


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    megabytes: tuple[int, ...] = (12, 48)
    """The sizes of the files."""
    model: str = "smollm2"
    """The model whose tokenizer is used."""
    child: Path | None = None
    """Set by the benchmark: the file that this process learns."""


def main(config: Config) -> None:
    """Write the files, learn each in a child, and print the table."""
    if config.child is not None:
        print(json.dumps(learnt(config.child)))
        return
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        save_small_model(resolve_model(config.model, None), Path(folder) / "model")
        for n in config.megabytes:
            file = Path(folder) / f"{n}.jsonl"
            n_rows = write_file(file, n * 1_000_000)
            command = [sys.executable, "-m", "benchmarks.large_sets", "--child", str(file)]
            child = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ)
            rows.append({"MB": n, "conversations": n_rows, **json.loads(child.stdout.splitlines()[-1])})
            file.unlink()
    print_table(rows, as_json=False)


def save_small_model(parent: Path, folder: Path) -> None:
    """Save a random model with a few weights and the tokenizer of `parent`."""
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = AutoConfig.from_pretrained(parent, **small, num_key_value_heads=1, head_dim=16)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(parent).save_pretrained(folder)


def write_file(file: Path, n_bytes: int) -> int:
    """Write conversations of random words until the file has `n_bytes`, and return their number."""
    draw, n = random.Random(0), 0
    words = re.findall(r"[a-z]+", TEXT.read_text())
    with file.open("w") as out:
        while out.tell() < n_bytes:
            answer = " ".join(draw.choices(words, k=WORDS_A_ROW))
            turns = [{"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": answer}]
            out.write(json.dumps({"messages": turns}) + "\n")
            n += 1
    return n


class Ready(Exception):  # noqa: N818  it is no error
    """Raised instead of the first step."""


def learnt(file: Path) -> dict[str, float]:
    """Learn a file, and return what that took."""
    out = file.with_name(f"{file.stem}-model")
    seen = {"own": 0.0}

    def stop(*_: Any) -> None:
        raise Ready

    def look() -> None:
        while True:
            seen["own"] = max(seen["own"], status("RssAnon"))
            time.sleep(0.02)

    trainer.training.fit.Watch = stop  # type: ignore[misc]  # the hook by which tests stop a training too
    before = {name: status(name) for name in ("RssAnon", "VmHWM")}
    threading.Thread(target=look, daemon=True).start()
    begun = time.monotonic()
    options = SFTOptions(batch_size=2, micro_batch_size=2, max_length=8192, save_minutes=0.0)
    with suppress(Ready):
        sft(SFTConfig(file=str(file), model=str(file.with_name("model")), out=out, training=options))
    n_bytes = sum(path.stat().st_size for path in examples_path(out).rglob("*.arrow"))
    return {
        "own, MiB": round(seen["own"] - before["RssAnon"]),
        "peak, MiB": round(status("VmHWM") - before["VmHWM"]),
        "examples on disk, MiB": round(n_bytes / MIB),
        "minutes": round((time.monotonic() - begun) / 60, 2),
    }


def status(name: str) -> float:
    """Return a figure of this process from Linux, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(tyro.cli(Config))
