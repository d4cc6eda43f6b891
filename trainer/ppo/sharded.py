"""PPO with sharded weights (FSDP 2): the models in parts, and the engine that draws answers with the whole policy."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engines.local.decoding import Sampled
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Sampling
from trainer.ppo.actor import ActorCritic
from trainer.training.sharding import shard_weights


@dataclass(frozen=True)
class WholeSampler:
    """Draws answers with the whole weights of a sharded policy, which are in memory only while it draws."""

    engine: TransformersEngine
    """Made by `hollow_engine`."""
    policy: nn.Module
    """The sharded model that `engine` was made of."""

    def sample(self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling) -> Iterable[Sampled]:
        """Return the tokens drawn after each token sequence. All processes must call it."""
        places = dict(self.engine.model.named_parameters())
        with torch.no_grad():
            for name, weight in self.policy.named_parameters():
                places[name].data = weight.full_tensor() if isinstance(weight, DTensor) else weight
        try:
            return list(self.engine.sample(sequences, seeds, sampling))
        finally:
            for place in places.values():
                place.data = place.new_empty(0)


def hollow_engine(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int, device: torch.device
) -> TransformersEngine:
    """Return an engine on `device` with the modules of a policy and empty weights. Make it before sharding."""
    empty: dict[int, Any] = {
        id(weight): nn.Parameter(torch.empty(0, dtype=weight.dtype, device=device), requires_grad=False)
        for weight in policy.parameters()
    }
    model = copy.deepcopy(policy, empty).to(device)
    return TransformersEngine.of_live(model, tokenizer, "policy", batch_size)


def shard_actor(accelerator: Accelerator, actor: ActorCritic, drawing: PreTrainedModel) -> None:
    """Shard the policy and the value model of `actor` in place. `drawing` is the policy, or the base of its adapter."""
    shard_weights(accelerator, drawing)
    shard_weights(accelerator, actor.value)


def most_of_all(n: int) -> int:
    """Return the greatest `n` of any process. All processes must call it."""
    return int(max(gather_object([n])))


def part_like(value: Tensor, weight: Tensor) -> Tensor:
    """Return the part of an optimizer's whole tensor that belongs to this process's part of a weight."""
    if not isinstance(weight, DTensor) or value.shape != weight.shape:
        return value
    # each process has read the whole, so that nothing is sent
    return distribute_tensor(value, weight.device_mesh, weight.placements, src_data_rank=None)
