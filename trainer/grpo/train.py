"""Trains a model on the rewards of its own answers with TRL's GRPOTrainer or RLOOTrainer.

TRL 1.16 gives an answer without a reward no advantage. GRPO would still pull it towards the reference, and count its
tokens in the mean. Here its tokens are masked, so that it has no part in the loss.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.trainer.utils import RepeatSampler, add_fused_lm_head

from console.errors import JudgeError, TrainingError
from console.progress import say
from engines.chat.template import load_tokenizer, safe_messages
from engines.chat.turn_end import end_tokens, turn_end
from records import Prompt, messages_of
from trainer.grpo.options import GRPOOptions, check_grpo
from trainer.grpo.reward_options import RewardOptions
from trainer.grpo.rewards import NULL_SHARE, PLACE, GroupReward, Weighted, identity_of, open_rewards
from trainer.training.fit import fit, load_policy, trainer_settings
from trainer.training.lengths import Lengths
from trainer.training.memory.choice import settled
from trainer.training.memory.size import Load, MemorySettings
from trainer.training.outcome import Trained, work_of
from trainer.training.processes import is_sharded
from trainer.training.sharding import shard_frozen, whole_weights

MOST_UNREWARDED = 5
"""Steps in a row in which no answer got a reward, after which a training stops."""
TIED, LENGTH = "frac_reward_zero_std", "completions/mean_length"
"""TRL's names of the share of groups with equal rewards, and of the tokens of an answer."""
EDGE = 10
"""The first and last rewards are means over a tenth of the steps."""
Logs = Sequence[Mapping[str, Any]]
Opener = Callable[[int], AbstractContextManager[list[Weighted]]]
"""Opens the rewards for a process, which is given by its number."""


class NullMaskingGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """A GRPOTrainer in whose loss an answer without a reward has no part."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        is_null_B = torch.tensor(self.reward_funcs[0].is_null, device=batch["completion_mask"].device)
        batch["completion_mask"] = batch["completion_mask"].masked_fill(is_null_B[:, None], 0)
        batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        return batch


class GroupOrder(RepeatSampler):  # type: ignore[misc]
    """TRL's order of the prompts, shuffled by seed and epoch, so that a resumed training goes on in the same order."""

    epoch = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the places of the prompts, each as often as it has answers."""
        self.generator.manual_seed(self.seed + self.epoch)
        yield from super().__iter__()

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`. accelerate calls it, on resuming too."""
        self.epoch = epoch


class RewardWatch(TrainerCallback):  # type: ignore[misc]
    """Stops a training whose answers get no rewards any more, or whose judge gives too few verdicts."""

    def __init__(self, min_coverage: float) -> None:
        self.min_coverage = min_coverage
        """The least share of answers with a reward, of all steps so far."""

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Raise TrainingError or JudgeError, once there are so many steps that it is no chance."""
        shares = [log[NULL_SHARE] for log in state.log_history if NULL_SHARE in log]
        if len(shares) < MOST_UNREWARDED:
            return
        if min(shares[-MOST_UNREWARDED:]) == 1:
            raise TrainingError(
                f"no answer got a reward in {MOST_UNREWARDED} steps in a row, up to step {state.global_step}; nothing "
                "is saved. Look at the verdicts beside the model, or choose another judge or rubric"
            )
        _check_coverage(shares, self.min_coverage)


def train_grpo(
    parent: Path,
    out: Path,
    prompts: Sequence[Prompt],
    rewards: RewardOptions,
    options: GRPOOptions,
    seed: int,
) -> Trained:
    """Train the model in `parent` on the rewards of its answers to `prompts` and save it in `out`.

    Beside `out` it keeps the verdicts of the judge, so that no answer is judged twice. Raises InputError for a bad
    setting, TrainingError if too few prompts fit, a loss is not a number, or no answer gets a reward, JudgeError if too
    few answers get a verdict.
    """
    opened = partial(open_rewards, rewards, out, prompts, options.group_size, seed)
    min_coverage = rewards.judging.min_coverage if rewards.judge is not None else 0.0
    return train_rewarded(parent, out, prompts, opened, min_coverage, options, seed, options.method.upper())


def train_rewarded(
    parent: Path,
    out: Path,
    prompts: Sequence[Prompt],
    opened: Opener,
    min_coverage: float,
    options: GRPOOptions,
    seed: int,
    title: str,
) -> Trained:
    """Train as `train_grpo` does, on rewards that `opened` opens, under the name `title`.

    Raises JudgeError too if fewer than `min_coverage` of the answers have a reward.
    """
    check_grpo(options, len(prompts))
    load = Load(options.micro_batch_size * options.max_length, n_frozen=options.n_frozen, generates=True)
    memory = settled(parent, options, load, title)
    args = _config(options, out, seed, memory)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    data = _fitting(tokenizer, prompts, options, title)
    with opened(args.process_index) as weighted:
        trainer = _trainer(parent, tokenizer, data, GroupReward(weighted, prompts), args, options, memory)
        trainer.add_callback(RewardWatch(min_coverage))
        return fit(
            trainer,
            out,
            title,
            options=options,
            lengths=Lengths(len(prompts) - len(data)),
            identity=identity_of(weighted),
            figures=partial(figures_of_logs, min_coverage=min_coverage),
        )


def _config(options: GRPOOptions, out: Path, seed: int, memory: MemorySettings) -> Any:
    settings = trainer_settings(options, work_of(out), seed, memory)
    del settings["max_length"]  # of the whole; TRL's settings have that of the answer
    kind = GRPOConfig if options.method == "grpo" else RLOOConfig
    return kind(
        **settings,
        num_generations=options.group_size,
        max_completion_length=options.response_length,
        temperature=options.temperature,
        top_p=options.top_p,
        beta=0.0 if _shards_reference(options) else options.beta,  # or TRL reads it whole into every process
        use_vllm=options.rollout_engine == "vllm",
        vllm_max_model_length=options.max_length,
    )


def _fitting(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], options: GRPOOptions, title: str
) -> Dataset:
    """Return the prompts that leave room for an answer. Raises TrainingError if they fill no step."""
    most = options.max_length - options.response_length
    chats = [safe_messages(tokenizer, messages_of(prompt.prompt, prompt.system)) for prompt in prompts]
    rows = [
        {"prompt": chat, PLACE: place}
        for place, chat in enumerate(chats)
        if len(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)) <= most
    ]
    limit = f"{most} tokens (max_length less response_length)"
    if len(rows) < options.prompts_per_step:
        raise TrainingError(
            f"{title}: {len(rows)} of {len(prompts)} prompts are within {limit}, and a step needs "
            f"{options.prompts_per_step}; raise --max-length, or lower --batch-size"
        )
    if len(rows) < len(prompts):
        say(f"{title}: {len(prompts) - len(rows)} of {len(prompts)} prompts left out: longer than {limit}")
    if n_over := len(rows) % options.prompts_per_step:
        say(f"{title}: {n_over} of {len(rows)} prompts fill no step and are left over, others in each epoch")
    return Dataset.from_list(rows)


def _trainer(
    parent: Path,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    reward: GroupReward,
    args: Any,
    options: GRPOOptions,
    memory: MemorySettings,
) -> Any:
    for method in ("grpo", "rloo"):  # TRL prints an answer without a reward, and here they are counted
        logging.getLogger(f"trl.trainer.{method}_trainer").setLevel(logging.ERROR)
    model, _ = load_policy(parent, lora=options.lora, seed=args.seed, memory=memory)
    configured = model.generation_config.eos_token_id
    # TRL stops answers at these, and the chat template's end of a turn is not always among them
    ends = end_tokens(model.generation_config, tokenizer, turn_end(tokenizer))
    model.generation_config.eos_token_id = sorted(ends)
    kind = NullMaskingGRPOTrainer if options.method == "grpo" else RLOOTrainer
    trainer = kind(model, reward_funcs=reward, args=args, train_dataset=data, processing_class=tokenizer)
    if is_sharded():
        generate_whole(trainer)
    if _shards_reference(options):
        reference, _ = load_policy(parent, memory=memory)
        add_fused_lm_head(reference, temperature=options.temperature)
        trainer.ref_model, trainer.beta = shard_frozen(trainer.accelerator, reference), options.beta
    model.generation_config.eos_token_id = configured
    order = GroupOrder(
        data, options.group_size, options.prompts_per_step, args.gradient_accumulation_steps, seed=args.seed
    )
    trainer._get_train_sampler = lambda *_: order  # the hook that transformers' own trainers override
    return trainer


def _shards_reference(options: GRPOOptions) -> bool:
    """Return whether there is a reference that is sharded. Beside adapters it is the model without them."""
    return is_sharded() and options.n_frozen > 0


def generate_whole(trainer: Any) -> None:
    """Let a trainer with sharded weights draw the answers of a step with whole ones."""
    generate = trainer._generate_single_turn

    def whole(*args: Any, **kwargs: Any) -> Any:
        with whole_weights(trainer.accelerator, trainer.model):
            return generate(*args, **kwargs)

    trainer._generate_single_turn = whole


def figures_of_logs(logs: Logs, min_coverage: float = 0.0) -> dict[str, float]:
    """Return the figures of a training from the logs of its steps.

    Raises TrainingError if no answer got a reward or all rewards of each group are equal, JudgeError if fewer than
    `min_coverage` of the answers got one.
    """
    steps = [log for log in logs if NULL_SHARE in log]
    edge = max(len(steps) // EDGE, 1)
    first, last = (_mean(part, "reward") for part in (steps[:edge], steps[-edge:]))
    if all(log.get("reward") is None for log in steps):
        raise TrainingError("no answer of any step got a reward: nothing was learned, and nothing is saved")
    _check_coverage([log[NULL_SHARE] for log in steps], min_coverage)
    if all(log.get(TIED) == 1 for log in steps):
        raise TrainingError(
            "the answers to each prompt got equal rewards in all steps: nothing was learned, and nothing is saved. "
            "Take another judge or rubric, more answers to a prompt, or a higher temperature"
        )
    figures = {
        "reward_first": first,
        "reward_last": last,
        NULL_SHARE: _mean(steps, NULL_SHARE),
        "mean_length": _mean(steps[-edge:], LENGTH),
        "mean_tokens": _mean(steps, LENGTH),
        "cut_off_share": _mean(steps, "completions/clipped_ratio"),
        "kl": _mean(steps[-edge:], "kl"),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _check_coverage(shares: Sequence[float], least: float) -> None:
    """Raise JudgeError if too few answers got a verdict. `shares` are those without one, step by step."""
    if (coverage := 1 - fmean(shares)) < least:
        raise JudgeError(
            f"only {coverage:.0%} of the answers got a verdict up to step {len(shares)}, less than {least:.0%}; look "
            "at the verdicts beside the model, or lower the judge's min_coverage"
        )


def _mean(logs: Logs, name: str) -> float | None:
    values = [log[name] for log in logs if log.get(name) is not None]
    return fmean(values) if values else None
