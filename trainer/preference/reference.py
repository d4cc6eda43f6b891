"""The log-probabilities of the reference model, in any number of processes, with whole weights or sharded ones."""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from console.errors import InputError
from trainer.training.fit import load_policy
from trainer.training.lora.adapter import drop_reference, is_adapted
from trainer.training.memory.size import WHOLE, MemorySettings
from trainer.training.options import LoraOptions
from trainer.training.processes import is_sharded
from trainer.training.sharding import hollow_model, shard
from trainer.training.trl_internals import lean_head


def reference_settings(model: Any, args: Any) -> dict[str, Any]:
    """Return the further settings with which one of TRL's trainers reads no reference of `model` under FSDP.

    Otherwise TRL loads one from the policy's folder, whole, into every process, and fingerprints weights that are not
    there yet.
    """
    if not is_sharded():
        return {}
    args.precompute_ref_log_probs = False
    # with an adapter the reference is the model without it
    return {} if is_adapted(model) else {"ref_model": hollow_model(model.config)}


def add_reference(trainer: Any, columns: Sequence[str]) -> None:
    """Give a trainer that was made with `reference_settings` its reference's log-probabilities in `columns`.

    A training set that has them already stays as it is.
    """
    if is_sharded():
        trainer.ref_model, trainer.precompute_ref_logps = None, True
        if columns[0] not in trainer.train_dataset.column_names:
            data, batch_size = trainer.train_dataset, trainer.args.per_device_train_batch_size
            trainer.train_dataset = with_reference(trainer, shard(trainer), data, columns, batch_size)
    drop_reference(trainer.model)


def data_with_reference(
    make: Callable[..., Any],
    data: dict[str, Any],
    reference: Path,
    memory: MemorySettings,
    lora: LoraOptions = WHOLE,
    **settings: Any,
) -> dict[str, Any]:
    """Return the data sets, tokenised, with the log-probabilities under the model in `reference`, which is then freed.

    `make` makes a trainer of a model, the data sets and `settings`. With `lora` the model has the adapter with which
    its training begins. Raises InputError if its vocabulary is not that of the model to train.
    """
    model, tokenizer = load_policy(reference, lora=lora, seed=settings["args"].seed, memory=memory)
    if tokenizer.get_vocab() != settings["processing_class"].get_vocab():
        raise InputError(
            f"{reference}: its vocabulary is not that of the model to train, so it cannot be its reference"
        )
    # making a trainer tokenises its data and computes the log-probabilities
    trainer = make(model, **data, **settings)
    known = {"train_dataset": trainer.train_dataset, "eval_dataset": trainer.eval_dataset}
    trainer.accelerator.free_memory()
    del model, trainer
    gc.collect()  # the policy needs the memory
    return known


def with_reference(trainer: Any, model: Any, data: Any, columns: Sequence[str], batch_size: int) -> Any:
    """Return a TRL trainer's `data` with the log-probabilities under `model` in `columns`, the same in each process.

    TRL's own method reads them back from a file that only the first process knows.
    """
    batches = DataLoader(data, batch_size, collate_fn=trainer.data_collator)
    with lean_head(trainer.args.device.type):
        logprobs = [
            trainer.accelerator.gather_for_metrics(trainer.compute_ref_log_probs(model, batch))
            for batch in trainer.accelerator.prepare(batches)
        ]
    for column, parts in zip(columns, zip(*logprobs, strict=True), strict=True):
        data = data.add_column(column, torch.cat(parts).tolist())
    return data
