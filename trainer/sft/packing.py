"""Examples in one row without padding. It is exact only if no example sees the one before it in the row."""

from typing import Any

import torch
from torch import Tensor
from trl import SFTTrainer

from console.errors import InputError
from trainer.training.examples.gathering import WEIGHT
from trainer.training.processes import is_sharded

N_CHECKED = 2
CLOSE = 1e-3
"""How far a token's log-probability in a row may move if the tokens of the example before it change, in nats."""


def packed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of TRL for rows without padding. Examples that are too long were left out before."""
    return settings | {"padding_free": True, "max_length": None}


def check_packing(trainer: SFTTrainer) -> None:
    """Raise InputError if the model's answers in a row depend on the examples before them.

    transformers keeps them apart by their positions, in models whose layers all are attention. Two examples show if it
    does so here: the second must not change with the first, whatever the rounding of the weights' type. With sharded
    weights nothing is computed, because no process has all of them yet.
    """
    if is_sharded() or len(trainer.train_dataset) < N_CHECKED:
        return
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    shortest = sorted(range(len(lengths)), key=lengths.__getitem__)[:N_CHECKED]
    first, second = (trainer.train_dataset[place] for place in shortest)
    other = first | {"input_ids": first["input_ids"][::-1]}
    collate, was_training = trainer.data_collator, trainer.model.training
    trainer.model.eval()
    try:
        n_second = len(_logprobs(trainer, collate([second])))
        after_first, after_other = (_logprobs(trainer, collate([before, second])) for before in (first, other))
    except (ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"--packing: {_name(trainer)} cannot read packed rows: {str(error)[:200]}") from None
    trainer.model.train(was_training)
    difference = float((after_first - after_other)[-n_second:].abs().max())
    if difference > CLOSE:
        raise InputError(
            f"--packing: the examples of a row see each other in {_name(trainer)}: a token's log-probability moves "
            f"by {difference:.2g} if the example before it changes; leave out --packing"
        )


def _logprobs(trainer: SFTTrainer, batch: dict[str, Any]) -> Tensor:
    """Return the log-probabilities of the tokens that are learned, (N,)."""
    batch.pop(WEIGHT, None)
    with torch.no_grad(), trainer.compute_loss_context_manager():
        outputs = trainer.model(**trainer._prepare_inputs(batch), fused_lm_head=True)
    logprobs_N: Tensor = outputs.log_probs[outputs.label_mask].float()
    return logprobs_N


def _name(trainer: SFTTrainer) -> str:
    model = trainer.model.get_base_model() if hasattr(trainer.model, "get_base_model") else trainer.model
    return f"{type(model).__name__} with {model.config._attn_implementation} attention"
