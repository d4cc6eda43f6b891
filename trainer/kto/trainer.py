"""TRL's KTOTrainer for several processes."""

from typing import Any

import torch
from torch.utils.data import DataLoader
from trl import KTOTrainer

REFERENCE = ("ref_logps", "ref_KL_logps")
"""TRL's columns of the reference's log-probabilities: of an answer, and of another prompt's answer."""


class SharedKTOTrainer(KTOTrainer):  # type: ignore[misc]
    """A KTOTrainer whose reference is the model that it starts from, with any number of processes."""

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Return `dataset` with the reference's log-probabilities, the same in each process.

        TRL's own method reads them back from a file that only the first process knows.
        """
        batches = DataLoader(dataset, batch_size, collate_fn=self.data_collator)
        logprobs = [
            self.accelerator.gather_for_metrics(self.compute_ref_log_probs(self.model, batch))
            for batch in self.accelerator.prepare(batches)
        ]
        for column, parts in zip(REFERENCE, zip(*logprobs, strict=True), strict=True):
            dataset = dataset.add_column(column, torch.cat(parts).tolist())
        return dataset
