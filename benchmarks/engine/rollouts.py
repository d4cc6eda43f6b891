"""Seconds of a PPO rollout's answers drawn by transformers and by vLLM in one process, in turns.

python -m benchmarks.engine.rollouts --repeats 5        SmolLM2-135M, 64 answers of 64 tokens; needs vLLM

vLLM's seconds have the loading of the policy's weights and the check of what it computes, also shown alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import torch
import tyro

from console.progress import say
from console.table import print_table
from engines.chat.template import encoded, rendered
from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm.live import LiveVllm
from engines.models import resolve_model
from engines.protocol import Sampling
from records.rows import messages_of
from trainer.ppo.options import PPOOptions
from trainer.ppo.rollout import Sampler
from trainer.ppo.sampler import open_sampler
from trainer.prompts.seeds.reading import CONSTRAINED, seed_prompts
from trainer.training.fit import load_policy


@dataclass(frozen=True)
class Config:
    """Compare the engines of a rollout."""

    model: str = "smollm2"
    answers: int = 64
    """One to a prompt."""
    new_tokens: int = 64
    batch_size: int = 32
    """Answers that an engine writes at once."""
    repeats: int = 5
    precision: Literal["no", "bf16"] = "no"
    """accelerate's name of the training's precision."""


@dataclass(frozen=True)
class Turn:
    """The time of one rollout, and what it drew."""

    seconds: float
    cpu_s: float
    tokens: int


def main(config: Config) -> None:
    """Start vLLM, let both engines draw in turns, and print the medians."""
    folder = resolve_model(config.model)
    policy, tokenizer = load_policy(folder)
    usual = TransformersEngine.of_live(policy, tokenizer, "policy", config.batch_size)
    chats = [messages_of(prompt.prompt) for prompt in seed_prompts(CONSTRAINED)[: config.answers]]
    sequences = encoded(tokenizer, [rendered(tokenizer, chat, opening=True) for chat in chats])
    options = PPOOptions(
        rollout_engine="vllm",
        query_length=max(map(len, sequences)),
        response_length=config.new_tokens,
        generation_batch_size=config.batch_size,
    )
    wall, cpu = time.monotonic(), time.process_time()
    context = torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16, config.precision == "bf16")
    with context:
        in_vllm = open_sampler(usual, folder, options, config.precision)
        assert isinstance(in_vllm, LiveVllm)
        say(f"they differ by {in_vllm.apart():.2g} nats a token")
    say(f"vLLM started in {time.monotonic() - wall:.1f} s, {time.process_time() - cpu:.1f} processor seconds")
    sampling, seeds = Sampling(config.new_tokens, 1.0, 1.0), list(range(len(sequences)))

    def drawn(engine: Sampler) -> int:
        with context:
            return sum(len(row.tokens) for row in engine.sample(sequences, seeds, sampling))

    def followed() -> int:
        with context:
            in_vllm.follow()
        return 0

    works: dict[str, Callable[[], int]] = {
        "transformers": lambda: drawn(usual),
        "vLLM": lambda: drawn(in_vllm),
        "of it, the weights": followed,
    }
    sampling = replace(sampling, max_new_tokens=2)
    for work in works.values():  # once, for what is made at a first call
        work()
    sampling = replace(sampling, max_new_tokens=config.new_tokens)
    turns = []
    for number in range(config.repeats):
        turns.append({name: timed(work) for name, work in works.items()})
        say(f"turn {number + 1}: " + ", ".join(f"{name} {turn.cpu_s:.1f}" for name, turn in turns[-1].items()))
    print_table([row_of(name, turns) for name in works])


def timed(work: Callable[[], int]) -> Turn:
    """Return the time of one turn."""
    wall, cpu = time.monotonic(), time.process_time()
    tokens = work()
    return Turn(time.monotonic() - wall, time.process_time() - cpu, tokens)


def row_of(name: str, turns: list[dict[str, Turn]]) -> dict[str, str | float]:
    """Return the medians of an engine, and of its ratios in each turn."""
    ratios = [turn[name].cpu_s / turn["transformers"].cpu_s for turn in turns]
    return {
        "engine": name,
        "tokens": median(turn[name].tokens for turn in turns),
        "seconds": median(turn[name].seconds for turn in turns),
        "processor seconds": median(turn[name].cpu_s for turn in turns),
        "/ transformers": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.engine.rollouts"))
