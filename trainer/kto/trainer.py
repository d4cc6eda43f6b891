"""TRL's KTOTrainer for several processes."""

from typing import Any

from trl import KTOTrainer

from trainer.preference.reference import with_reference

REFERENCE = ("ref_logps", "ref_KL_logps")
"""TRL's columns of the reference's log-probabilities: of an answer, and of another prompt's answer."""


class SharedKTOTrainer(KTOTrainer):  # type: ignore[misc]
    """A KTOTrainer whose reference is the model that it starts from, with any number of processes."""

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        return with_reference(self, self.model, dataset, REFERENCE, batch_size)
