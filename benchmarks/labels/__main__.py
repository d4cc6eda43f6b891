"""Processor seconds of four labels of one rubric against one label, and of bfloat16 against float32 with its verdicts.

OMP_NUM_THREADS=1 python -m benchmarks.labels       SmolLM2-135M, 16 whole and 64 short answers, some minutes
"""

import math
import time
from collections.abc import Callable
from statistics import correlation, fmean, median, pstdev

from benchmarks.engine.prompts import ANSWER_CHARS, requests
from benchmarks.side import arguments
from console.table import print_table
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Request
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import load_rubric
from records.files import BadRows, read_records
from trainer.seeds.reading import EFT

N_ANSWERS, N_SHORT, REPEATS = 16, 64, 2
SCORES = ["0", "1", "2", "3", "4", "5"]


def main() -> None:
    usual, short = (TransformersEngine.load(resolve_model("smollm2"), "m", dtype=d) for d in ("float32", "bfloat16"))
    one, four = label_requests(1), label_requests(4)
    seconds = in_turns(lambda: list(usual.choose(one, SCORES[1:])), lambda: list(usual.choose(four, SCORES[1:])))
    print_table([{"labels": n, "CPU-s": s, "ratio": s / seconds[0]} for n, s in zip((1, 4), seconds, strict=True)])
    asked = requests("logprobs", N_SHORT)
    seconds = in_turns(lambda: scores(usual, asked), lambda: scores(short, asked))
    a, b = scores(usual, asked), scores(short, asked)
    changes = {
        "mean difference": fmean(abs(x - y) for x, y in zip(a, b, strict=True)),
        "their sd": pstdev(a),
        "rank correlation": correlation(ranks(a), ranks(b)),
    }
    print_table([{"answers of": ANSWER_CHARS, "float32, CPU-s": seconds[0], "bfloat16, CPU-s": seconds[1], **changes}])


def label_requests(n_labels: int) -> list[Request]:
    rubric = load_rubric("criteria")
    ranked = [record for _, record in read_records(EFT, BadRows(strict=True))]
    pairs = [(record["prompt"], answer) for record in ranked for answer in record["responses"]][:N_ANSWERS]
    chats = [fill(rubric, "logprobs", {"prompt": prompt, "response": answer}) for prompt, answer in pairs]
    return [Request(chat, prefill=rubric.prefill(label)) for chat in chats for label in rubric.labels[:n_labels]]


def in_turns(*sides: Callable[[], object]) -> list[float]:
    """Return the median processor seconds of each side."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(REPEATS):
        for side, taken in zip(sides, seconds, strict=True):
            started = time.process_time()
            side()
            taken.append(time.process_time() - started)
    return [median(taken) for taken in seconds]


def scores(engine: TransformersEngine, asked: list[Request]) -> list[float]:
    """Return the expected score of each answer."""
    found = {}
    for choice in engine.choose(asked, SCORES):
        masses = [math.exp(logprob) for logprob in choice.logprobs]
        found[choice.index] = sum(score * mass for score, mass in enumerate(masses)) / sum(masses)
    return [found[index] for index in range(len(asked))]


def ranks(values: list[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    return [float(order.index(index)) for index in range(len(values))]


if __name__ == "__main__":
    arguments(__doc__)
    main()
