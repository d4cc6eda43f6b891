"""Opens the models of the rollouts, and what draws their answers: transformers, or vLLM beside the policy."""

from pathlib import Path

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm.live import LiveVllm
from engines.local.vllm.memory import Memory
from engines.models import FLOAT32, context_of
from trainer.ppo.actor import ActorCritic
from trainer.ppo.options import PPOOptions
from trainer.ppo.reference import FrozenPolicy
from trainer.ppo.rollout import Actors, Sampler
from trainer.ppo.sharded import WholeSampler, hollow_engine, most_of_all, shard_actor
from trainer.training.processes import is_sharded

LEAST_CONTEXT = 256
"""Tokens that vLLM has room for even if answers are shorter, because it also reads the fixed text of its probe."""
DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
"""The names of accelerate's precisions in torch."""


def open_sampler(policy: TransformersEngine, parent: Path, options: PPOOptions, precision: str) -> Sampler:
    """Return what draws the answers: `policy`, or a vLLM that was started from `parent` and has its weights.

    vLLM computes in the precision in which the policy is trained, and has memory for as many answers at a time as
    `generation_batch_size` says. Raises EngineError if it cannot be started, or computes something else.
    """
    if options.rollout_engine != "vllm":
        return policy
    longest = max(options.query_length + options.response_length, LEAST_CONTEXT)
    context = min(longest, context_of(policy.model.config))
    memory = Memory(max_model_len=context, beside_training=True, n_rows=options.generation_batch_size)
    return LiveVllm.load(policy, parent, memory, DTYPES.get(precision, FLOAT32))


def open_actors(
    actor: ActorCritic,
    reference: PreTrainedModel | FrozenPolicy,
    tokenizer: PreTrainedTokenizerBase,
    parent: Path,
    options: PPOOptions,
    accelerator: Accelerator,
) -> Actors:
    """Return the models of the rollouts on the device, sharded if need be. Raises as `open_sampler` does."""
    drawing = actor.policy.get_base_model() if options.lora.r else actor.policy
    n_rows, device = options.generation_batch_size, accelerator.device
    if is_sharded():
        engine = hollow_engine(drawing, tokenizer, n_rows, device)
        shard_actor(accelerator, actor, drawing)
        return Actors(actor, reference, engine, WholeSampler(engine, drawing), accelerator.autocast, most_of_all)
    actor.to(device)
    engine = TransformersEngine.of_live(drawing, tokenizer, "policy", n_rows)
    sampler = open_sampler(engine, parent, options, accelerator.mixed_precision)
    return Actors(actor, reference, engine, sampler, accelerator.autocast)
