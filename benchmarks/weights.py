"""What smaller weights cost a judge's scores and what they gain: bfloat16, and torchao's int8 and int4.

OMP_NUM_THREADS=1 python -m benchmarks.weights       SmolLM2-135M, 64 answers, a quarter of an hour on one core

torchao is not among the project's packages: `pip install --no-deps torchao==0.18.0` first, or its rows are left out.

Each kind of weights reads the score of the same short answers by log-probabilities, and writes texts of up to 32 tokens
about half of them. Times are processor seconds, the median of two turns. The kinds take turns. `speed` is a multiple
of float32's. The scores are expected scores from 0 to 5. `mean difference` is from float32's, and `share of sd` is
that difference as a share of the standard deviation of float32's scores. `same order` is the rank correlation.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from statistics import correlation, fmean, median, pstdev
from typing import Any

import torch

from benchmarks.engine.prompts import TEMPERATURE, TOP_P, requests
from benchmarks.scores import ranks, scores
from benchmarks.side import arguments
from console.progress import say
from console.table import Cell, print_table
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Sampling

N_ANSWERS, N_WRITTEN, NEW_TOKENS, REPEATS = 64, 32, 32, 2


@dataclass
class Kind:
    """One kind of weights, with what was measured of it."""

    name: str
    engine: TransformersEngine
    read_s: list[float] = field(default_factory=list)
    write_rates: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def main() -> None:
    kinds = [*dtypes(), *quantised()]
    asked, texts = requests("logprobs", N_ANSWERS), requests("text", N_WRITTEN)
    sampling = Sampling(NEW_TOKENS, TEMPERATURE, TOP_P)
    for repeat in range(REPEATS):
        for kind in kinds[:: -1 if repeat % 2 else 1]:
            say(f"{kind.name}, turn {repeat + 1} of {REPEATS}")
            started = time.process_time()
            kind.scores = scores(kind.engine, asked)
            kind.read_s.append(time.process_time() - started)
            started = time.process_time()
            n_tokens = sum(answer.n_tokens or 0 for answer in kind.engine.generate(texts, sampling))
            kind.write_rates.append(n_tokens / (time.process_time() - started))
    print_table([row_of(kind, kinds[0]) for kind in kinds])


def dtypes() -> list[Kind]:
    folder = resolve_model("smollm2")
    return [Kind(dtype, TransformersEngine.load(folder, "m", dtype=dtype)) for dtype in ("float32", "bfloat16")]


def quantised() -> list[Kind]:
    """Return float32 and bfloat16 models with torchao's weights, none if torchao is not there."""
    if find_spec("torchao") is None:
        say("torchao is not installed: its rows are left out")
        return []
    ao = import_module("torchao.quantization")
    schemes: dict[str, tuple[str, Callable[[], Any]]] = {
        "int8 weights": ("float32", ao.Int8WeightOnlyConfig),
        "int8 weights, bfloat16": ("bfloat16", ao.Int8WeightOnlyConfig),
        "int4 weights": ("float32", lambda: ao.IntxWeightOnlyConfig(torch.int4, ao.PerGroup(32))),
        "int8 weights and inputs": ("float32", ao.Int8DynamicActivationInt8WeightConfig),
    }
    found = []
    for name, (dtype, scheme) in schemes.items():
        engine = TransformersEngine.load(resolve_model("smollm2"), "m", dtype=dtype)
        ao.quantize_(engine.model, scheme())
        found.append(Kind(name, engine))
    return found


def row_of(kind: Kind, usual: Kind) -> dict[str, Cell]:
    difference = fmean(abs(a - b) for a, b in zip(kind.scores, usual.scores, strict=True))
    return {
        "weights": kind.name,
        "reading, CPU-s": round(median(kind.read_s), 2),
        "speed": round(median(usual.read_s) / median(kind.read_s), 2),
        "writing, tokens/CPU-s": round(median(kind.write_rates), 1),
        "speed of writing": round(median(kind.write_rates) / median(usual.write_rates), 2),
        "mean difference": round(difference, 3),
        "share of sd": round(difference / pstdev(usual.scores), 2),
        "same order": round(correlation(ranks(kind.scores), ranks(usual.scores)), 2),
    }


if __name__ == "__main__":
    arguments(__doc__)
    main()
