"""TRL's SFTTrainer with a weight per example.

With w the weight of an example, l the losses of its n learnt tokens and N the learnt tokens of a step, a step's loss is

    (1 / N) sum_i (w_i / W) sum_t l_it,    W = sum_i w_i n_i / sum_i n_i over the training set

so a weight of 2 counts like the example twice, and equal weights change nothing.
"""

from statistics import fmean
from typing import Any, Literal

from torch import Tensor
from trl import SFTTrainer

from trainer.training.examples.columns import with_columns
from trainer.training.examples.gathering import WEIGHT
from trainer.training.lengths import NOT_A_TARGET
from trainer.training.trl_internals import ForwardSpy


class WeightedTrainer(SFTTrainer):  # type: ignore[misc]
    """An SFTTrainer whose training set may have the column WEIGHT. Without it, it is TRL's own.

    `average` says whether the loss is a mean over tokens or over answers, and W over the same.
    """

    def __init__(self, model: Any, *, average: Literal["tokens", "answers"] = "tokens", **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.mean_weight = 1.0
        if WEIGHT in self.train_dataset.column_names:
            self.mean_weight = _mean_weight(self.train_dataset, average)
            self.data_collator: Any = with_columns(self.data_collator, WEIGHT)

    def _set_signature_columns_if_needed(self) -> None:
        # transformers drops the columns of a training set that are not listed here
        super()._set_signature_columns_if_needed()
        self._signature_columns += [WEIGHT] if WEIGHT not in self._signature_columns else []

    def relative_weights(self, inputs: dict[str, Any]) -> Tensor | None:
        """Take the weights out of the inputs of a batch and return them over W, (B,), or None if there are none."""
        weight_B: Tensor | None = inputs.pop(WEIGHT, None)
        return None if weight_B is None else weight_B / self.mean_weight

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a micro-batch: TRL's own with weighted tokens."""
        weight_B = self.relative_weights(inputs)
        if weight_B is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

        def weighted(**inputs: Any) -> Any:
            outputs = model(**inputs)
            outputs.log_probs = outputs.log_probs * _per_token(weight_B, inputs)  # TRL sums them
            return outputs

        return super().compute_loss(ForwardSpy(model, weighted), inputs, return_outputs, num_items_in_batch)


def _per_token(weight_B: Tensor, inputs: dict[str, Any]) -> Tensor:
    """Return weights that fit the log-probabilities of a batch: (B, 1), or (1, L - 1) if it is packed into one row."""
    if "attention_mask" in inputs:
        return weight_B[:, None]
    # the positions of each example of the row begin at 0
    example_1L = (inputs["position_ids"] == 0).cumsum(1) - 1
    return weight_B[example_1L[:, 1:]]  # nothing predicts the first token


def _mean_weight(data: Any, average: str) -> float:
    weights: list[float] = list(data[WEIGHT])
    if average == "answers":
        return fmean(weights)
    # nothing predicts the first token
    n_learnt = [len([label for label in labels[1:] if label != NOT_A_TARGET]) for labels in data["labels"]]
    return sum(weight * n for weight, n in zip(weights, n_learnt, strict=True)) / max(sum(n_learnt), 1)
