"""Intuitive fine-tuning on TRL's SFTTrainer: fused inputs and weighed tokens (arXiv 2405.11870, section 4).

A step follows the authors' program: look the tokens up in the embeddings, predict each target without a gradient, fuse
(`trainer.ift.fusion`), predict again, weigh the losses (`trainer.ift.propagation`). If lambda is 0 the inputs are those
of SFT, and the input embeddings learn. If the decay is 0 as well, the step is SFT's own.
"""

import random
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback
from trl import SFTConfig

from console.errors import TrainingError
from engines.chat.template import load_tokenizer
from records.keys import derived_seed
from trainer.ift.data import check_chats, check_context
from trainer.ift.fusion import Fusion, add_fusion
from trainer.ift.options import IFTOptions, check_ift
from trainer.ift.propagation import Propagated, propagate
from trainer.training.examples.gathering import PREPARED, gather
from trainer.training.examples.turns import examples_of
from trainer.training.examples.weights import WeightedTrainer
from trainer.training.fit import fit, load_policy, trainer_settings
from trainer.training.lengths import Lengths, order_steps
from trainer.training.memory.choice import settled
from trainer.training.memory.size import Load
from trainer.training.outcome import Trained, work_of
from trainer.training.trl_internals import ForwardSpy

if TYPE_CHECKING:
    from records import Message
    from trainer.training.examples.file_rows import Rows


@dataclass(frozen=True)
class WeighedOutputs:
    """The outputs of a forward pass, their log-probabilities times the weights of the tokens."""

    outputs: Any
    propagated: Propagated
    nll: Tensor
    """The negative log-likelihood of the targets without weights, ()."""


class IFTTrainer(WeightedTrainer):
    """A trainer whose inputs contain the model's own predictions and whose tokens count for later ones."""

    def __init__(self, model: Any, *, options: IFTOptions, **kwargs: Any) -> None:
        super().__init__(model, average=options.average, **kwargs)
        self.options = options
        self.fusion = Fusion(options.prediction, options.temperature, torch.Generator(self.accelerator.device))
        self.base = model.get_base_model() if hasattr(model, "get_base_model") else model  # inside PEFT's wrapper
        add_fusion(self.base, self.fusion)
        self.add_callback(_Draws(self))
        if options.embeddings == "copy":
            self.add_callback(_Copies(self))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a micro-batch: TRL's own with fused inputs and weighed tokens."""
        lambda_ = lambda_at(self.options, self.state.global_step, self.state.max_steps, self.args.seed)
        forward = partial(model, fusion=lambda_) if lambda_ else model
        weight_B = self.relative_weights(inputs)

        def weighed(**inputs: Any) -> WeighedOutputs:
            outputs = forward(**inputs)
            propagated, nll = self._propagated(outputs, weight_B), -outputs.log_probs.detach().sum()
            if self.options.decay or weight_B is not None:
                outputs.log_probs = outputs.log_probs * propagated.weights_BT  # TRL sums them
            return WeighedOutputs(outputs, propagated, nll)

        spy = ForwardSpy(model, weighed, attrgetter("outputs"))
        loss = super().compute_loss(spy, inputs, return_outputs, num_items_in_batch)
        outputs = spy.outputs.outputs
        self._log(lambda_, spy.outputs.nll, outputs.label_mask.sum())
        if self.options.average == "tokens":
            return loss
        # the mean over answers replaces TRL's loss, whose call has logged its metrics
        _, returned = loss if return_outputs else (loss, None)
        # The Trainer itself divides by the accumulated steps only if it does not pass the number of items.
        steps = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
        loss = spy.outputs.propagated.loss / steps
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss / steps
        return (loss, returned) if return_outputs else loss

    def _propagated(self, outputs: Any, weight_B: Tensor | None) -> Propagated:
        options = self.options
        settings = (options.decay, options.variant, options.detach_weights)
        return propagate(-outputs.log_probs, outputs.label_mask, *settings, weight_B)

    def _log(self, lambda_: float, nll: Tensor, n_targets: Tensor) -> None:
        nll, n_targets = (self.accelerator.gather_for_metrics(total).sum() for total in (nll, n_targets))
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["ift/lambda"].append(lambda_)
        metrics["ift/nll"].append(float(nll / n_targets.clamp(min=1)))


class _Draws(TrainerCallback):  # type: ignore[misc]
    """Seeds the predictions of each step, so that a resumed training draws the same."""

    def __init__(self, trainer: IFTTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        place = self.trainer.accelerator.process_index
        self.trainer.fusion.generator.manual_seed(derived_seed(args.seed, "predictions", place, state.global_step))


class _Copies(TrainerCallback):  # type: ignore[misc]
    """Copies the table of embeddings before the first step and after each."""

    def __init__(self, trainer: IFTTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.fusion.copy_table(self.trainer.base)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.fusion.copy_table(self.trainer.base)


def lambda_at(options: IFTOptions, step: int, n_steps: int, seed: int) -> float:
    """Return the lambda of a step, counted from 0. The seed and the step fix its noise."""
    lambda_ = options.max_lambda
    if options.lambda_schedule == "linear":
        lambda_ = options.min_lambda + (lambda_ - options.min_lambda) * step / max(n_steps - 1, 1)
    if options.lambda_noise == "normal":
        lambda_ *= 1 + random.Random(derived_seed(seed, "lambda", step)).gauss() / 2
    return min(max(lambda_, 0.0), 1.0)


def train_ift(
    parent: Path, out: Path, chats: "Rows[list[Message]]", options: IFTOptions, seed: int, title: str = "IFT"
) -> Trained:
    """Fine-tune the model in `parent` on `chats` and save it in `out`.

    Raises InputError for a bad setting, a conversation without an assistant turn, or one that is longer than the
    model's context. Raises TrainingError if there is nothing to train on or the loss is not a number.
    """
    check_ift(options)
    if not len(chats):
        raise TrainingError("no conversation to train on")
    check_chats(chats, options.loss_on)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    check_context(chats, parent, tokenizer, options.max_length)
    rows = examples_of(chats, tokenizer, options.loss_on)
    examples = gather(tokenizer, rows, options, out, seed, title)
    memory = settled(parent, options, Load(options.micro_batch_size * options.max_length), title)
    settings = trainer_settings(options, work_of(out), seed, memory)
    settings |= {"max_grad_norm": options.max_grad_norm, "lr_scheduler_kwargs": {"min_lr_rate": options.final_share}}
    model, _ = load_policy(parent, lora=options.lora, seed=seed, memory=memory)
    trainer = IFTTrainer(
        model,
        options=options,
        args=SFTConfig(**settings, dataset_kwargs=PREPARED),
        train_dataset=examples.learnt,
        eval_dataset=examples.validating,
        processing_class=tokenizer,
    )
    order_steps(trainer)
    return fit(trainer, out, title, options=options, lengths=Lengths(examples.n_left_out))
