"""The share of held-out answers that follow a constraint, before and after GRPO and RLOO, on a small model.

python -m benchmarks.grpo --out /tmp/grpo                SmolLM2-135M, 20 steps of 16 answers each
python -m benchmarks.grpo --out /tmp/grpo --methods grpo --steps 40 --seed 1

Every prompt asks for an answer without commas. The reward is that of `trainer.grpo --tool constraints --verify strict`.
The held-out prompts are others, and each is answered several times, at temperature 1.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

import msgspec
import tyro

from console.table import Cell, print_table
from engines.models import resolve_model
from engines.options import EngineOptions, open_engine
from engines.protocol import Request, Sampling
from judges import Judge
from judges.intervals.mean import mean_of
from judges.tools.options import EvidenceOptions
from records import Prompt, messages_of, text_of
from records.keys import content_key, derived_seed
from records.rows import Constraint
from trainer.grpo.options import GRPOOptions
from trainer.grpo.reward_options import RewardOptions
from trainer.grpo.train import train_grpo
from trainer.prompts.seeds.reading import ift_chats, seed_prompts
from trainer.training.outcome import report_of

NO_COMMA = Constraint(kind="punctuation:no_comma", kwargs={})
OF_TRAINING = ("reward, first", "reward, last", "kl", "steps", "CPU-s")
"""The columns that only a trained model has."""
STRICT = EvidenceOptions(tool="constraints", verify="strict")


@dataclass(frozen=True)
class Config:
    """Train by each method, and measure."""

    out: Path
    """The folder of the models. One that is there is measured and not trained again."""
    model: str = "smollm2"
    methods: tuple[Literal["grpo", "rloo"], ...] = ("grpo", "rloo")
    steps: int = 20
    held_out: int = 48
    """Prompts that no training sees."""
    answers: int = 8
    """Answers to each of them."""
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
    before = _follows(parent, held_out, config)
    rows: list[dict[str, Cell]] = [{"model": config.model, **_shares(before, before), **dict.fromkeys(OF_TRAINING)}]
    for method in config.methods:
        columns = _trained(parent, rest, method, config)
        after = _follows(_out(method, config), held_out, config)
        rows.append({"model": method, **_shares(after, before), **columns})
    print_table(rows)


def _prompts() -> list[Prompt]:
    """Return the packaged prompts, and the first turns of the packaged conversations."""
    asked = {chat[0]["content"]: None for chat in ift_chats(None) if chat[0]["role"] == "user"}
    texts = dict.fromkeys([*(text_of(prompt.prompt) for prompt in seed_prompts(None)), *asked])
    return [Prompt(id=content_key("no comma", text), prompt=text) for text in texts]


def _out(method: str, config: Config) -> Path:
    return config.out / method / "model"


def _trained(parent: Path, prompts: list[Prompt], method: Literal["grpo", "rloo"], config: Config) -> dict[str, Cell]:
    options, out = replace(config.training, method=method), _out(method, config)
    is_there = out.exists()  # of an earlier run of this benchmark
    started = time.process_time()
    if not is_there:
        out.parent.mkdir(parents=True, exist_ok=True)
        chosen = [prompts[n % len(prompts)] for n in range(config.steps * options.prompts_per_step)]
        train_grpo(parent, out, chosen, RewardOptions(evidence=STRICT), options, config.seed)
    seconds = None if is_there else round(time.process_time() - started)
    trained = report_of(out)
    figures = (trained.metrics.get(name) for name in ("reward_first", "reward_last", "kl"))
    return dict(zip(OF_TRAINING, (*figures, trained.n_steps, seconds), strict=True))


def _follows(model: Path, prompts: list[Prompt], config: Config) -> list[float]:
    """Return for each prompt the share of its answers that follow the constraint."""
    engine, n = open_engine(EngineOptions(str(model))), config.answers
    sampling = Sampling(config.training.response_length, 1.0, 1.0)
    asked = [
        Request(messages_of(prompt.prompt), derived_seed("held out", prompt.id, number, config.seed))
        for prompt in prompts
        for number in range(n)
    ]
    answers = {completion.index: completion.text for completion in engine.generate(asked, sampling)}
    judge = Judge.open(tool="constraints", verify="strict")
    texts = [answers[place] for place in range(len(asked))]
    of_texts = [prompt.prompt for prompt in prompts for _ in range(n)]
    judged = judge.score(of_texts, texts, constraints=[[NO_COMMA]] * len(texts))
    high = judge.rubric.scale[1]
    follows = [float(judgment.score == high) for judgment in judged]
    return [fmean(follows[start : start + n]) for start in range(0, len(follows), n)]


def _shares(after: list[float], before: list[float]) -> dict[str, Cell]:
    """Return the mean share and its difference from that before, in percent, with 95% intervals over prompts."""
    differences = [100 * (now - then) for now, then in zip(after, before, strict=True)]
    return {
        "follows, %": mean_of([100 * share for share in after]).text(1),
        "difference": None if after is before else mean_of(differences).text(1, sign=True),
    }


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.grpo"))
