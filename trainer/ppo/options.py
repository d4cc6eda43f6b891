"""The settings of PPO; the defaults are AlpacaFarm's recipe for simulated preferences (Dubois et al., 2023)."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from console.command import off
from console.errors import InputError
from console.ranges import Count, CountOr0, NotNegative, Number, Positive, Share, check_ranges
from engines.chat.options import ChatTemplateKwargs
from engines.chat.template import checked_kwargs


@dataclass(frozen=True)
class PPOOptions:
    """How answers are drawn, and how the policy learns from their rewards. A step is one batch of answers."""

    rollout_batch_size: Count = 512
    """Answers a step, over all processes."""
    step_batch_size: Count = 256
    """Answers of an optimiser step, over all processes."""
    micro_batch_size: Count = 2
    """Answers that a process trains on at once."""
    generation_batch_size: Count = 32
    """Answers that a process writes, or reads without a gradient, at once."""
    ppo_epochs: Count = 2
    """Times that the answers of a step are learnt from."""
    epochs: Count = 10
    """Times that every prompt is answered."""
    steps: Count | None = None
    """Steps, instead of those that the epochs make."""
    learning_rate: Positive = 1e-5
    warmup_steps: CountOr0 = 5
    """Steps in which the learning rate rises."""
    schedule: Literal["linear", "constant"] = "linear"
    """What the learning rate does after that; linear falls to 0 at the end."""
    adam_eps: Positive = 1e-5
    max_grad_norm: Positive = 1.0
    """Of the policy's and the value model's gradient together."""
    cliprange: Positive = 0.2
    cliprange_value: Positive = 0.2
    vf_coef: NotNegative = 0.1
    """The weight of the value loss."""
    gamma: Share = 1.0
    gae_lambda: Share = 1.0
    whiten_rewards: Annotated[bool, off("Do not divide the tokens' rewards by their standard deviation.")] = True
    """Divide the tokens' rewards by their standard deviation and keep their mean; where that is not 0, each token gets
    or costs something, and with it a longer answer."""
    whiten_advantages: Annotated[bool, off("Do not bring the advantages to mean 0 and standard deviation 1.")] = True
    """Bring the advantages to mean 0 and standard deviation 1."""
    kl_coef: NotNegative = 0.0067
    """The price of a nat away from the reference. AlpacaFarm: 0.02 for people's preferences."""
    kl_clamp: Annotated[bool, off("Let a token that became less likely earn the difference.")] = True
    """A token that is less likely than under the reference earns nothing: max(log p - log p_ref, 0)."""
    kl_target: Positive | None = None
    """Nats an answer that the price is adapted to keep (Ziegler et al., 2019, section 2.2); the default is a fixed
    price."""
    kl_horizon: Positive = 10_000
    """Answers in which an adapted price changes by its own size, where the divergence is off by all of the target."""
    query_length: Count = 192
    """Tokens of a prompt in its template; longer ones are left out."""
    response_length: Count = 300
    """Tokens of an answer; a longer one is cut off there."""
    temperature: Positive = 1.0
    """Of the answers; the probabilities that are trained are those at this temperature."""
    missing_eos_penalty: Number | None = None
    """Taken from the reward of an answer that was cut off."""
    save_every_n_steps: Count = 20
    max_kl: Positive = 200.0
    """Stop where the answers of a step are further from the reference than this on average, in nats an answer."""
    max_unrewarded_steps: Count = 5
    """Stop after this many steps in a row in which no answer got a reward."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'; the new model keeps them."""


def check_ppo(options: PPOOptions, n_processes: int) -> None:
    """Raise InputError where a setting is out of range or the batches do not divide."""
    checked_kwargs(options.chat_template_kwargs)
    check_ranges(options)
    if options.rollout_batch_size % options.step_batch_size:
        raise InputError(
            f"rollout_batch_size ({options.rollout_batch_size}) must be a multiple of step_batch_size "
            f"({options.step_batch_size})"
        )
    if options.step_batch_size % n_processes:
        raise InputError(f"step_batch_size ({options.step_batch_size}) must be a multiple of {n_processes} processes")


def n_steps_of(options: PPOOptions, n_prompts: int) -> int:
    """Return how many steps a training on `n_prompts` has, at least 1."""
    return options.steps or max(options.epochs * n_prompts // options.rollout_batch_size, 1)


def learning_rate_at(options: PPOOptions, step: int, n_steps: int) -> float:
    """Return the learning rate of a step; the first is step 1, which learns already."""
    if step <= options.warmup_steps:
        return options.learning_rate * step / (options.warmup_steps + 1)
    if options.schedule == "constant":
        return options.learning_rate
    left = (n_steps - step + 1) / max(n_steps - options.warmup_steps, 1)
    return options.learning_rate * left


def adapted(kl_coef: float, kl: float, n_answers: int, options: PPOOptions) -> float:
    """Return the price of a nat for the next step, after one in which the answers were `kl` nats away on average."""
    if options.kl_target is None:
        return kl_coef
    error = min(max(kl / options.kl_target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * n_answers / options.kl_horizon)
