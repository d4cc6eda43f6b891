"""The share of held-out answers that follow a constraint, before and after GRPO and RLOO, on a small model.

python -m benchmarks.grpo --out /tmp/grpo                SmolLM2-135M, 20 steps each; 7 minutes of one core
python -m benchmarks.grpo --out /tmp/grpo --methods grpo --steps 40 --seed 1

Every prompt asks for an answer without commas. The reward is that of `trainer.grpo --tool constraints --verify strict`.
The held-out prompts are others, and each is answered once, at temperature 1.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec
import tyro

from console.table import Cell, print_table
from engines.models import resolve_model
from engines.options import EngineOptions, open_engine
from engines.protocol import Request, Sampling
from judges import Judge
from judges.intervals.proportion import wilson
from judges.tools.options import EvidenceOptions
from records import Prompt, messages_of, text_of
from records.keys import content_key, derived_seed
from records.rows import Constraint
from trainer.grpo.options import GRPOOptions
from trainer.grpo.reward_options import RewardOptions
from trainer.grpo.train import train_grpo
from trainer.prompts.seeds.reading import ift_chats, seed_prompts

NO_COMMA = Constraint(kind="punctuation:no_comma", kwargs={})
OF_TRAINING = ("reward, first", "reward, last", "kl", "steps", "CPU-s")
"""The columns that only a trained model has."""
STRICT = EvidenceOptions(tool="constraints", verify="strict")


@dataclass(frozen=True)
class Config:
    """Train by each method, and measure."""

    out: Path
    """A new folder for the models."""
    model: str = "smollm2"
    methods: tuple[Literal["grpo", "rloo"], ...] = ("grpo", "rloo")
    steps: int = 20
    held_out: int = 48
    """Prompts that no training sees."""
    seed: int = 0
    training: tyro.conf.OmitArgPrefixes[GRPOOptions] = field(
        default_factory=lambda: GRPOOptions(
            learning_rate=1e-5, batch_size=16, micro_batch_size=8, group_size=8, response_length=32, max_length=256
        )
    )


def main(config: Config) -> None:
    """Train, measure and print the table."""
    prompts = [
        msgspec.structs.replace(prompt, prompt=f"{prompt.prompt} Do not use any commas.", constraints=[NO_COMMA])
        for prompt in _prompts()
    ]
    held_out, rest = prompts[: config.held_out], prompts[config.held_out :]
    parent = resolve_model(config.model)
    before = _measured(parent, held_out, config)
    rows: list[dict[str, Cell]] = [{"model": config.model, **before, **dict.fromkeys(OF_TRAINING)}]
    for method in config.methods:
        rows.append(_trained(parent, rest, held_out, method, config))
    print_table(rows)


def _prompts() -> list[Prompt]:
    """Return the packaged prompts, and the first turns of the packaged conversations."""
    asked = {chat[0]["content"]: None for chat in ift_chats(None) if chat[0]["role"] == "user"}
    texts = dict.fromkeys([*(text_of(prompt.prompt) for prompt in seed_prompts(None)), *asked])
    return [Prompt(id=content_key("no comma", text), prompt=text) for text in texts]


def _trained(
    parent: Path, prompts: list[Prompt], held_out: list[Prompt], method: Literal["grpo", "rloo"], config: Config
) -> dict[str, Cell]:
    options = replace(config.training, method=method)
    out = config.out / method / "model"
    out.parent.mkdir(parents=True, exist_ok=True)
    n_prompts = config.steps * options.prompts_per_step
    started = time.process_time()
    chosen = [prompts[n % len(prompts)] for n in range(n_prompts)]
    trained = train_grpo(parent, out, chosen, RewardOptions(evidence=STRICT), options, config.seed)
    seconds = time.process_time() - started
    figures = (*(trained.metrics.get(name) for name in ("reward_first", "reward_last", "kl")), trained.n_steps)
    columns = dict(zip(OF_TRAINING, (*figures, round(seconds)), strict=True))
    return {"model": method, **_measured(out, held_out, config), **columns}


def _measured(model: Path, prompts: list[Prompt], config: Config) -> dict[str, Cell]:
    """Return the share of answers that follow the constraint, with its interval, and their mean length in words."""
    engine = open_engine(EngineOptions(str(model)))
    sampling = Sampling(config.training.response_length, 1.0, 1.0)
    asked = [
        Request(messages_of(prompt.prompt), derived_seed("held out", prompt.id, config.seed)) for prompt in prompts
    ]
    answers = {completion.index: completion.text for completion in engine.generate(asked, sampling)}
    texts = [answers[n] for n in range(len(prompts))]
    judge = Judge.open(tool="constraints", verify="strict")
    judged = judge.score([prompt.prompt for prompt in prompts], texts, constraints=[[NO_COMMA]] * len(texts))
    high = judge.rubric.scale[1]
    follows = [judgment.score == high for judgment in judged]
    share = sum(follows) / len(follows)
    low_end, high_end = wilson(share, len(follows))
    return {
        "follows, %": round(100 * share, 1),
        "95% interval": f"{100 * low_end:.0f} to {100 * high_end:.0f}",
        "words": round(sum(len(text.split()) for text in texts) / len(texts), 1),
    }


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.grpo"))
