"""Preference losses that need no reference model, on this project's DPO trainer: its data, its memory, its figures.

The losses are in `trainer.preference.losses`. TRL's own ORPO and CPO trainers (1.16, experimental) tokenise otherwise
than its DPO trainer: they add a token that ends the text after the one of the chat template, and hold the logits of the
whole vocabulary. So they are not used.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from trl import DPOTrainer

from trainer.preference.trainer import LABEL, REFERENCE, WEIGHT, PreferenceTrainer
from trainer.training.fit import Trained, fit, load_policy, safe_example, trainer_settings
from trainer.training.lengths import Lengths, fitting, n_cut_off
from trainer.training.options import TrainingOptions
from trainer.training.resume import work_of

if TYPE_CHECKING:
    from records import Pair
    from trainer.training.checkpoints import Checkpoints

PairLoss = Callable[[Tensor, Tensor], Tensor]
"""The loss of each of B pairs from the mean log-probabilities of the chosen and of the rejected answers, each (B,)."""


class ReferenceFreeTrainer(PreferenceTrainer):
    """A PreferenceTrainer whose loss is that of `pair_loss`; a pair counts by its weight over the mean weight."""

    def __init__(self, model: Any, *, pair_loss: PairLoss, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.pair_loss = pair_loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        weight_B, _ = inputs.pop(WEIGHT, None), inputs.pop(LABEL, None)
        seen: dict[str, Any] = {}

        def watched(**kwargs: Any) -> Any:
            seen["outputs"] = model(**kwargs)
            return seen["outputs"]

        stock = DPOTrainer._compute_loss(self, watched, inputs, return_outputs)  # one forward pass, and TRL's metrics
        means_R = mean_logprobs(seen["outputs"].log_probs, inputs["completion_mask"])
        chosen_B, rejected_B = means_R.chunk(2)
        loss_B = self.pair_loss(chosen_B, rejected_B)
        loss = (loss_B if weight_B is None else loss_B * weight_B / self.mean_weight).mean()
        self._note(chosen_B.detach(), rejected_B.detach())
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * seen["outputs"].aux_loss
        return (loss, stock[1]) if return_outputs else loss

    def _note(self, chosen_B: Tensor, rejected_B: Tensor) -> None:
        """Put means in the place of TRL's rewards, which would be sums that favour short answers."""
        metrics = self._metrics["train" if self.model.training else "eval"]
        chosen_B, rejected_B = (self.accelerator.gather(one) for one in (chosen_B, rejected_B))
        figures = {
            "chosen": self.beta * chosen_B,
            "rejected": self.beta * rejected_B,
            "margins": self.beta * (chosen_B - rejected_B),
            "accuracies": (chosen_B > rejected_B).float(),
        }
        for name, value_B in figures.items():
            metrics[f"rewards/{name}"][-1] = value_B.mean().item()


def mean_logprobs(logprobs_RL: Tensor, mask_RL: Tensor) -> Tensor:
    """Return the mean log-probability of the answer's tokens of each row, (R,), in float32.

    `mask_RL` is 1 at the answer; the first column has no prediction, so that the log-probabilities have one fewer.
    """
    n_tokens_R = mask_RL[:, 1:].sum(1)
    return logprobs_RL[:, -(mask_RL.shape[1] - 1) :].float().sum(1) / n_tokens_R.clamp(min=1)


def train_reference_free(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: TrainingOptions,
    seed: int,
    title: str,
    pair_loss: PairLoss,
    reward_scale: float,
    checkpoints: "Checkpoints | None",
) -> Trained:
    """Train the model in `parent` on `pairs` with `pair_loss` and save it in `out`.

    The rewards that are reported are `reward_scale` times the mean log-probability. Raises TrainingError where the loss
    is not a number or no pair fits.
    """
    from datasets import Dataset
    from trl import DPOConfig

    from engines.chat.template import load_tokenizer

    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    weighted = len({pair.weight for pair in pairs}) > 1
    rows = []
    for pair in pairs:
        row: dict[str, Any] = {**safe_example(tokenizer, pair.prompt, chosen=pair.chosen, rejected=pair.rejected)}
        none = dict.fromkeys(REFERENCE, 0.0)  # or TRL asks a reference
        rows.append(row | none | ({WEIGHT: pair.weight, LABEL: 1.0} if weighted else {}))
    kept = fitting(tokenizer, rows, options.max_length, title)
    settings = trainer_settings(options, work_of(out), seed)
    model, _ = load_policy(parent)
    trainer = ReferenceFreeTrainer(
        model,
        pair_loss=pair_loss,
        args=DPOConfig(**settings, beta=reward_scale, precompute_ref_log_probs=True),
        train_dataset=Dataset.from_list(kept),
        processing_class=tokenizer,
    )
    lengths = Lengths(len(rows) - len(kept), n_cut_off(pairs, title))
    return fit(trainer, out, title, checkpoints, options, lengths=lengths)
