"""Replaces the weights of a running vLLM by other tensors, and checks by name that each was taken.

vLLM itself only warns of a parameter that got no tensor, and computes on with the old one or with none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from vllm import LLM
from vllm.config import set_current_vllm_config
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from console.errors import EngineError

SHOWN = 3
"""The most names in a message."""


def load_tensors(llm: LLM, tensors: Mapping[str, Tensor]) -> None:
    """Replace all weights of a running vLLM, which works on no request, and forget what it computed with the old ones.

    The tensors have the names of a checkpoint. Raises EngineError, with the names, if a parameter got none of them, or
    if vLLM refuses one.
    """
    try:
        left_by_worker = llm.collective_rpc(_load, args=(tensors,))
    except Exception as error:  # of torch and of vLLM's loaders: a name or a shape that the model does not have
        raise EngineError(f"vLLM cannot load the new weights: {' '.join(str(error).split())[:400]}") from None
    if left := sorted(set().union(*left_by_worker)):
        raise EngineError(
            f"vLLM would compute with old weights: it got none for {', '.join(left[:SHOWN])} ({len(left)} in all)"
        )
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
