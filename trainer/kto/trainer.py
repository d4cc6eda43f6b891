"""TRL's KTOTrainer for several processes."""

from typing import Any

from trl import KTOTrainer

from trainer.preference.reference import add_reference, reference_settings, with_reference

REFERENCE = ("ref_logps", "ref_KL_logps")
"""TRL's columns of the reference's log-probabilities: of an answer, and of another prompt's answer."""


class SharedKTOTrainer(KTOTrainer):  # type: ignore[misc]
    """A KTOTrainer whose reference is the model that it starts from, with any number of processes."""

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(model, **kwargs, **reference_settings(model, kwargs["args"]))
        add_reference(self, REFERENCE)

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        if REFERENCE[0] in dataset.column_names:
            return dataset  # computed before this model was loaded
        return with_reference(self, self.model, dataset, REFERENCE, batch_size)
