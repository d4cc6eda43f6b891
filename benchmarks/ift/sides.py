"""The sides of benchmarks.ift. Each is a process that trains a few steps and prints its times and peak memory.

python -m benchmarks.ift.sides SIDE WORK.json FOLDER
"""

import json
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from benchmarks.side import arguments
from trainer.ift.options import IFTOptions
from trainer.ift.trainer import IFTTrainer
from trainer.training.fit import load_policy, trainer_settings
from trainer.training.trl_internals import lean_head

LAMBDA, DECAY = 0.2, 0.95


@dataclass(frozen=True)
class Work:
    """The work given to every side."""

    model: str
    """The model's folder."""
    rows: int
    """Sequences in memory at once, one micro-batch per step."""
    length: int
    """Tokens per sequence."""
    prompt: int
    """Tokens of the prompt, about, which are not learnt."""
    steps: int
    seed: int
    checkpointing: bool
    """Recompute activations for the gradient, as all training here does on a GPU."""


def answers(work: Work) -> tuple[str, list[tuple[str, str]]]:
    """Return a prompt, and a chosen and a rejected answer per row, to be cut at `length` tokens."""
    words = [f"{number} and" for number in range(100, 999)]
    prompt = " ".join(words[: max(work.prompt // 4, 1)])

    def answer(start: int) -> str:
        return " ".join(words[(start + n) % len(words)] for n in range(work.length))

    return prompt, [(answer(7 * number), answer(7 * number + 3)) for number in range(work.rows * (work.steps + 1))]


def settings(work: Work, folder: Path) -> dict[str, Any]:
    options = IFTOptions(batch_size=work.rows, micro_batch_size=work.rows, max_length=work.length, epochs=1)
    checkpointing = {"gradient_checkpointing": True} if work.checkpointing else {}
    return trainer_settings(options, folder, work.seed) | {"max_steps": work.steps + 1} | checkpointing


def conversations(work: Work) -> Any:
    prompt, pairs = answers(work)
    user = [{"role": "user", "content": prompt}]
    return Dataset.from_list(
        [{"prompt": user, "completion": [{"role": "assistant", "content": chosen}]} for chosen, _ in pairs]
    )


def sft(work: Work, folder: Path) -> Any:
    model, tokenizer = load_policy(Path(work.model))
    args = SFTConfig(**settings(work, folder), completion_only_loss=True)
    return SFTTrainer(model, args=args, train_dataset=conversations(work), processing_class=tokenizer)


def ift(work: Work, folder: Path) -> Any:
    model, tokenizer = load_policy(Path(work.model))
    return IFTTrainer(
        model,
        options=IFTOptions(max_lambda=LAMBDA, decay=DECAY),
        args=SFTConfig(**settings(work, folder), completion_only_loss=True),
        train_dataset=conversations(work),
        processing_class=tokenizer,
    )


def two_pass(work: Work, folder: Path) -> Any:
    """Return IFT implemented naively: a copied table, whole logits twice, float32, a loop over the tokens."""

    class TwoPass(SFTTrainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
            ids, labels, seen = inputs["input_ids"], inputs["labels"], inputs["attention_mask"]
            table = model.get_input_embeddings().weight.detach().clone()
            with torch.no_grad():
                guess = model(inputs_embeds=table[ids], attention_mask=seen).logits.float().argmax(-1)
            guess = torch.where(labels == -100, ids, torch.cat([ids[:, :1], guess[:, :-1]], dim=1))
            embeddings = (1 - LAMBDA) * table[ids] + LAMBDA * table[guess]
            logits = model(inputs_embeds=embeddings, attention_mask=seen).logits[:, :-1]
            target, mask = labels[:, 1:].clamp(min=0), labels[:, 1:] != -100
            logps = logits.float().log_softmax(-1).gather(2, target[..., None])[..., 0] * mask
            sums, following = [], torch.zeros_like(logps[:, 0])
            for t in range(logps.shape[1] - 1, -1, -1):
                following = -logps[:, t] + DECAY * following
                sums.append(following)
            sums_BT = torch.stack(sums[::-1], dim=1) * mask
            weights = sums_BT * mask.sum(1, keepdim=True) / sums_BT.sum(1, keepdim=True)
            return ((-logps * weights).sum(1) / mask.sum(1)).mean()

    model, tokenizer = load_policy(Path(work.model))
    args = SFTConfig(**settings(work, folder), completion_only_loss=True)
    return TwoPass(model, args=args, train_dataset=conversations(work), processing_class=tokenizer)


def dpo(work: Work, folder: Path, *, precomputed: bool = False) -> Any:
    """Return TRL's DPO on as many pairs, with the other sides' answers as the chosen ones."""
    prompt, pairs = answers(work)
    model, tokenizer = load_policy(Path(work.model))
    user = [{"role": "user", "content": prompt}]
    rows = [
        {"prompt": user} | {name: [{"role": "assistant", "content": text}] for name, text in both}
        for both in (zip(("chosen", "rejected"), pair, strict=True) for pair in pairs)
    ]
    args = DPOConfig(**settings(work, folder), precompute_ref_log_probs=precomputed)
    return DPOTrainer(model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def dpo_precomputed(work: Work, folder: Path) -> Any:
    return dpo(work, folder, precomputed=True)


SIDES: dict[str, Callable[[Work, Path], Any]] = {
    "sft": sft,
    "ift": ift,
    "dpo": dpo,
    "dpo_precomputed": dpo_precomputed,
    "two_pass": two_pass,
}


def measure(side: str, work: Work, folder: Path) -> dict[str, Any]:
    """Train, and return the seconds of each step after the first, and the MiB above a process with the libraries.

    Seconds are wall time on a GPU and CPU time elsewhere, so that other processes do not count.
    """
    on_gpu, before, times = torch.cuda.is_available(), _resident_mib(), []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = _now(on_gpu)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(_now(on_gpu) - self.started)

    started = _now(on_gpu)
    trainer = SIDES[side](work, folder)
    prepared_s = _now(on_gpu) - started
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    n_tokens = int(next(iter(trainer.get_train_dataloader()))["attention_mask"].sum())
    with lean_head(trainer.args.device.type) if side == "ift" else nullcontext():  # as in all training here
        trainer.train()
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _resident_mib() - before
    return {"seconds": times[1:], "peak_mib": peak, "prepared_s": prepared_s, "n_tokens": n_tokens}


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(work: Work, path: Path) -> None:
    """Write `work` to `path`."""
    path.write_text(json.dumps(asdict(work)))


if __name__ == "__main__":
    name, path, folder = arguments(__doc__, "SIDE", "WORK.json", "FOLDER")
    print(json.dumps(measure(name, Work(**json.loads(Path(path).read_text())), Path(folder))))
