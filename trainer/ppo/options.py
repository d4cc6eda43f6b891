"""The settings of PPO, by default AlpacaFarm's recipe for simulated preferences (Dubois et al., 2023)."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from console.command import off
from console.errors import InputError
from console.ranges import Count, CountOr0, NotNegative, Number, Positive, Share, ShareAbove0, check_ranges
from engines.chat.options import ChatTemplateKwargs
from engines.chat.template import checked_kwargs
from engines.local.vllm.installed import check_installed
from engines.options import EngineOptions
from judges.options import JudgeOptions
from judges.tools.options import EvidenceOptions
from trainer.training.memory.options import AUTO, FUSED, ROUNDED, TORCHAO, check_memory
from trainer.training.metrics.options import ReportTo
from trainer.training.options import Learning, check_lora
from trainer.training.processes import check_sharding, is_sharded

USUAL_OPTIMIZER = "adamw_torch"
COLDEST, HOTTEST = 0.01, 2.0
"""The temperatures between which vLLM draws as it is told."""


@dataclass(frozen=True)
class PPOOptions(Learning):
    """Settings for drawing answers and learning from their rewards. A step is one batch of answers."""

    rollout_batch_size: Count = 512
    """Answers per step, over all processes."""
    step_batch_size: Count = 256
    """Answers per optimiser step, over all processes."""
    micro_batch_size: Count = 2
    """Answers in a process's memory at once while training."""
    generation_batch_size: Count = 32
    """Answers that a process generates, or reads without a gradient, at once."""
    ppo_epochs: Count = 2
    """Passes over the answers of a step."""
    epochs: Count = 10
    """Passes over the prompts."""
    steps: Count | None = None
    """The number of steps, instead of epochs."""
    learning_rate: Positive = 1e-5
    """The peak."""
    warmup_steps: CountOr0 = 5
    """Steps in which the learning rate rises."""
    schedule: Literal["linear", "constant"] = "linear"
    """The learning rate after the warm-up. linear: falls to 0 at the end."""
    adam_eps: Positive = 1e-5
    max_grad_norm: Positive = 1.0
    """The norm that the gradient of policy and value model together is clipped to."""
    cliprange: Positive = 0.2
    """The distance of a probability ratio from 1 at which its loss is clipped."""
    cliprange_value: Positive = 0.2
    """The distance of a value from its old one at which its loss is clipped."""
    vf_coef: NotNegative = 0.1
    """The weight of the value loss."""
    gamma: Share = 1.0
    """The discount of rewards per token."""
    gae_lambda: Share = 1.0
    """The lambda of generalised advantage estimation."""
    whiten_rewards: Annotated[bool, off("Do not divide the tokens' rewards by their standard deviation.")] = True
    """Divide the tokens' rewards by their standard deviation and keep their mean. If the mean is not 0, every token
    gains or loses reward, and a longer answer gains or loses more."""
    whiten_advantages: Annotated[bool, off("Do not bring the advantages to mean 0 and standard deviation 1.")] = True
    """Bring the advantages to mean 0 and standard deviation 1."""
    kl_coef: NotNegative = 0.0067
    """The penalty per nat of divergence from the reference. AlpacaFarm uses 0.02 for human preferences."""
    kl_clamp: Annotated[bool, off("Let a token that became less likely earn the difference.")] = True
    """Give no reward to a token that is less likely than under the reference: max(log p - log p_ref, 0)."""
    kl_target: Positive | None = None
    """Adapt kl_coef to keep the divergence at this many nats per answer (Ziegler et al., 2019, section 2.2); the
    default keeps kl_coef fixed."""
    kl_horizon: Positive = 10_000
    """The inverse speed of adaptation. A step changes kl_coef by the relative error of the divergence, at most 0.2,
    times its answers over kl_horizon."""
    query_length: Count = 192
    """Tokens of a prompt in its template. Longer prompts are left out."""
    response_length: Count = 300
    """Tokens of an answer. A longer one is cut off there."""
    temperature: Positive = 1.0
    """The temperature of the answers. Training uses probabilities at this temperature too."""
    rollout_engine: Literal["auto", "transformers", "vllm"] = "auto"
    """The engine that draws the answers: transformers, or vllm, which gets the policy's weights before each step. auto
    is transformers."""
    missing_eos_penalty: Number | None = None
    """Subtracted from the reward of an answer that was cut off."""
    save_every_n_steps: Count = 20
    """Steps from one checkpoint to the next."""
    max_kl: Positive = 200.0
    """Stop if the answers of a step diverge from the reference by more than this mean, in nats per answer."""
    max_unrewarded_steps: Count = 5
    """Stop after this many steps in a row in which no answer got a reward."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'. The new model keeps them."""
    report_to: ReportTo = "none"
    """A tracker that shows the training while it runs. Its package must be installed."""

    @property
    def n_tokens(self) -> int:
        """Tokens of prompts and answers in memory at once while training."""
        return self.micro_batch_size * (self.query_length + self.response_length)

    @property
    def n_frozen(self) -> int:
        """Further copies of the model in memory: the reference, which beside adapters is the model without them."""
        return int(not self.lora.r)


@dataclass(frozen=True)
class RewardEngineOptions:
    """The engine of a reward model, if --reward is its folder. It computes rewards beside the model in training."""

    engine: Literal["auto", "transformers", "vllm"] = "auto"
    """What computes the rewards of the reward model: transformers or vllm. auto is transformers."""
    max_model_len: Count | None = None
    """Tokens of prompt and answer that the reward model has memory for. Default: its context, or what fits (vllm)."""
    gpu_memory_utilization: ShareAbove0 | None = None
    """The share of each GPU's memory for the reward model. The default is its weights and what a batch needs (vllm)."""

    def of_model(self, batch_size: int) -> EngineOptions:
        """Return the engine's options, for batches of `batch_size` answers (transformers)."""
        return EngineOptions(
            engine=self.engine,
            batch_size=batch_size,
            max_model_len=self.max_model_len,
            gpu_memory_utilization=self.gpu_memory_utilization,
        )


@dataclass(frozen=True)
class RewardChoice:
    """The reward that a user chose, with the options of a judge and of a reward model."""

    name: str
    """A reward model's folder, a Python function as module:function, or judge."""
    judge: JudgeOptions
    engine: EngineOptions
    """The judge's engine."""
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    """The judge's tools."""
    reward_engine: RewardEngineOptions = field(default_factory=RewardEngineOptions)
    """The reward model's engine."""


def check_alone(flag: str, instead: str, n_processes: int) -> None:
    """Raise InputError if vLLM, which `flag` asks for, would run in a training of several processes.

    `instead` says what there is without the flag.
    """
    # Each would take the first GPU, and vLLM's end takes apart the group of processes that train.
    if n_processes > 1:
        raise InputError(
            f"{flag} vllm works only if one process trains, and there are {n_processes}: train in one, or leave out "
            f"{flag}, {instead}"
        )


def check_ppo(options: PPOOptions, n_processes: int) -> None:
    """Raise InputError if a setting is out of range or the batches do not divide, EngineError if there is no vLLM."""
    checked_kwargs(options.chat_template_kwargs)
    check_ranges(options)
    check_sharding()
    check_lora(options.lora, is_sharded=is_sharded())
    check_memory(options, is_sharded=is_sharded(), adapted=options.lora.r > 0)
    _check_optimizer(options.optim)
    _check_adapters(options)
    if options.rollout_batch_size % options.step_batch_size:
        raise InputError(
            f"--rollout-batch-size ({options.rollout_batch_size}) must be a multiple of --step-batch-size "
            f"({options.step_batch_size})"
        )
    if options.step_batch_size % n_processes:
        raise InputError(f"--step-batch-size ({options.step_batch_size}) must be a multiple of {n_processes} processes")
    if options.rollout_engine == "vllm":
        _check_vllm(options, n_processes)


def _check_adapters(options: PPOOptions) -> None:
    if options.lora.dropout:
        raise InputError("PPO learns without dropout, which would change the probabilities: leave out --lora.dropout")
    if options.lora.quantize != "none":
        raise InputError("PPO has no four-bit weights: leave out --lora.quantize")
    if options.lora.r and options.rollout_engine == "vllm":
        raise InputError("vLLM cannot follow an adapter in training: leave out --rollout-engine, or --lora.r")


def _check_optimizer(name: str) -> None:
    if name in ROUNDED:
        raise InputError(
            f"--optim {name}: PPO saves what an optimizer keeps as safetensors, which do not hold {TORCHAO}'s numbers; "
            "use adamw_torch_fused, paged_adamw_8bit or adafactor"
        )
    if is_sharded() and name not in (AUTO, USUAL_OPTIMIZER, FUSED):
        raise InputError(f"--optim {name}: PPO deals out only AdamW's state again: use {USUAL_OPTIMIZER} or {FUSED}")


def _check_vllm(options: PPOOptions, n_processes: int) -> None:
    check_alone("--rollout-engine", "and transformers draws the answers", n_processes)
    if not COLDEST <= options.temperature <= HOTTEST:
        raise InputError(f"--temperature {options.temperature}: vLLM draws at {COLDEST} to {HOTTEST}")
    check_installed()


def n_steps_of(options: PPOOptions, n_prompts: int) -> int:
    """Return the number of steps of a training on `n_prompts`, at least 1."""
    return options.steps or max(options.epochs * n_prompts // options.rollout_batch_size, 1)


def learning_rate_at(options: PPOOptions, step: int, n_steps: int) -> float:
    """Return the learning rate of a step, counted from 1. The first step has a rate above 0."""
    if step <= options.warmup_steps:
        return options.learning_rate * step / (options.warmup_steps + 1)
    if options.schedule == "constant":
        return options.learning_rate
    left = (n_steps - step + 1) / max(n_steps - options.warmup_steps, 1)
    return options.learning_rate * left


def adapted(kl_coef: float, kl: float, n_answers: int, options: PPOOptions) -> float:
    """Return kl_coef for the next step, after a step whose answers diverged by `kl` nats on average."""
    if options.kl_target is None:
        return kl_coef
    error = min(max(kl / options.kl_target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * n_answers / options.kl_horizon)
