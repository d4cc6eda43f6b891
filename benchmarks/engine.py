"""The transformers engine against plain `generate` on left-padded batches of 16, on the judge's own prompts.

python -m benchmarks.engine                 SmolLM2-135M, 64 prompts, both readings, some minutes on two cores
python -m benchmarks.engine --repeats 1 --prompts 16 --readings logprobs

Both sides use the same model, dtype, prompts and sampling settings, and take turns in one process. The table has
medians over the repeats: seconds, tokens written (text) or rows read (logprobs) per second, and their ratio.
"""

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import tyro
from transformers import AutoModelForCausalLM

from console.progress import say
from console.table import Cell, print_table
from engines.local.batches import plan
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Request, Sampling
from judges.options import Reading
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import load_rubric
from records.files import BadRows, read_records
from trainer.seeds.reading import EFT

PLAIN_BATCH = 16
ANSWER_CHARS = 70
Side = Callable[[], int]
"""Asks all prompts in one way, and returns the tokens written or the rows read."""


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    model: str = "smollm2"
    prompts: int = 64
    new_tokens: int = 96
    repeats: int = 3
    readings: tuple[Reading, ...] = ("text", "logprobs")


def main(config: Config) -> None:
    folder = resolve_model(config.model)
    engine = TransformersEngine.load(folder, config.model)
    plain = plain_model(folder)
    sampling = Sampling(config.new_tokens, 0.7, 0.9)
    text, logprobs = requests("text", config.prompts), requests("logprobs", config.prompts)
    describe(engine, logprobs)
    sides: dict[Reading, tuple[Side, Side]] = {
        "text": (lambda: written(engine, text, sampling), lambda: plain_text(engine, plain, text, sampling)),
        "logprobs": (lambda: read(engine, logprobs), lambda: plain_logprobs(engine, plain, logprobs)),
    }
    print_table([compare(reading, config.repeats, *sides[reading]) for reading in config.readings])


def requests(reading: Reading, n: int) -> list[Request]:
    """Return judge prompts of about 400 tokens: the packaged ranked answers, each cut off at ANSWER_CHARS."""
    rubric = load_rubric("additive")
    prefill = rubric.prefill(rubric.label) if reading == "logprobs" else ""
    ranked = [record for _, record in read_records(EFT, BadRows(strict=True))]
    texts = [(record["prompt"], answer[:ANSWER_CHARS]) for record in ranked for answer in record["responses"]]
    chats = [fill(rubric, reading, {"prompt": prompt, "response": answer}) for prompt, answer in texts]
    return [Request(chat, seed=index, prefill=prefill) for index, chat in enumerate(chats[:n])]


def describe(engine: TransformersEngine, prompts: list[Request]) -> None:
    encoded = engine._encode(prompts, "")
    shared = plan(encoded, 1, 0, share_prefix=True).n_prefix
    mean = sum(map(len, encoded)) / len(encoded)
    say(f"{len(prompts)} prompts of {mean:.0f} tokens on average, {shared} shared; {torch.get_num_threads()} threads")


def compare(reading: str, n_repeats: int, ours: Side, theirs: Side) -> dict[str, Cell]:
    """Run both sides in turns and return a table row."""
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    for repeat in range(n_repeats):
        for name, side in (("ours", ours), ("plain", theirs)):
            gc.collect()
            started = time.perf_counter()
            n_tokens = side()
            seconds[name].append(time.perf_counter() - started)
            rates[name].append(n_tokens / seconds[name][-1])
            say(f"{reading} {repeat + 1}/{n_repeats} {name}: {seconds[name][-1]:.1f} s, {n_tokens} tokens")
    return {
        "reading": reading,
        "plain, s": median(seconds["plain"]),
        "ours, s": median(seconds["ours"]),
        "plain, per s": median(rates["plain"]),
        "ours, per s": median(rates["ours"]),
        "ratio": median(a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)),
    }


def written(engine: TransformersEngine, prompts: list[Request], sampling: Sampling) -> int:
    return sum(completion.n_tokens for completion in engine.generate(prompts, sampling))


def read(engine: TransformersEngine, prompts: list[Request]) -> int:
    return len(list(engine.choose(prompts, ["0", "1", "2", "3", "4", "5"])))


def plain_model(folder: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def plain_batches(engine: TransformersEngine, prompts: list[Request]) -> Any:
    texts = [
        engine.tokenizer.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
        + request.prefill
        for request in prompts
    ]
    engine.tokenizer.padding_side = "left"
    for start in range(0, len(texts), PLAIN_BATCH):
        batch = texts[start : start + PLAIN_BATCH]
        yield engine.tokenizer(batch, return_tensors="pt", padding=True, add_special_tokens=False)


@torch.inference_mode()
def plain_text(engine: TransformersEngine, model: Any, prompts: list[Request], sampling: Sampling) -> int:
    n_tokens = 0
    for batch in plain_batches(engine, prompts):
        output = model.generate(
            **batch,
            max_new_tokens=sampling.max_new_tokens,
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
        )
        new = output[:, batch["input_ids"].shape[1] :]
        n_tokens += int((new != engine.tokenizer.eos_token_id).sum())
    return n_tokens


@torch.inference_mode()
def plain_logprobs(engine: TransformersEngine, model: Any, prompts: list[Request]) -> int:
    n_read = 0
    for batch in plain_batches(engine, prompts):
        output = model.generate(
            **batch, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        n_read += len(output.logits[0].log_softmax(-1))
    return n_read


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.engine"))
