"""One training by one side in a process of its own: this project's trainer, or TRL's with the same settings.

python -m benchmarks.training.sides '{"side": "trl", "training": "sft", ...}'      prints its figures as JSON
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)

import trainer.training.fit
from benchmarks.side import arguments
from engines.models import resolve_model
from records import Pair, Prompt, messages_of
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.grpo.options import GRPOOptions
from trainer.grpo.reward_options import RewardOptions as GRPORewards
from trainer.grpo.train import train_grpo
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import train_reward_model
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.options import LoraOptions

TRAININGS = ("sft", "sft-lora", "dpo", "dpo-lora", "reward_model", "grpo")
R = 16
WORDS = ("rivers", "trains", "bread", "answers", "weather", "letters", "numbers", "gardens")


@dataclass(frozen=True)
class Work:
    """A training, the same for both sides."""

    side: str
    training: str
    out: str
    model: str = "smollm2"
    steps: int = 6
    batch: int = 4
    micro_batch: int = 2
    words: int = 96
    """Words of the longest answer. The shortest has a third."""
    new_tokens: int = 24
    """Tokens that GRPO's answers have at most."""

    @property
    def shared(self) -> dict[str, Any]:
        """The settings by the names of this project."""
        lora = LoraOptions(r=R if self.training.endswith("lora") else 0)
        return {
            "batch_size": self.batch,
            "micro_batch_size": self.micro_batch,
            "max_length": 512,
            "learning_rate": 1e-5,
            "save_minutes": 0.0,
            "activation_checkpointing": "off",
            "lora": lora,
        }


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes the processor time at the end of each optimizer step."""

    def __init__(self) -> None:
        self.ends_s: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.ends_s.append(time.process_time())


def measured(work: Work) -> dict[str, float]:
    """Train, and return the processor seconds of a step and the growth of the resident set at its highest."""
    parent, out, clock = resolve_model(work.model), Path(work.out), Clock()
    shutil.rmtree(out, ignore_errors=True)
    before, started = resident("VmRSS"), time.process_time()
    if work.side == "ours":
        _ours(work, parent, out, clock)
    else:
        _trl(work, parent, out, clock)
    steps = [end - start for start, end in zip(clock.ends_s, clock.ends_s[1:], strict=False)]
    whole = time.process_time() - started
    shutil.rmtree(out, ignore_errors=True)
    return {"step": median(steps), "bytes": resident("VmHWM") - before, "whole": whole}


def _ours(work: Work, parent: Path, out: Path, clock: Clock) -> None:
    watch = trainer.training.fit.Watch

    def watched(made: Any, *rest: Any) -> Any:
        made.add_callback(clock)
        return watch(made, *rest)

    trainer.training.fit.Watch = watched  # type: ignore[assignment,misc]
    pairs, kind = pairs_of(work), work.training.removesuffix("-lora")
    if kind == "sft":
        train_sft(parent, out, [[*pair.prompt, *pair.chosen] for pair in pairs], SFTOptions(**work.shared), 0)
    elif kind == "dpo":
        train_dpo(parent, out, pairs, DPOOptions(**work.shared), 0)
    elif kind == "reward_model":
        train_reward_model(parent, out, pairs, RewardOptions(**work.shared), 0)
    else:
        options = GRPOOptions(**work.shared, group_size=work.batch, response_length=work.new_tokens)
        prompts = [Prompt(id=pair.prompt_id, prompt=pair.prompt[0]["content"]) for pair in pairs[:: work.batch]]
        train_grpo(parent, out, prompts, GRPORewards(reward=f"{__name__}:lengths"), options, 0)


def lengths(prompts: Any, answers: list[str]) -> list[float]:
    """Return a reward for each answer."""
    return [float(len(answer)) for answer in answers]


def _trl(work: Work, parent: Path, out: Path, clock: Clock) -> None:
    shared = work.shared
    settings: dict[str, Any] = {
        "output_dir": str(out),
        "per_device_train_batch_size": work.micro_batch,
        "gradient_accumulation_steps": work.batch // work.micro_batch,
        "learning_rate": shared["learning_rate"],
        "lr_scheduler_type": "cosine",
        "num_train_epochs": 1,
        "gradient_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
    tokenizer = AutoTokenizer.from_pretrained(parent)
    peft = LoraConfig(r=R, lora_alpha=32, target_modules="all-linear") if shared["lora"].r else None
    more: dict[str, Any] = {"processing_class": tokenizer, "callbacks": [clock]}
    more |= {"peft_config": peft} if peft else {}
    pairs, kind, max_length = pairs_of(work), work.training.removesuffix("-lora"), shared["max_length"]
    if kind == "reward_model":
        model = AutoModelForSequenceClassification.from_pretrained(parent, num_labels=1, dtype=torch.float32)
        rows = [{"chosen": [*pair.prompt, *pair.chosen], "rejected": [*pair.prompt, *pair.rejected]} for pair in pairs]
        args: Any = RewardConfig(**settings, max_length=max_length)
        made: Any = RewardTrainer(model, args=args, train_dataset=Dataset.from_list(rows), **more)
    else:
        model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
        if kind == "sft":
            rows = [{"prompt": pair.prompt, "completion": pair.chosen} for pair in pairs]
            args = SFTConfig(**settings, max_length=max_length, completion_only_loss=True)
            made = SFTTrainer(model, args=args, train_dataset=Dataset.from_list(rows), **more)
        elif kind == "dpo":
            rows = [{"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]
            args = DPOConfig(**settings, max_length=max_length, precompute_ref_log_probs=True)
            made = DPOTrainer(model, args=args, train_dataset=Dataset.from_list(rows), **more)
        else:
            rows = [{"prompt": pair.prompt} for pair in pairs[:: work.batch]]
            args = GRPOConfig(
                **settings,
                num_generations=work.batch,
                max_completion_length=work.new_tokens,
                beta=GRPOOptions.beta,
                temperature=1.0,
                top_p=1.0,
            )
            made = GRPOTrainer(model, reward_funcs=_rewards, args=args, train_dataset=Dataset.from_list(rows), **more)
    made.train()
    made.save_model(str(out))


def _rewards(completions: Any, **_: Any) -> list[float]:
    return lengths(None, [completion[0]["content"] for completion in completions])


def pairs_of(work: Work) -> list[Pair]:
    """Return the pairs of all steps, with answers of many lengths."""
    return [_pair(n, work.words) for n in range(work.steps * work.batch)]


def _pair(n: int, longest: int) -> Pair:
    def answer(word: str, length: int) -> list[dict[str, str]]:
        words = [WORDS[(n + place) % len(WORDS)] for place in range(length)]
        return [{"role": "assistant", "content": f"{word} {n} {' '.join(words)}"}]

    sizes = [longest // 3 + (7 * n + 31 * side) % (longest - longest // 3) for side in (0, 1)]
    return Pair(
        prompt=messages_of(f"Question {n}: what do rivers and trains have in common?"),
        chosen=answer("Yes", sizes[0]),
        rejected=answer("No", sizes[1]),
        prompt_id=str(n),
    )


def resident(name: str) -> int:
    """Return this process's resident memory now (VmRSS) or at its highest (VmHWM), in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


if __name__ == "__main__":
    print(json.dumps(measured(Work(**json.loads(arguments(__doc__, "WORK")[0])))))
