"""Examples in one row without padding. It is exact only if no example sees the one before it in the row."""

from typing import Any

import torch
from torch import Tensor
from trl import SFTTrainer

from console.errors import InputError
from trainer.training.examples.gathering import WEIGHT
from trainer.training.processes import is_sharded

N_CHECKED = 2
CLOSE, CLOSE_IN_16_BITS = 1e-3, 0.1
"""How far a token's log-probability in a row may be from that of the example alone, in nats."""


def packed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of TRL for rows without padding. Examples that are too long were left out before."""
    return settings | {"padding_free": True, "max_length": None}


def check_packing(trainer: SFTTrainer) -> None:
    """Raise InputError if the model's answers in a row depend on the examples before them.

    transformers keeps them apart by their positions, in models whose layers all are attention. Two examples show if it
    does so here. With sharded weights nothing is computed, because no process has all of them yet.
    """
    if is_sharded() or len(trainer.train_dataset) < N_CHECKED:
        return
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    shortest = sorted(range(len(lengths)), key=lengths.__getitem__)[:N_CHECKED]
    examples = [trainer.train_dataset[place] for place in shortest]
    collate, was_training = trainer.data_collator, trainer.model.training
    trainer.model.eval()
    try:
        together = _logprobs(trainer, collate(examples))
        alone = torch.cat([_logprobs(trainer, collate([example])) for example in examples])
    except (ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"--packing: {_name(trainer)} cannot read packed rows: {str(error)[:200]}") from None
    trainer.model.train(was_training)
    difference = float((together - alone).abs().max())
    is_exact = trainer.model.dtype == torch.float32 and not trainer.args.bf16
    if difference > (CLOSE if is_exact else CLOSE_IN_16_BITS):
        raise InputError(
            f"--packing: the examples of a row see each other in {_name(trainer)}: a token's log-probability differs "
            f"by {difference:.2g} from that in the example alone; leave out --packing"
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
