"""Intuitive fine-tuning on TRL's SFTTrainer: the inputs are fused and the tokens weighed (arXiv 2405.11870, section 4).

A step is the authors': look the tokens up in the embeddings, predict each target without a gradient, fuse
(`trainer.ift.fusion`), predict again, weigh the losses (`trainer.ift.propagation`). Where lambda is 0 the tokens go in
as in SFT, whose embeddings learn; where the decay is 0 as well, the step is SFT's own.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback
from trl import SFTTrainer

from console.errors import InputError, TrainingError
from records.keys import derived_seed
from trainer.ift.data import check_chats, check_context, rows_of
from trainer.ift.fusion import Fusion, add_fusion
from trainer.ift.options import IFTOptions, check_ift
from trainer.ift.propagation import Propagated, propagate
from trainer.training.fit import fit, load_policy, trainer_settings
from trainer.training.lengths import Lengths, fitting
from trainer.training.outcome import Trained, work_of
from trainer.training.processes import is_sharded

if TYPE_CHECKING:
    from records import Message


class IFTTrainer(SFTTrainer):  # type: ignore[misc]
    """An SFTTrainer whose answers begin where the model's own would lead, and whose tokens answer for later ones."""

    def __init__(self, model: Any, *, options: IFTOptions, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.options = options
        self.fusion = Fusion(options.prediction, options.temperature, torch.Generator(self.accelerator.device))
        self.base = model.get_base_model() if hasattr(model, "get_base_model") else model  # beneath PEFT's wrapper
        add_fusion(self.base, self.fusion)
        self.add_callback(_Draws(self))
        if options.embeddings == "copy":
            self.add_callback(_Copies(self))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a micro-batch: TRL's own, of fused inputs and weighed tokens."""
        lambda_ = lambda_at(self.options, self.state.global_step, self.state.max_steps, self.args.seed)
        seen: dict[str, Any] = {}

        def watched(**kwargs: Any) -> Any:
            if not kwargs.get("fused_lm_head"):
                return model(**kwargs)
            outputs = model(**kwargs, fusion=lambda_) if lambda_ else model(**kwargs)
            found = self._propagated(outputs)
            seen.update(outputs=outputs, found=found, nll=-outputs.log_probs.detach().sum())
            if self.options.decay:
                outputs.log_probs = outputs.log_probs * found.weights_BT  # which TRL adds up
            return outputs

        loss = super().compute_loss(watched, inputs, return_outputs, num_items_in_batch)
        self._note(lambda_, seen["nll"], seen["outputs"].label_mask.sum())
        if self.options.average == "tokens":
            return loss
        _, returned = loss if return_outputs else (loss, None)
        steps = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
        loss = seen["found"].loss / steps
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * seen["outputs"].aux_loss / steps
        return (loss, returned) if return_outputs else loss

    def _propagated(self, outputs: Any) -> Propagated:
        options = self.options
        return propagate(-outputs.log_probs, outputs.label_mask, options.decay, options.variant, options.detach_weights)

    def _note(self, lambda_: float, nll: Tensor, n_targets: Tensor) -> None:
        nll, n_targets = (self.accelerator.gather_for_metrics(one).sum() for one in (nll, n_targets))
        metrics = self._metrics["train" if self.model.training else "eval"]
        metrics["ift/lambda"].append(lambda_)
        metrics["ift/nll"].append(float(nll / n_targets.clamp(min=1)))


class _Draws(TrainerCallback):  # type: ignore[misc]
    """Gives each step's predictions a seed of their own, so that a training that goes on draws the same."""

    def __init__(self, trainer: IFTTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        place = self.trainer.accelerator.process_index
        self.trainer.fusion.generator.manual_seed(derived_seed(args.seed, "predictions", place, state.global_step))


class _Copies(TrainerCallback):  # type: ignore[misc]
    """Takes the table of embeddings before the first step and after each."""

    def __init__(self, trainer: IFTTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.fusion.copy_table(self.trainer.base)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.fusion.copy_table(self.trainer.base)


def lambda_at(options: IFTOptions, step: int, n_steps: int, seed: int) -> float:
    """Return the lambda of a step, the first of which is 0; the seed and the step fix its noise."""
    lambda_ = options.max_lambda
    if options.lambda_schedule == "linear":
        lambda_ = options.min_lambda + (lambda_ - options.min_lambda) * step / max(n_steps - 1, 1)
    if options.lambda_noise == "normal":
        lambda_ *= 1 + random.Random(derived_seed(seed, "lambda", step)).gauss() / 2
    return min(max(lambda_, 0.0), 1.0)


def train_ift(
    parent: Path, out: Path, chats: "Sequence[list[Message]]", options: IFTOptions, seed: int, title: str = "IFT"
) -> Trained:
    """Fine-tune the model in `parent` on `chats` and save it in `out`.

    Raises InputError for a bad setting, a conversation without a turn of the assistant, or one that is longer than the
    model's context; TrainingError where there is nothing to train on or the loss is not a number.
    """
    from datasets import Dataset
    from trl import SFTConfig

    from engines.chat.template import load_tokenizer

    check_ift(options)
    if not chats:
        raise TrainingError("no conversation to train on")
    if options.embeddings == "copy" and is_sharded():
        raise InputError("embeddings must be live where the weights are sharded: a copy is the whole table")
    check_chats(chats, options.turns)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    check_context(chats, parent, tokenizer, options.max_length)
    rows = rows_of(chats, tokenizer, options.turns)
    kept = fitting(tokenizer, rows, options.max_length, title)
    settings = trainer_settings(options, work_of(out), seed)
    settings |= {"max_grad_norm": options.max_grad_norm, "lr_scheduler_kwargs": {"min_lr_rate": options.final_share}}
    if options.optimizer == "rmsprop":
        settings["optim"] = "rmsprop"
    model, _ = load_policy(parent)
    trainer = IFTTrainer(
        model,
        options=options,
        args=SFTConfig(**settings, completion_only_loss=True),
        train_dataset=Dataset.from_list(kept),
        processing_class=tokenizer,
    )
    return fit(trainer, out, title, options=options, lengths=Lengths(len(rows) - len(kept)))
