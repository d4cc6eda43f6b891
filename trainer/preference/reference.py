"""The log-probabilities of the reference model, in any number of processes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from trainer.training.trl_internals import lean_head


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
