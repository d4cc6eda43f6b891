"""A command whose processes generate different numbers of tokens with sharded weights, and then compute a gradient.

python -m tests.trainer.training.uneven_process MODEL
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch.distributed.tensor import DTensor

from trainer.training.fit import load_policy
from trainer.training.processes import is_sharded, place
from trainer.training.sharding import whole_weights

N_PROMPT = 3
LENGTHS = (3, 9)
"""The tokens that each process generates."""


@dataclass(frozen=True)
class Config:
    """Generate and compute a gradient."""

    model: Annotated[Path, tyro.conf.Positional] = Path()


def main(config: Config) -> None:
    """Print the tokens of the answer, and the norm of the gradient of the loss on them."""
    model, _ = load_policy(config.model)
    ids = torch.arange(5, 5 + N_PROMPT)[None]
    sample = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    if is_sharded():
        accelerator = Accelerator()
        model = fsdp2_prepare_model(accelerator, model)
        torch.distributed.fsdp.register_fsdp_forward_method(model, "generate")
        with torch.no_grad(), whole_weights(accelerator, model):
            answer = model.generate(ids, max_new_tokens=LENGTHS[place()], **sample)
            assert not any(isinstance(weight, DTensor) for weight in model.parameters()), "gathered for each token"
        assert all(isinstance(weight, DTensor) for weight in model.parameters()), "not sharded again"
    else:
        answer = model.generate(ids, max_new_tokens=LENGTHS[-1], **sample)
    tokens = answer[:, : N_PROMPT + LENGTHS[0]]
    model(input_ids=tokens, labels=tokens).loss.backward()
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in model.parameters()])
    norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
    print(*answer[0].tolist(), f"{float(norm):.7f}")
