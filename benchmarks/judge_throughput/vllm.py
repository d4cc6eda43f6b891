"""The judge on vLLM against `LLM.generate` on the same prompts and settings, in turns in one process."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.judge_throughput.results import Results, Turn
from console.progress import say
from console.table import Cell

SIDES = {"raw": "LLM.generate", "ours": "this project", "logprobs": "this project, --read logprobs"}


@dataclass(frozen=True)
class Vllm:
    """What the two sides have in common."""

    python: Path
    """A Python that has vLLM and what this project needs."""
    model: str
    tokens: int
    """The most tokens of a reply."""
    repeats: int
    samples: int = 1
    """Replies to each question."""
    dtype: str = "auto"

    @property
    def settings(self) -> dict[str, str | int]:
        """What two measurements that can be compared have in common."""
        return {"model": self.model, "tokens": self.tokens, "samples": self.samples, "dtype": self.dtype}


def measure_vllm(vllm: Vllm, rows: Path, results: Results) -> None:
    """Store a turn of each side for each repeat that is not stored. The sides change who is first."""
    missing = range(min(len(results.turns(side)) for side in SIDES), vllm.repeats)
    if not missing:
        return
    say(f"loading {vllm.model} in vLLM ...")
    with _asked(vllm, rows) as ask:
        for repeat in missing:
            found = {side: ask(side) for side in (list(SIDES)[::-1] if repeat % 2 else list(SIDES))}
            n = len(found["raw"]["replies"])
            gradings = n // vllm.samples
            for side, one in found.items():
                results.add(Turn(side, SIDES[side], gradings, gradings, one["wall_s"], one["processor_s"], None))
            alike = Counter(found["ours"]["replies"]) & Counter(found["raw"]["replies"])
            say(f"{alike.total()} of {n} replies are the same")


def vllm_rows(results: Results) -> list[dict[str, Cell]]:
    """Return the table's rows, with medians and the speed as a multiple of `LLM.generate`'s in the same turn."""
    turns = {side: results.turns(side) for side in SIDES}
    if not all(turns.values()):
        return []
    return [
        {
            "on vLLM": SIDES[side],
            "gradings": some[-1].calls,
            "turns": len(some),
            "wall s": round(median(map(_s, some)), 1),
            "gradings/s": round(some[-1].calls / median(map(_s, some)), 2),
            "processor s": round(median(one.processor_s or 0 for one in some), 1),
            "/ LLM.generate": round(median(_s(raw) / _s(one) for raw, one in zip(turns["raw"], some, strict=False)), 3),
        }
        for side, some in turns.items()
    ]


def _s(turn: Turn) -> float:
    assert turn.wall_s is not None
    return turn.wall_s


@contextmanager
def _asked(vllm: Vllm, rows: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Yield what runs a side in the process that has the model loaded."""
    settings = [vllm.model, str(rows), str(vllm.tokens), str(vllm.samples), vllm.dtype]
    command = [str(vllm.python), "-m", "benchmarks.judge_throughput.vllm_side", *settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask(side: str) -> dict[str, Any]:
            say(f"{SIDES[side]} on vLLM ...")
            questions.write(f"{side}\n")
            questions.flush()
            for line in answers:  # the judge and vLLM write lines of their own too
                if line.startswith('{"wall_s"'):
                    found: dict[str, Any] = json.loads(line)
                    say(f"{SIDES[side]} on vLLM: {found['wall_s']:.1f} s")
                    return found
            raise SystemExit("vLLM stopped; its last lines say why")

        yield ask
        questions.close()
