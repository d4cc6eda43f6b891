"""Trains: the settings that all trainings share, a quiet trainer with progress, a checked and atomic save."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase, PrinterCallback, Trainer

from console.errors import TrainingError
from console.progress import progress
from engines.chat.template import check_example, load_tokenizer, safe_messages
from trainer.training.checkpoints import Checkpoints, clear_unfinished, newest_checkpoint, seal
from trainer.training.examples.validation import add_validation, kept, validation_settings
from trainer.training.lengths import Lengths
from trainer.training.lora.adapter import load_base, with_adapter
from trainer.training.memory.float32 import keep_float32
from trainer.training.memory.options import ROUNDED
from trainer.training.memory.size import WHOLE, MemorySettings
from trainer.training.metrics.recording import History, recording
from trainer.training.options import LoraOptions, TrainingOptions, deciding
from trainer.training.outcome import REPORT, Trained, examples_path
from trainer.training.processes import is_first, is_sharded, n_processes
from trainer.training.resume import StatePlan, StateSaver, newest_state
from trainer.training.saving import CheckpointSaver, write_weights
from trainer.training.sharding import check_devices, keep_precision, unfilled_model
from trainer.training.trl_internals import lean_head
from trainer.training.watch import Watch

if TYPE_CHECKING:
    from records import Message


def trainer_settings(
    options: TrainingOptions, work: Path, seed: int, memory: MemorySettings | None = None
) -> dict[str, Any]:
    """Return the arguments that TRL's configs share: no reports, bfloat16 if a GPU has it, the state in `work`."""
    on_gpu = torch.cuda.is_available()
    memory = memory or MemorySettings(checkpointing=on_gpu)
    low = memory.dtype == "bfloat16"
    return {
        "output_dir": str(work),
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": min(options.warmup_share, 1 - 1e-9),  # transformers takes 1 and more for a number of steps
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.micro_batch_size,
        "gradient_accumulation_steps": options.batch_size // (options.micro_batch_size * n_processes()),
        "gradient_checkpointing": memory.checkpointing,  # renamed to activation_checkpointing in later versions
        "optim": memory.optim,
        "optim_args": "bf16_stochastic_round=True" if low and memory.optim in ROUNDED else None,
        "use_liger_kernel": options.liger,
        "max_length": options.max_length,
        "seed": seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu and torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": on_gpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not a number must be seen
        "save_strategy": "no",  # by the clock instead: trainer.training.resume
        "save_total_limit": 2,  # the previous one stays until the new one is whole
        "report_to": [],
        "disable_tqdm": True,
        **validation_settings(options),
    }


def load_policy(
    folder: Path,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    lora: LoraOptions = WHOLE,
    seed: int = 0,
    memory: MemorySettings | None = None,
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Return the model and tokenizer in `folder`, the model as `memory` says, by default in float32.

    With `lora` the model is frozen, in the type that it answers in, and has a float32 adapter that learns. If the
    weights are sharded, the first process reads them and distributes them when training begins. Raises InputError if
    accelerate cannot shard on these devices.
    """
    if is_sharded():
        check_devices()
    if is_sharded() and not is_first():
        model = unfilled_model(folder, memory=memory)
    else:
        model = load_base(folder, lora, memory=memory)
    return with_adapter(model, folder, lora, seed), load_tokenizer(folder, chat_template_kwargs)


def safe_example(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], **answers: Sequence[Message]
) -> dict[str, list[Message]]:
    """Return a prompt and its answers by name with all control tokens in their texts made harmless.

    The prompt is the one that the model gets when it generates, system turns included. Raises InputError, which names
    the model, for an unknown role or a conversation that the chat template refuses.
    """
    safe_prompt = safe_messages(tokenizer, prompt)
    safe_answers = {name: safe_messages(tokenizer, answer) for name, answer in answers.items()}
    for answer in safe_answers.values():
        check_example(tokenizer, safe_prompt, answer)
    return {"prompt": safe_prompt, **safe_answers}


def fit(
    trainer: Trainer,
    out: Path,
    title: str,
    checkpoints: Checkpoints | None = None,
    options: TrainingOptions | None = None,
    beside: nn.Module | None = None,
    lengths: Lengths | None = None,
    identity: str = "",
    figures: Callable[[Sequence[Mapping[str, Any]]], dict[str, float]] | None = None,
) -> Trained:
    """Train, save the model to `out` completely or not at all, and return the report.

    With `options` the state is saved every `save_minutes`, and a killed training continues from it. `beside` is a
    module that learns beside the model. `lengths` counts the examples that were left out or cut off. `identity` is what
    the training depends on besides data and settings. `figures` makes further metrics of all that was logged. With
    `checkpoints` the model is also saved on the way. Raises TrainingError if no example fits, or if the loss is not a
    number. The error names the examples, nothing is saved, and earlier checkpoints stay.
    """
    if len(trainer.train_dataset) == 0:
        raise TrainingError(f"{title}: no example fits --max-length ({trainer.args.max_length} tokens); raise it")
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    if is_sharded():
        keep_precision(trainer)
    if is_first():
        clear_unfinished(checkpoints)
    merge = options is not None and options.lora.merge
    plan = None
    if options is not None:
        more = {"identity": identity} if identity else {}  # without one the key is that of earlier versions
        plan = StatePlan.of(trainer, deciding(options) | more, options.save_minutes, beside)
    state = newest_state(trainer, plan) if plan else None
    keep_float32(trainer)
    n_steps = _count_steps(trainer)
    if n_steps == 1:
        trainer.args.warmup_steps = 0  # or the only step would have the first learning rate of the warm-up, 0
    lean = lean_head(trainer.args.device.type)
    shown = recording(out, options.report_to if options is not None else "none")
    with progress(title, n_steps, state.step if state else 0) as advance, lean, shown as recorder:
        trainer.add_callback(History(recorder))
        trainer.add_callback(Watch(trainer, advance, partial(newest_checkpoint, checkpoints)))
        if checkpoints is not None:
            trainer.add_callback(CheckpointSaver(trainer, checkpoints, merge=merge))
        validates = add_validation(trainer, options)
        if plan is not None:
            trainer.add_callback(StateSaver(plan))
        trainer.train(resume_from_checkpoint=str(state.folder) if state else None)
        recorder.draw()
    trained = replace(_trained(trainer, title), **asdict(lengths or Lengths()))
    if figures is not None:
        trained = replace(trained, metrics=trained.metrics | figures(trainer.state.log_history))
    if validates:
        trained = replace(trained, metrics=trained.metrics | kept(trainer, title))
    unfinished = out.with_name(f"{out.name}.tmp")
    write_weights(trainer, unfinished, merge=merge)
    if trainer.is_world_process_zero():
        (unfinished / REPORT).write_bytes(msgspec.json.encode(trained))
        seal(unfinished, out, trained.n_steps)
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
        shutil.rmtree(examples_path(out), ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return trained


def _trained(trainer: Trainer, title: str) -> Trained:
    """Return the report on all steps, including those before an interruption."""
    logs = trainer.state.log_history
    loss = fmean(log["loss"] for log in logs if "loss" in log)
    if not math.isfinite(loss):
        raise TrainingError(f"{title}: the loss is {loss}; try a lower learning rate")
    last = {name: value for log in logs for name, value in log.items()}  # the last value of each name
    # sorted, because transformers sorts the logs only when it reads them back from a saved state
    names = [name for name in sorted(last) if ("/" in name or name == "mean_token_accuracy") and name[:5] != "eval_"]
    metrics = {name: float(last[name]) for name in names if last[name] is not None}
    return Trained(len(trainer.train_dataset), trainer.state.global_step, loss, metrics)


def _count_steps(trainer: Trainer) -> int:
    args = trainer.args
    per_epoch = math.ceil(len(trainer.get_train_dataloader()) / args.gradient_accumulation_steps)
    return int(per_epoch * args.num_train_epochs)
