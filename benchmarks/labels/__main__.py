"""Processor seconds of three samples against one, and of four labels of a rubric against one.

OMP_NUM_THREADS=1 python -m benchmarks.labels       SmolLM2-135M, 16 whole and 32 short answers, some minutes

Samples are texts of up to 32 tokens about 32 short answers. `at least` is the ratio of the tokens to read and to write,
with those that several prompts begin with counted once: no side of a token is cheaper than its matrix products.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

from benchmarks.engine.prompts import TEMPERATURE, TOP_P, n_tokens, requests
from benchmarks.scores import SCORES
from benchmarks.side import arguments
from console.table import Cell, print_table
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Request, Sampling
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import load_rubric
from records.files import BadRows, read_records
from trainer.prompts.seeds.reading import EFT

N_ANSWERS, REPEATS = 16, 2
N_SAMPLED, NEW_TOKENS, N_EACH = 32, 32, (1, 3)


def main() -> None:
    usual = TransformersEngine.load(resolve_model("smollm2"), "m", dtype="float32")
    print_table(sample_rows(usual))
    one, four = label_requests(1), label_requests(4)
    seconds = in_turns(lambda: list(usual.choose(one, SCORES[1:])), lambda: list(usual.choose(four, SCORES[1:])))
    print_table([{"labels": n, "CPU-s": s, "ratio": s / seconds[0]} for n, s in zip((1, 4), seconds, strict=True)])


def sample_rows(engine: TransformersEngine) -> list[dict[str, Cell]]:
    prompts, sampling = requests("text", N_SAMPLED), Sampling(NEW_TOKENS, TEMPERATURE, TOP_P)
    sides = [
        [replace(prompt, seed=n_each * prompt.seed + n) for prompt in prompts for n in range(n_each)]
        for n_each in N_EACH
    ]
    written = [0 for _ in sides]

    def write(side: int) -> None:
        written[side] = sum(answer.n_tokens for answer in engine.generate(sides[side], sampling))

    seconds = in_turns(partial(write, 0), partial(write, 1))
    n_tokens_of = [n_tokens(engine, prompts)[1] + n for n in written]
    return [
        {"samples": n, "written": w, "CPU-s": s, "ratio": s / seconds[0], "at least": all_ / n_tokens_of[0]}
        for n, w, s, all_ in zip(N_EACH, written, seconds, n_tokens_of, strict=True)
    ]


def label_requests(n_labels: int) -> list[Request]:
    rubric = load_rubric("criteria")
    ranked = [record for _, record in read_records(EFT, BadRows(strict=True))]
    pairs = [(record["prompt"], answer) for record in ranked for answer in record["responses"]][:N_ANSWERS]
    chats = [fill(rubric, "logprobs", {"prompt": prompt, "response": answer}) for prompt, answer in pairs]
    return [Request(chat, prefill=rubric.prefill(label)) for chat in chats for label in rubric.labels[:n_labels]]


def in_turns(*sides: Callable[[], object]) -> list[float]:
    """Return the median processor seconds of each side."""
    seconds: list[list[float]] = [[] for _ in sides]
    for repeat in range(REPEATS):
        for side, taken in list(zip(sides, seconds, strict=True))[:: -1 if repeat % 2 else 1]:
            started = time.process_time()
            side()
            taken.append(time.process_time() - started)
    return [median(taken) for taken in seconds]


if __name__ == "__main__":
    arguments(__doc__)
    main()
