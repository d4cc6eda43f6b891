"""Preference losses that need no reference model, on this project's DPO trainer: its data, its memory, its metrics.

The losses are in `trainer.preference.losses`. TRL's own ORPO and CPO trainers (1.16, experimental) are not used: their
tokenisation differs from that of TRL's DPO trainer, because they add an end-of-text token after the one of the chat
template, and they hold the logits of the whole vocabulary in memory.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from trl import DPOConfig

from engines.chat.template import load_tokenizer
from trainer.preference.columns import LABEL, REFERENCE, WEIGHT, check_pairs
from trainer.preference.trainer import PreferenceTrainer, mean_logprobs
from trainer.training.checkpoints import Checkpoints
from trainer.training.examples.gathering import gather
from trainer.training.fit import fit, load_policy, safe_example, trainer_settings
from trainer.training.lengths import Lengths, n_cut_off, order_steps
from trainer.training.memory.choice import settled
from trainer.training.memory.size import Load
from trainer.training.options import ValidatedOptions, check_options
from trainer.training.outcome import Trained, work_of

if TYPE_CHECKING:
    from records import Pair

PairLoss = Callable[[Tensor, Tensor], Tensor]
"""The loss of each of B pairs from the mean log-probabilities of the chosen and of the rejected answers, each (B,)."""


class ReferenceFreeTrainer(PreferenceTrainer):
    """A PreferenceTrainer with the loss `pair_loss`. A pair counts by its weight over the mean weight."""

    def __init__(self, model: Any, *, pair_loss: PairLoss, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.pair_loss = pair_loss

    def is_stock(self, weight_B: Tensor | None) -> bool:
        """Return False: TRL's loss needs a reference model."""
        return False

    def loss_of(
        self, logprobs_RL: Tensor, inputs: dict[str, Any], label_B: Tensor | None, weight_B: Tensor | None
    ) -> Tensor:
        """Return the mean loss of a batch of pairs. Labels are not used."""
        chosen_B, rejected_B = mean_logprobs(logprobs_RL, inputs["completion_mask"]).chunk(2)
        loss_B = self.pair_loss(chosen_B, rejected_B)
        self._log_rewards(chosen_B.detach(), rejected_B.detach())
        return (loss_B if weight_B is None else loss_B * weight_B / self.mean_weight).mean()

    def _log_rewards(self, chosen_B: Tensor, rejected_B: Tensor) -> None:
        """Replace TRL's logged rewards, which are sums and favour short answers, by means."""
        metrics = self._metrics["train" if self.model.training else "eval"]
        chosen_B, rejected_B = (self.accelerator.gather(logprobs_B) for logprobs_B in (chosen_B, rejected_B))
        rewards = {
            "chosen": self.beta * chosen_B,
            "rejected": self.beta * rejected_B,
            "margins": self.beta * (chosen_B - rejected_B),
            "accuracies": (chosen_B > rejected_B).float(),
        }
        for name, reward_B in rewards.items():
            metrics[f"rewards/{name}"][-1] = reward_B.mean().item()


def train_reference_free(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: ValidatedOptions,
    seed: int,
    title: str,
    pair_loss: PairLoss,
    reward_scale: float,
    checkpoints: Checkpoints | None,
) -> Trained:
    """Train the model in `parent` on `pairs` with `pair_loss` and save it in `out`.

    The reported rewards are `reward_scale` times the mean log-probability. Raises InputError for a bad setting,
    TrainingError if there is nothing to train on or the loss is not a number.
    """
    check_options(options)
    check_pairs(pairs)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    weighted = len({pair.weight for pair in pairs}) > 1

    def example(pair: "Pair") -> dict[str, Any]:
        texts = safe_example(tokenizer, pair.prompt, chosen=pair.chosen, rejected=pair.rejected)
        weights = {WEIGHT: pair.weight, LABEL: 1.0} if weighted else {}
        return {**texts, **dict.fromkeys(REFERENCE, 0.0), **weights}  # or TRL runs a reference model

    rows = ((pair.prompt, example(pair)) for pair in pairs)
    examples = gather(tokenizer, rows, options, out, seed, title)
    memory = settled(parent, options, Load(2 * options.micro_batch_size * options.max_length), title)
    settings = trainer_settings(options, work_of(out), seed, memory)
    model, _ = load_policy(parent, lora=options.lora, seed=seed, memory=memory)
    trainer = ReferenceFreeTrainer(
        model,
        pair_loss=pair_loss,
        args=DPOConfig(**settings, beta=reward_scale, precompute_ref_log_probs=True),
        train_dataset=examples.learnt,
        eval_dataset=examples.validating,
        processing_class=tokenizer,
    )
    order_steps(trainer)
    lengths = Lengths(examples.n_left_out, n_cut_off(pairs, title))
    return fit(trainer, out, title, checkpoints, options, lengths=lengths)
