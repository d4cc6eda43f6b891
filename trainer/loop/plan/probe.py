"""Measures in some seconds how fast this machine runs a model: reading, writing, judging, training."""

import gc
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from console.progress import say
from engines.chat.template import rendered
from engines.local.decoding import SIDE_ROWS, n_side_by_side
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from records.rows import Message, Prompt, Response, messages_of
from trainer.loop.recipe import Config, Hardware, as_trained
from trainer.sft.options import SFTOptions
from trainer.training.fit import load_policy

MAX_ROWS = SIDE_ROWS
"""The most rows of a batch. With fewer, batches are not decoded side by side."""
WRITTEN = 16
JUDGED = 6
MULTIPLIED_S = 0.2
"""The seconds of multiplying that `this_machine` takes."""
CPU_MFU = 0.8
"""The share of a processor's speed at multiplying that training and generating reach: SmolLM2-135M on two cores."""
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Speeds:
    """Measured speeds. Rates per second are those of the whole machine."""

    load_s: float
    """Seconds to load the model once."""
    read_per_s: float
    """Prompt tokens per second."""
    written_per_s: float
    """New tokens per second, with rows written together."""
    judge_call_s: float | None
    """Seconds per question to the judge, including its share of the common rubric. None unless it reads
    log-probabilities."""
    trained_per_s: float
    """Tokens per second of a forward and backward pass."""
    step_s: float
    """Seconds of the optimiser's part of a step."""
    inference_bytes: float | None
    """Peak memory while answering and judging. None if the system does not report it."""
    training_bytes: float | None
    """Peak memory while training."""


def probe(folder: Path, config: Config, prompts: Sequence[Prompt], sft_chats: Sequence[Sequence[Message]]) -> Speeds:
    """Measure the model in `folder` on this machine: it writes some tokens, judges once and trains a step."""
    say("measuring the speed of this machine; --estimate.no-measure leaves it out")
    _reset_peak()
    options = config.engine
    engine = TransformersEngine.load(
        folder, "measured", options.batch_size, options.chat_template_kwargs, options.dtype
    )
    read_per_s, written_per_s = _answering(engine, prompts, config.candidates.prompts * config.candidates.n)
    judge_call_s = (
        _judging(engine, config.judge, config.candidates.max_new_tokens, prompts[0], config.seed)
        if config.judge.read == "logprobs"
        else None
    )
    inference_peak = _peak_bytes()
    del engine
    gc.collect()
    _reset_peak()
    load_s, trained_per_s, step_s = _training(folder, as_trained(config.sft, config), sft_chats)
    return Speeds(load_s, read_per_s, written_per_s, judge_call_s, trained_per_s, step_s, inference_peak, _peak_bytes())


@cache
def this_machine() -> Hardware:
    """Return this machine as one accelerator, from a fraction of a second of multiplying: a guess, to be corrected.

    A process measures it once.
    """
    on_gpu = torch.cuda.is_available()
    n, dtype = (8192, torch.bfloat16) if on_gpu else (1024, torch.float32)
    matrix = torch.ones((n, n), dtype=dtype, device="cuda" if on_gpu else "cpu")
    _timed(lambda: matrix @ matrix)  # the first is slower
    seconds, n_multiplied = 0.0, 0
    while seconds < MULTIPLIED_S:
        seconds += _timed(lambda: matrix @ matrix)
        n_multiplied += 1
    tflops = n_multiplied * 2 * n**3 / seconds / 1e12  # a multiplication and an addition for each of n³
    if on_gpu:
        return Hardware(gpus=1, gpu_tflops=tflops)
    return Hardware(gpus=1, gpu_tflops=tflops, mfu_training=CPU_MFU, mfu_inference=CPU_MFU)


def rows_at_once(n_rows: int, batch_size: int, device_type: str) -> int:
    """Return how many rows to measure so that as many batches are decoded side by side as for `n_rows`."""
    n_side = n_side_by_side(n_rows, device_type)
    return min(batch_size, MAX_ROWS) if n_side == 1 else n_side * MAX_ROWS


def _answering(engine: TransformersEngine, prompts: Sequence[Prompt], n_answers: int) -> tuple[float, float]:
    """Return prompt tokens read and new tokens written per second, from long answers minus one-token answers.

    `n_answers` are those of the whole stage.
    """
    n_rows = rows_at_once(n_answers, engine.batch_size, engine.model.device.type)
    rows = zip(cycle(prompts), range(n_rows), strict=False)
    requests = [Request(messages_of(prompt.prompt, prompt.system), seed=n) for prompt, n in rows]
    list(engine.generate(requests, Sampling(2)))  # the first call is slower
    seconds, n_written, n_read = [], [], 0
    # the difference of the two is writing alone, without reading the prompt
    for n_new in (1, 1 + WRITTEN):
        started = time.monotonic()
        answers = list(engine.generate(requests, Sampling(n_new, temperature=1.0, top_p=1.0)))
        seconds.append(time.monotonic() - started)
        n_written.append(sum(answer.n_tokens for answer in answers))
        n_read = sum(answer.n_prompt_tokens for answer in answers)
    more_s, n_more = seconds[1] - seconds[0], n_written[1] - n_written[0]
    if more_s <= 0 or n_more <= 0:  # on a busy machine one token can take longer than many
        more_s, n_more = seconds[1], n_written[1]
    return n_read / seconds[0], max(n_more, 1) / more_s


def _judging(engine: TransformersEngine, options: JudgeOptions, n_answer: int, prompt: Prompt, seed: int) -> float:
    """Return the seconds per question about an answer of full length, over a few questions that share their rubric."""
    judge = open_judge(engine, options, seed)
    text = "word " * (n_answer * 3 // 4)  # four tokens to three words, about
    # Each begins with another word, because the engine reads only once what texts begin with.
    responses = [
        Response(id=str(n), prompt_id="", prompt=prompt.prompt, response=f"{n} {text}", model="") for n in range(JUDGED)
    ]
    started = time.monotonic()
    list(judge.judge(responses))
    return (time.monotonic() - started) / JUDGED / judge.n_questions


def _training(folder: Path, options: SFTOptions, chats: Sequence[Sequence[Message]]) -> tuple[float, float, float]:
    """Return the seconds of a load, tokens per second forward and backward, and the seconds of an optimiser step."""
    started = time.monotonic()  # the second load, because the first also imports modules
    model, tokenizer = load_policy(folder, options.chat_template_kwargs)
    load_s = time.monotonic() - started
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).train()
    texts = sorted((rendered(tokenizer, chat, opening=False) for chat in chats), key=len)
    # the text of median length, as many times as a micro-batch has rows
    tokens = tokenizer(texts[len(texts) // 2], add_special_tokens=False)["input_ids"][: options.max_length]
    ids_BL = torch.tensor([tokens] * options.micro_batch_size, device=device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0)  # a step takes as long with any rate
    pass_s, step_s = 0.0, 0.0
    for _ in range(2):  # the first pass is slower, because it allocates memory and the optimiser's moments
        pass_s = _timed(lambda: model(input_ids=ids_BL, labels=ids_BL).loss.backward())
        step_s = _timed(optimiser.step)
        optimiser.zero_grad()
    return load_s, ids_BL.numel() / pass_s, step_s


def _timed(work: Any) -> float:
    started = time.monotonic()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # a kernel is only queued when its call returns
    return time.monotonic() - started


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        CLEAR.write_text("5")  # on Linux this resets the peak of the resident set


def _peak_bytes() -> float | None:
    """Return the peak memory since the reset: of the GPU, or of the process if the system reports it."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    peak = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return 1024.0 * int(peak[1]) if peak else None
