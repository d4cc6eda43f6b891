"""The reference of a policy whose adapter is trained: the same weights, which take no second place in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from trl.trainer.utils import use_adapter

from engines.adapters import is_adapter
from engines.merging import load_adapter
from trainer.training.lora.adapter import REFERENCE


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
