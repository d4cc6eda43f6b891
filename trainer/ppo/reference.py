"""The reference of a policy: a frozen copy, or with an adapter the same weights, which take no second place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from trl.trainer.utils import use_adapter

from engines.adapters import is_adapter
from engines.merging import load_adapter
from trainer.training.fit import load_policy
from trainer.training.lora.adapter import REFERENCE
from trainer.training.memory.size import MemorySettings
from trainer.training.processes import is_sharded
from trainer.training.sharding import shard_frozen


@dataclass(frozen=True)
class FrozenPolicy:
    """The policy with its adapter off, or with the one that it began with. Make it with `without_adapter`."""

    policy: Any
    """PEFT's model."""
    adapter: str | None
    """The adapter to compute with. None is the base."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        device: torch.device = self.policy.device
        return device

    def __call__(self, **inputs: Any) -> Any:
        """Run the model as it was before the training."""
        with use_adapter(self.policy, self.adapter):
            return self.policy(**inputs)


def without_adapter(policy: Any, parent: Path) -> FrozenPolicy:
    """Return the reference of a policy that began as the model in `parent`.

    If that is an adapter, it is loaded a second time beside the one that learns.
    """
    if not is_adapter(parent):
        return FrozenPolicy(policy, None)
    policy.add_adapter(REFERENCE, policy.peft_config["default"])
    load_adapter(policy, parent, REFERENCE)
    policy.set_adapter("default")
    return FrozenPolicy(policy, REFERENCE)


def frozen_copy(parent: Path, accelerator: Accelerator, memory: MemorySettings) -> Any:
    """Return the model in `parent` as the reference, on the device, sharded if the policy is."""
    model, _ = load_policy(parent, memory=memory)
    if is_sharded():
        return shard_frozen(accelerator, model)
    return model.requires_grad_(False).eval().to(accelerator.device)
