"""The sides of benchmarks.ppo_vs_trl. Each is a process that trains and prints its times and peak memory.

python -m benchmarks.ppo_vs_trl.sides SIDE FOLDER

FOLDER has work.json and model/. The policy is saved there under the side's name. TRL's side runs in another Python
without this project's dependencies, so each side imports its own libraries.
"""

import json
import resource
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.side import arguments

WORDS = ["<pad>", "<s>", "</s>", "a", "b", "c", "d", "e", "ask"]
PAID = WORDS.index("a")
"""The token that is rewarded, once per occurrence."""


@dataclass(frozen=True)
class Work:
    """The work given to both sides. The defaults are the toy, whose answers can be enumerated."""

    words: int = len(WORDS)
    hidden: int = 16
    layers: int = 1
    prompt: int = 1
    """Words per prompt."""
    response: int = 3
    """Tokens of the longest answer."""
    answers: int = 128
    """Answers per step."""
    updates: int = 2
    """Optimiser steps on the answers of a step, each on a part of them."""
    epochs: int = 2
    """Passes over those parts."""
    steps: int = 20
    learning_rate: float = 1e-2
    kl_coef: float = 0.5
    seed: int = 0


def prompts(work: Work) -> list[str]:
    """Return the prompts of a step. The toy has one."""
    if work.words == len(WORDS):
        return [" ".join(["ask"] * work.prompt)]
    draw = Random(work.seed)
    return [
        " ".join(f"w{draw.randrange(work.words - len(WORDS))}" for _ in range(work.prompt)) for _ in range(work.answers)
    ]


def ours(work: Work, folder: Path, times: list[float]) -> None:
    """Train with this project, noting the time of each request for rewards."""
    from records import Prompt
    from trainer.ppo.options import PPOOptions
    from trainer.ppo.rewards import RewardSource
    from trainer.ppo.trainer import train_ppo

    def reward(_: Any, texts: list[str]) -> list[float]:
        times.append(time.process_time())
        return [float(text.split().count(WORDS[PAID])) for text in texts]

    options = PPOOptions(
        rollout_batch_size=work.answers,
        step_batch_size=work.answers // work.updates,
        micro_batch_size=work.answers // work.updates,
        generation_batch_size=work.answers,
        ppo_epochs=work.epochs,
        steps=work.steps,
        learning_rate=work.learning_rate,
        warmup_steps=0,
        kl_coef=work.kl_coef,
        kl_clamp=False,
        whiten_rewards=False,
        response_length=work.response,
    )
    rows = [Prompt(id=str(number), prompt=text) for number, text in enumerate(prompts(work))]
    train_ppo(folder / "model", folder / "ours", rows, RewardSource("paid", reward), options, work.seed)


def trl(work: Work, folder: Path, times: list[float]) -> None:
    """Train with TRL, noting the time of each request for rewards."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    class Counts(torch.nn.Module):
        """A stand-in for PPOTrainer's reward model, whose last hidden state counts the rewarded word so far."""

        base_model_prefix = "body"

        def __init__(self) -> None:
            super().__init__()
            self.body, self.score = Body(), torch.nn.Identity()

    class Body(torch.nn.Module):
        def forward(self, input_ids: Any, **_: Any) -> Any:
            times.append(time.process_time())
            counts = (input_ids == PAID).cumsum(1)[..., None].float()
            return type("Output", (), {"hidden_states": [counts]})()

    tokenizer = AutoTokenizer.from_pretrained(folder / "model", padding_side="left")
    policy, reference = (AutoModelForCausalLM.from_pretrained(folder / "model") for _ in range(2))
    value = AutoModelForSequenceClassification.from_pretrained(folder / "model", num_labels=1)
    torch.nn.init.zeros_(value.score.weight)
    rows = [{"input_ids": [1, *tokenizer(text, add_special_tokens=False)["input_ids"]]} for text in prompts(work)]
    args = PPOConfig(
        output_dir=str(folder / "trl.tmp"),
        per_device_train_batch_size=work.answers // work.updates,
        gradient_accumulation_steps=work.updates,
        num_mini_batches=work.updates,
        local_rollout_forward_batch_size=work.answers,
        num_ppo_epochs=work.epochs,
        total_episodes=work.answers * work.steps,
        learning_rate=work.learning_rate,
        adam_epsilon=1e-5,
        kl_coef=work.kl_coef,
        lam=1.0,
        response_length=work.response,
        stop_token="eos",
        temperature=1.0,
        num_sample_generations=0,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        seed=work.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    n_copies = -(-work.answers // len(rows))
    trainer = PPOTrainer(
        args=args,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=Counts(),
        value_model=value,
        train_dataset=Dataset.from_list(rows * n_copies),
        eval_dataset=Dataset.from_list(rows[:1]),
    )
    trainer.train()
    policy.save_pretrained(folder / "trl")


def measure(side: str, folder: Path) -> dict[str, Any]:
    """Train, and return the seconds of each step after the first, and the MiB above a process with the libraries."""
    import datasets  # noqa: F401
    import torch  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, Trainer  # noqa: F401

    work, times, before = Work(**json.loads((folder / "work.json").read_text())), list[float](), _resident_mib()
    {"ours": ours, "trl": trl}[side](work, folder, times)
    seconds = [after - start for start, after in pairwise(times[1:])]
    return {"seconds": seconds, "peak_mib": _resident_mib() - before}


def _resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    side, folder = arguments(__doc__, "SIDE", "FOLDER")
    print(json.dumps(measure(side, Path(folder))))
