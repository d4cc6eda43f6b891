"""TRL's RewardTrainer with a weight per pair and a loss term on the representation of the policy's answers.

With the reward r of the last token, the loss of a pair is (Bradley and Terry 1952; Llama 2, arXiv 2307.09288, eq. 2)

    -w log sigmoid(r(yw) - r(yl) - m)

w: the pair's weight over the mean weight of the training set. m: its margin, which TRL supports. The mean over a
micro-batch gets lambda L_M of the view pairs of its pairs added (trainer.reward_model.bottleneck; RLP, eq. 1).
"""

from collections import deque
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import TrainerCallback
from transformers.modeling_outputs import SequenceClassifierOutput
from trl import RewardTrainer

from trainer.reward_model.bottleneck import Bottleneck
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.columns import MARGIN, VIEWS, WEIGHT
from trainer.training.examples.columns import Collate, with_columns
from trainer.training.trl_internals import ForwardSpy

VIEW_IDS, VIEW_MASK = "view_ids", "view_mask"
"""The inputs of a batch that hold the tokens of its view pairs."""
RECENT = 64
"""Micro-batches that a logged figure of the term is averaged over, because one alone is noisy."""


@dataclass(frozen=True)
class JointOutputs:
    """The outputs of one forward pass over R rows of pairs and V view pairs."""

    logits: Tensor
    """Rewards of the pairs' rows, (R, 1)."""
    features: Tensor | None = None
    """Features of the views' rows, (2 V, D). None if the batch has no views."""


class JointRewardTrainer(RewardTrainer):  # type: ignore[misc]
    """A RewardTrainer whose training set may have the columns WEIGHT and, with a bottleneck, VIEWS.

    With neither it is TRL's own trainer. The bottleneck's nets learn beside the model at their own learning rate and
    are not saved.
    """

    def __init__(self, *args: Any, bottleneck: BottleneckOptions | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        weighted = WEIGHT in self.train_dataset.column_names
        self.mean_weight = fmean(self.train_dataset[WEIGHT]) if weighted else 1.0
        self.bottleneck: Bottleneck | None = None
        self.recent: dict[str, deque[float]] = {}
        if bottleneck is not None:
            n_features = self.model.config.get_text_config().hidden_size
            self.bottleneck = Bottleneck(n_features, bottleneck).to(self.accelerator.device)
            self.add_callback(_Heads(self))
        collate = self.data_collator if self.bottleneck is None else _with_views(self.data_collator)
        self.data_collator: Any = with_columns(collate, WEIGHT) if weighted else collate

    def _set_signature_columns_if_needed(self) -> None:
        # transformers drops the columns of a training set that are not listed here
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in (WEIGHT, VIEWS) if name not in self._signature_columns]

    def create_optimizer(self, model: Any = None) -> Any:
        """Return TRL's optimiser with the bottleneck's parameters added."""
        created = self.optimizer is None  # transformers may call this again, but the parameters are added once
        optimizer = super().create_optimizer(model)
        if created and self.bottleneck is not None:
            group = {"params": list(self.bottleneck.parameters()), "weight_decay": 0.0}
            optimizer.add_param_group(group | {"lr": self.bottleneck.options.learning_rate})
        return optimizer

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a micro-batch: TRL's own if there are neither weights nor views."""
        weight_B, views = inputs.pop(WEIGHT, None), (inputs.pop(VIEW_IDS, None), inputs.pop(VIEW_MASK, None))
        if weight_B is None and self.bottleneck is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

        def forward(input_ids: Tensor, attention_mask: Tensor, **_: Any) -> JointOutputs:
            return self._forward(model, input_ids, attention_mask, *views)

        spy = ForwardSpy(model, forward, lambda joint: SequenceClassifierOutput(logits=joint.logits))
        loss = super().compute_loss(spy, inputs, return_outputs, num_items_in_batch)  # for TRL's metrics
        loss, outputs = loss if return_outputs else (loss, None)
        if weight_B is not None:
            loss = reward_loss(spy.outputs.logits[:, 0], inputs.get(MARGIN), weight_B, self.mean_weight)
        if spy.outputs.features is not None:
            loss = loss + self._term(*spy.outputs.features.chunk(2))
        return (loss, outputs) if return_outputs else loss

    def _forward(
        self, model: Any, ids: Tensor, mask: Tensor, view_ids: Tensor | None, view_mask: Tensor | None
    ) -> JointOutputs:
        """Run the rows of the pairs and of the views through the model in one pass."""
        if view_ids is None or view_mask is None:
            return JointOutputs(model(input_ids=ids, attention_mask=mask, use_cache=False).logits)
        width, filler = max(ids.shape[1], view_ids.shape[1]), self.processing_class.pad_token_id
        ids_RL = torch.cat([_widened(rows_RL, width, filler) for rows_RL in (ids, view_ids)])
        mask_RL = torch.cat([_widened(rows_RL, width, 0) for rows_RL in (mask, view_mask)])
        outputs = model(input_ids=ids_RL, attention_mask=mask_RL, use_cache=False, output_hidden_states=True)
        assert self.bottleneck is not None
        n, position = len(ids), self.bottleneck.options.position
        hidden_RLD = outputs.hidden_states[-1]
        return JointOutputs(outputs.logits[:n], features(hidden_RLD[n:], mask_RL[n:], position))

    def _term(self, first_VD: Tensor, second_VD: Tensor) -> Tensor | float:
        """Return lambda L_M, or 0 for a last micro-batch with a single view pair, which has no negatives."""
        assert self.bottleneck is not None
        if len(first_VD) < 2:
            return 0.0
        term = self.bottleneck(first_VD, second_VD)
        for name, value in term.figures.items():
            recent = self.recent.setdefault(f"bottleneck/{name}", deque(maxlen=RECENT))
            recent.append(float(value))
            self._metrics["train"][f"bottleneck/{name}"] = [fmean(recent)]
        loss: Tensor = self.bottleneck.options.weight * term.loss
        return loss


def reward_loss(reward_R: Tensor, margin_B: Tensor | None, weight_B: Tensor, mean_weight: float) -> Tensor:
    """Return the mean loss of B pairs from R = 2 B rewards, first of the chosen answers, then of the rejected ones."""
    chosen_B, rejected_B = reward_R.chunk(2)
    gap_B = chosen_B - rejected_B if margin_B is None else chosen_B - rejected_B - margin_B
    return (-functional.logsigmoid(gap_B) * weight_B / mean_weight).mean()


def features(hidden_RLD: Tensor, mask_RL: Tensor, position: str) -> Tensor:
    """Return a feature vector per row, (R, D), in float32: the last token's hidden state or the mean over all tokens.

    The rows are padded on the right. `mask_RL` is 1 at their tokens.
    """
    n_tokens_R = mask_RL.sum(1)
    if position == "last":
        return hidden_RLD[torch.arange(len(hidden_RLD), device=hidden_RLD.device), n_tokens_R - 1].float()
    return (hidden_RLD.float() * mask_RL[..., None]).sum(1) / n_tokens_R[:, None]


class _Heads(TrainerCallback):  # type: ignore[misc]
    """Averages the bottleneck's gradients over the processes and clears them each step.

    The trainer does the same for its model, but it does not know of the bottleneck.
    """

    def __init__(self, trainer: JointRewardTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Average the gradients."""
        if self.trainer.accelerator.num_processes == 1:
            return
        for parameter in self._parameters():  # a process without view pairs must take part too
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.trainer.accelerator.reduce(grad, reduction="mean")

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Clear the gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [] if self.trainer.bottleneck is None else list(self.trainer.bottleneck.parameters())


def _with_views(collate: Collate) -> Collate:
    def collated(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(examples)
        if VIEWS in examples[0]:
            pairs = [pair for example in examples for pair in example[VIEWS]]
            # As if they were pairs: TRL's collator puts all first views before all second ones, and pads them.
            views = collate([{"chosen_ids": first, "rejected_ids": second} for first, second in pairs])
            batch |= {VIEW_IDS: views["input_ids"], VIEW_MASK: views["attention_mask"]}
        return batch

    return collated


def _widened(rows_RL: Tensor, width: int, filler: int) -> Tensor:
    return functional.pad(rows_RL, (0, width - rows_RL.shape[1]), value=filler)
