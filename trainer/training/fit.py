"""What every training step shares: its settings, a quiet trainer with progress, a checked and atomic save."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import msgspec

from console.errors import InputError, TrainingError
from console.progress import progress
from engines.chat.template import check_example, load_tokenizer, safe_messages
from trainer.training.checkpoints import Checkpoints, clear_unfinished, newest_checkpoint, saver, seal, write_weights
from trainer.training.lengths import Lengths
from trainer.training.options import TrainingOptions
from trainer.training.processes import is_first, is_sharded, n_processes
from trainer.training.resume import Keeping, keeper, newest_state, work_of
from trainer.training.tiles import small_tiles
from trainer.training.watch import watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

    from records import Message


REPORT = "training.json"
"""Lies in the model's own folder, so that the two come into being at once."""


@dataclass(frozen=True)
class Trained:
    """What a training step reports."""

    n_examples: int
    n_steps: int
    loss: float
    """Mean over the steps, natural logarithm."""
    metrics: dict[str, float]
    """The trainer's own figures at its last logging, for example rewards/accuracies of DPO."""
    n_left_out: int = 0
    """Examples that were given and not learnt from, because their end is beyond max_length."""
    n_cut_off: int = 0
    """Examples with an answer that was cut off where it was written."""


def trainer_settings(options: TrainingOptions, work: Path, seed: int) -> dict[str, Any]:
    """Return the arguments that TRL's configs share: no reports, bfloat16 where a GPU has it, the state in `work`."""
    import torch

    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(work),
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": options.warmup_share,
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.micro_batch_size,
        "gradient_accumulation_steps": options.batch_size // (options.micro_batch_size * n_processes()),
        "gradient_checkpointing": on_gpu,
        "max_length": options.max_length,
        "seed": seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu and torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": on_gpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not a number must be seen
        "save_strategy": "no",  # by the clock instead: trainer.training.resume
        "save_total_limit": 2,  # the one before stays until the new one is whole
        "report_to": [],
        "disable_tqdm": True,
    }


def load_policy(
    folder: Path, chat_template_kwargs: Mapping[str, Any] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model and tokenizer in `folder`, the model in float32: the optimiser's small steps need it.

    Where each process holds a part of the weights, the first one reads them and deals them out when training begins.
    Raises InputError where accelerate was told to shard and would not.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if is_sharded():
        from trainer.training.sharding import check_devices, unfilled_model

        check_devices()
    if is_sharded() and not is_first():
        model = unfilled_model(folder)
    else:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model, load_tokenizer(folder, chat_template_kwargs)


def safe_example(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], **answers: Sequence[Message]
) -> dict[str, list[Message]]:
    """Return a prompt and its answers by name, as the template gets them: no text can be taken for a control token.

    The prompt is what the model is asked where it generates, system turns included. Raises InputError, which names the
    model, for a role that is not known or a conversation that the template refuses.
    """
    asked = safe_messages(tokenizer, prompt)
    safe = {name: safe_messages(tokenizer, answer) for name, answer in answers.items()}
    for answer in safe.values():
        check_example(tokenizer, asked, answer)
    return {"prompt": asked, **safe}


def fit(
    trainer: Trainer,
    out: Path,
    title: str,
    checkpoints: Checkpoints | None = None,
    options: TrainingOptions | None = None,
    beside: nn.Module | None = None,
    lengths: Lengths | None = None,
) -> Trained:
    """Train, save the model to `out` complete or not at all, and return what happened.

    With `options` the state is saved as they say, and a training that was killed goes on from it; `beside` is a module
    that learns beside the model, `lengths` what is reported of the examples. With `checkpoints` the model is also saved
    on the way. Raises TrainingError where no example fits, or where the loss is not a number: it names the examples,
    saves nothing, and keeps what there was.
    """
    from transformers import PrinterCallback

    if len(trainer.train_dataset) == 0:
        raise TrainingError(f"{title}: no example fits max_length ({trainer.args.max_length} tokens); raise it")
    trainer.remove_callback(PrinterCallback)
    if is_sharded():
        from trainer.training.sharding import keep_precision

        keep_precision(trainer)
    if is_first():
        clear_unfinished(checkpoints)
    keeping = Keeping.of(trainer, asdict(options), options.save_minutes, beside) if options is not None else None
    state = newest_state(trainer, keeping) if keeping else None
    n_steps = _count_steps(trainer)
    if n_steps == 1:
        trainer.args.warmup_steps = 0  # or the only step would have the learning rate that a warm-up begins with, 0
    tiles = small_tiles(trainer.args.device.type)
    with progress(title, n_steps, state.step if state else 0) as advance, tiles:
        trainer.add_callback(watch(trainer, advance, partial(newest_checkpoint, checkpoints)))
        if checkpoints is not None:
            trainer.add_callback(saver(trainer, checkpoints))
        if keeping is not None:
            trainer.add_callback(keeper(trainer, keeping))
        trainer.train(resume_from_checkpoint=str(state.folder) if state else None)
    trained = replace(_trained(trainer, title), **asdict(lengths or Lengths()))
    unfinished = out.with_name(f"{out.name}.tmp")
    write_weights(trainer, unfinished)
    if trainer.is_world_process_zero():
        (unfinished / REPORT).write_bytes(msgspec.json.encode(trained))
        seal(unfinished, out, trained.n_steps)
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return trained


def _trained(trainer: Trainer, title: str) -> Trained:
    """Return what happened, in all steps: also those before the training was killed and went on."""
    logs = trainer.state.log_history
    loss = fmean(log["loss"] for log in logs if "loss" in log)
    if not math.isfinite(loss):
        raise TrainingError(f"{title}: the loss is {loss}; try a lower learning rate")
    last = {name: value for log in logs for name, value in log.items()}
    # sorted: transformers sorts the logs of a state that a training goes on from, and not those of an undisturbed one
    kept = {name: float(last[name]) for name in sorted(last) if "/" in name or name == "mean_token_accuracy"}
    return Trained(len(trainer.train_dataset), trainer.state.global_step, loss, kept)


def report_of(model: Path) -> Trained:
    """Return what the training step that made the model in `model` reported."""
    return msgspec.json.decode((model / REPORT).read_bytes(), type=Trained)


def _count_steps(trainer: Trainer) -> int:
    args = trainer.args
    per_epoch = math.ceil(len(trainer.get_train_dataloader()) / args.gradient_accumulation_steps)
    return int(per_epoch * args.num_train_epochs)


def claim_folder(folder: Path, *, fresh: bool) -> None:
    """Make sure that a new model may be saved in `folder`; an earlier one is set aside only with --fresh.

    Every process looks, and the first one sets aside: none gets as far as a new model in `folder` without the others.
    """
    from console.writing import check_writable, make_folder
    from records.leftovers import ENDING, remove, remove_leftovers
    from records.store import set_aside

    check_writable(folder, folder=True)
    if folder.exists() and not fresh:
        raise InputError(f"{folder} exists; give another --out, or --fresh to set it aside")
    if is_first():
        remove_leftovers(folder.parent)
        remove(folder.with_name(f"{folder.name}{ENDING}"))  # what a killed training was saving
        set_aside(folder)
        if fresh:
            set_aside(work_of(folder))
        make_folder(folder.parent)


def figures_of(trained: Trained) -> dict[str, float]:
    """Return what a ledger keeps of a training step."""
    counts = {"examples": trained.n_examples, "left_out": trained.n_left_out, "cut_off": trained.n_cut_off}
    return {**counts, "steps": trained.n_steps, "loss": trained.loss, **trained.metrics}


def table_row(trained: Trained, out: Path) -> dict[str, str | int | float | None]:
    """Return the table row that a training command ends with."""
    return {
        "examples": trained.n_examples,
        "left out": trained.n_left_out,
        "cut off": trained.n_cut_off,
        "steps": trained.n_steps,
        "loss": trained.loss,
        "model": str(out),
    }
