"""Replaces the weights of a running vLLM by the tensors of another model, and checks by name that each was taken.

vLLM itself only warns of a parameter that got no tensor, and computes on with the old one or with none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn
from transformers.core_model_loading import revert_weight_conversion
from vllm import LLM
from vllm.config import set_current_vllm_config
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from console.errors import EngineError
from engines.models import files_of

NOT_A_WEIGHT = "rotary_emb.inv_freq"
"""In the name of a tensor of old checkpoints that every library works out anew."""
SHOWN = 3
"""The most names in a message."""


def stored_names(folder: Path) -> frozenset[str]:
    """Return the names of the weights in the files of the model in `folder`, which are those that vLLM knows."""
    names: set[str] = set()
    for path in files_of(folder, ("*.safetensors",)):
        with safe_open(path, "pt") as file:
            names.update(name for name in file.keys() if NOT_A_WEIGHT not in name)  # noqa: SIM118  it is no dict
    return frozenset(names)


def checkpoint_tensors(model: nn.Module, stored: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors of a live model by the names of its checkpoint, which are `stored`; none is copied.

    A tied weight stays under each of its names, though few checkpoints store it twice: vLLM packs the weights of each
    layer for a processor, and would keep what it packed of the old ones. Raises EngineError if a tensor of the
    checkpoint is missing, or there are others.
    """
    tensors: dict[str, Tensor] = revert_weight_conversion(model, model.state_dict())
    if missing := sorted(set(stored) - tensors.keys()):
        raise EngineError(f"the live model has no {_some(missing)}, which its checkpoint has: vLLM cannot follow it")
    places = {tensors[name].data_ptr() for name in stored}
    if unknown := sorted(name for name in tensors.keys() - stored if tensors[name].data_ptr() not in places):
        raise EngineError(f"the live model has {_some(unknown)}, which its checkpoint has not: vLLM cannot follow it")
    return {name: tensor.detach() for name, tensor in tensors.items()}


def load_tensors(llm: LLM, tensors: Mapping[str, Tensor]) -> None:
    """Replace all weights of a running vLLM, which works on no request, and forget what it computed with the old ones.

    Raises EngineError, with the names, if a parameter got no tensor, or if vLLM refuses one.
    """
    try:
        left_by_worker = llm.collective_rpc(_load, args=(tensors,))
    except Exception as error:  # of torch and of vLLM's loaders: a name or a shape that the model does not have
        raise EngineError(f"vLLM cannot load the new weights: {' '.join(str(error).split())[:400]}") from None
    if left := sorted(set().union(*left_by_worker)):
        raise EngineError(f"vLLM got no new weights for {_some(left)}, and would compute with others")
    if not llm.reset_prefix_cache():
        raise EngineError("vLLM keeps keys and values of the old weights, because it still works on a request")


def _load(worker: Any, tensors: Mapping[str, Tensor]) -> set[str]:
    """Load the tensors in a worker of vLLM's, and return the names of the parameters that got none."""
    model, config = worker.model_runner.get_model(), worker.vllm_config
    with set_current_vllm_config(config):
        # Not into the parameters as they are: on a processor vLLM has packed them and left them empty.
        initialize_layerwise_reload(model)
        taken = model.load_weights(iter(tensors.items()))
        finalize_layerwise_reload(model, config.model_config)
    return set() if taken is None else {name for name, _ in model.named_parameters()} - taken


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
