"""A model in training whose texts vLLM draws: its weights are loaded into a running vLLM before each call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from console.errors import EngineError
from engines.adapters import weights_folder
from engines.chat.template import encoded, rendered
from engines.files import files_of
from engines.local.decoding import Sampled
from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm.engine import VllmEngine
from engines.local.vllm.memory import Memory
from engines.protocol import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NOT_A_WEIGHT = "rotary_emb.inv_freq"
"""In the name of a tensor of old checkpoints that every library works out anew."""
PROBE = (
    "Which rivers of Europe flow into the Black Sea, and how long are they? The Danube is 2,850 km long, the Dnieper "
    "2,201 km and the Dniester 1,362 km. Sort them by their length, and say where each of them begins."
)
"""The fixed prompt that the live model and vLLM both read."""
TOLERANCE = {"float32": 1e-4}
"""The most that the log-probabilities of its tokens may differ, in nats, the mean over the tokens. In float32 it was at
most 1e-5 with SmolLM2-135M; one step of Adam at a rate of 1e-5 moved the mean by 4e-3."""
COARSE_TOLERANCE = 0.25
"""The same in a half precision. In bfloat16 it was at most 0.065."""


@dataclass
class LiveVllm:
    """A model in training and a vLLM that draws with its weights. Make it with `load`."""

    live: TransformersEngine
    vllm: VllmEngine
    stored: frozenset[str]
    """The names of the tensors in the model's checkpoint."""
    probe: list[int] = field(default_factory=list)
    """The tokens of the fixed prompt."""

    @classmethod
    def load(cls, live: TransformersEngine, folder: Path, memory: Memory, dtype: str) -> LiveVllm:
        """Start vLLM beside a live model, which was loaded from `folder` or trained from it, to compute in `dtype`.

        Raises EngineError if it does not fit, cannot start, or computes something else than the live model.
        """
        vllm = VllmEngine(live.name, folder, memory=memory, dtype=dtype)
        prompt = rendered(live.tokenizer, [{"role": "user", "content": PROBE}], opening=True)
        probe = encoded(live.tokenizer, [prompt])[0][: vllm.loaded.context - 1]
        following = cls(live, vllm, stored_names(folder), probe)
        following.follow()  # now, because the caller may have much other work before its first text
        return following

    def follow(self) -> None:
        """Load the live model's weights into vLLM, and compare what both compute. Raises EngineError."""
        try:
            self.vllm.loaded.replace_weights(checkpoint_tensors(self.live.model, self.stored))
            if not (apart := self.apart()) <= self.tolerance:  # also true if it is not a number
                raise EngineError(
                    f"vLLM reads a fixed prompt with log-probabilities that differ by {apart:.2g} nats a token from "
                    f"the live model's, over {self.tolerance:g}: it computes something else; draw with transformers"
                )
        except EngineError as error:
            raise EngineError(f"{self.live.name}: {error}") from None

    def sample(self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling) -> list[Sampled]:
        """Return the tokens drawn after each token sequence, all of which fit the context, with the weights of now.

        A row's draws are fixed by its seed, up to the rounding that its neighbours change. Stop strings are not looked
        for.
        """
        self.follow()
        with self._plainly():
            return self.vllm.loaded.sample(sequences, seeds, sampling, self.live.ends)

    @property
    def tolerance(self) -> float:
        """The most nats a token that the two may differ by on the fixed prompt."""
        return TOLERANCE.get(self.vllm.dtype, COARSE_TOLERANCE)

    def apart(self) -> float:
        """Return by how many nats the log-probabilities of the fixed prompt differ, the mean over its tokens."""
        after_first = self.probe[1:]
        logprobs_TV = self.live.forward.before_ends([self.probe], [len(after_first)]).float().log_softmax(-1)
        in_live = logprobs_TV[range(len(after_first)), after_first].tolist()
        with self._plainly():
            in_vllm = self.vllm.loaded.read(self.probe)
        return fmean(abs(one - other) for one, other in zip(in_live, in_vllm, strict=True))

    def _plainly(self) -> torch.autocast:
        """Return the context that vLLM computes in: its precision is its own, whatever the caller trains in."""
        return torch.autocast(self.live.model.device.type, enabled=False)


def stored_names(folder: Path) -> frozenset[str]:
    """Return the names of the weights in the files of the model in `folder`, which are those that vLLM knows."""
    names: set[str] = set()
    for path in files_of(weights_folder(folder), ("*.safetensors",)):
        with safe_open(path, "pt") as file:
            names.update(name for name in file.keys() if NOT_A_WEIGHT not in name)  # noqa: SIM118  it is no dict
    return frozenset(names)


def checkpoint_tensors(model: PreTrainedModel, stored: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors of a live model by the names of its checkpoint, which are `stored`; none is copied.

    A tied weight stays under each of its names, though few checkpoints store it twice: vLLM packs the weights of each
    layer for a processor, and would keep what it packed of the old ones. Raises EngineError if a tensor of the
    checkpoint is missing, or there are others.
    """
    tensors: dict[str, Tensor] = revert_weight_conversion(model, model.state_dict())
    if missing := sorted(set(stored) - tensors.keys()):
        raise EngineError(f"the live model has no {missing[0]} ({len(missing)} in all), which its checkpoint has")
    places = {tensors[name].data_ptr() for name in stored}
    if unknown := sorted(name for name in tensors.keys() - stored if tensors[name].data_ptr() not in places):
        raise EngineError(f"the live model has {unknown[0]} ({len(unknown)} in all), which its checkpoint has not")
    return {name: tensor.detach() for name, tensor in tensors.items()}
