"""TRL's DPOTrainer with a weight and a soft label per pair, length regularisation, and any reference model.

With z = beta (log pi(yw)/ref(yw) - log pi(yl)/ref(yl)) + alpha (|yw| - |yl|) the loss of a pair is

    w (p l(z) + (1 - p) l(-z) + s n),   l(z) = -log sigmoid(z)

w: the pair's weight over the mean weight of the training set. p: the probability that the label is right, as in
conservative DPO (a judge's confidence) and CREAM (arXiv 2410.12735, the consistency C). alpha: length-regularised DPO
(arXiv 2403.19159). |y| is in tokens, as they are trained on. The sign of alpha follows from the paper's objective,
reward - alpha |y| - beta KL. Its optimal policy has the reward beta log pi/ref + alpha |y|, up to a constant per
prompt. A longer chosen answer gets a part of its margin for free and is therefore pushed up less. s: `sft_weight`. n:
the chosen answer's negative log-likelihood per token (Iterative RPO, arXiv 2404.19733, equation 1).
"""

from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from trl import DPOTrainer

from trainer.preference.columns import LABEL, REFERENCE, WEIGHT
from trainer.preference.reference import add_reference, reference_settings, with_reference
from trainer.training.examples.columns import with_columns
from trainer.training.trl_internals import ForwardSpy


class PreferenceTrainer(DPOTrainer):  # type: ignore[misc]
    """A DPOTrainer whose training set may have the columns WEIGHT and LABEL, and the reference's log-probabilities.

    Without these columns and without `length_alpha` its loss is TRL's own.
    """

    def __init__(self, model: Any, *, length_alpha: float = 0.0, sft_weight: float = 0.0, **kwargs: Any) -> None:
        super().__init__(model, **kwargs, **reference_settings(model, kwargs["args"]))
        add_reference(self, REFERENCE)
        self.length_alpha = length_alpha
        self.sft_weight = sft_weight
        self.mean_weight = 1.0
        if WEIGHT in self.train_dataset.column_names:
            self.mean_weight = fmean(self.train_dataset[WEIGHT])
            self.data_collator: Any = with_columns(self.data_collator, WEIGHT, LABEL)

    def _set_signature_columns_if_needed(self) -> None:
        # transformers drops the columns of a training set that are not listed here
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in (WEIGHT, LABEL) if name not in self._signature_columns]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Return `dataset` with the reference's log-probabilities of both answers."""
        if REFERENCE[0] in dataset.column_names:
            return dataset  # another model computed them, before this one was loaded
        return with_reference(self, self.model, dataset, REFERENCE, batch_size)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        weight_B, label_B = inputs.pop(WEIGHT, None), inputs.pop(LABEL, None)
        if self.is_stock(weight_B):
            return super()._compute_loss(model, inputs, return_outputs)
        spy: ForwardSpy[Any] = ForwardSpy(model)
        stock = super()._compute_loss(spy, inputs, return_outputs)  # for TRL's metrics
        loss = self.loss_of(spy.outputs.log_probs, inputs, label_B, weight_B)
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * spy.outputs.aux_loss
        return (loss, stock[1]) if return_outputs else loss

    def is_stock(self, weight_B: Tensor | None) -> bool:
        """Return whether TRL's own loss is the right one for a batch."""
        return weight_B is None and not self.length_alpha and not self.sft_weight

    def loss_of(
        self, logprobs_RL: Tensor, inputs: dict[str, Any], label_B: Tensor | None, weight_B: Tensor | None
    ) -> Tensor:
        """Return the mean loss of a batch of pairs from the log-probabilities of its R = 2 B rows."""
        loss = preference_loss(self.logits(logprobs_RL, inputs), label_B, weight_B, self.mean_weight)
        if not self.sft_weight:
            return loss
        # per answer, not per token of the batch: how examples fall into micro-batches must not matter
        mean_B, _ = mean_logprobs(logprobs_RL, inputs["completion_mask"]).chunk(2)
        chosen_B = mean_B if weight_B is None else mean_B * (weight_B / self.mean_weight)
        return loss - self.sft_weight * chosen_B.mean()

    def logits(self, logprobs_RL: Tensor, inputs: dict[str, Any]) -> Tensor:
        """Return z of each pair, (B,). The R = 2 B rows are the chosen answers, then the rejected ones."""
        n_tokens_R = inputs["completion_mask"][:, 1:].sum(dim=1)  # nothing predicts the first token
        # without PEFT's virtual tokens, which come first; other positions outside the answers are zero
        chosen_B, rejected_B = logprobs_RL[:, -(inputs["completion_mask"].shape[1] - 1) :].sum(dim=1).chunk(2)
        longer_B = torch.sub(*n_tokens_R.chunk(2)).to(chosen_B.dtype)
        ratio_B = (chosen_B - inputs["ref_chosen_logps"]) - (rejected_B - inputs["ref_rejected_logps"])
        logits_B: Tensor = self.beta * ratio_B + self.length_alpha * longer_B
        return logits_B


def mean_logprobs(logprobs_RL: Tensor, mask_RL: Tensor) -> Tensor:
    """Return the mean log-probability of the answer's tokens in each row, (R,), in float32.

    `mask_RL` is 1 at the answer. Nothing predicts the first token, so there is one log-probability fewer than tokens.
    """
    n_tokens_R = mask_RL[:, 1:].sum(1)
    return logprobs_RL[:, -(mask_RL.shape[1] - 1) :].float().sum(1) / n_tokens_R.clamp(min=1)


def preference_loss(logits_B: Tensor, label_B: Tensor | None, weight_B: Tensor | None, mean_weight: float) -> Tensor:
    """Return the mean loss of a batch of pairs. Without labels p is 1, and without weights w is 1."""
    loss_B = -functional.logsigmoid(logits_B)
    if label_B is not None:
        loss_B = label_B * loss_B - (1 - label_B) * functional.logsigmoid(-logits_B)
    if weight_B is not None:
        loss_B = loss_B * (weight_B / mean_weight)
    return loss_B.mean()
