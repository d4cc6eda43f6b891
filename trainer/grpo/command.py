"""The work of the command: reading, the dry run, the training, and the table."""

import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import InputError
from console.output import counted, tell_plan
from console.table import print_table
from engines.models import resolve_model
from judges.tools.evidence import calls_for_constraints
from records import Prompt, messages_of
from records.fields.notes import Notes
from records.files import BadRows, take
from records.shapes import read_prompts
from trainer.grpo.checks import check_rewards
from trainer.grpo.options import GRPOOptions, check_grpo
from trainer.grpo.reward_options import RewardOptions
from trainer.ppo.rewards import check_constraints
from trainer.training.command import PlanPart, memory_plan
from trainer.training.flags import TrainFlags
from trainer.training.options import with_lora
from trainer.training.outcome import check_free, claim_folder

if TYPE_CHECKING:
    from console.table import Cell
    from trainer.training.outcome import Trained

COLUMNS = {
    "reward, first": "reward_first",
    "reward, last": "reward_last",
    "no verdict, share": "null_share",
    "length": "mean_length",
    "kl": "kl",
}
"""Titles of table columns and the metrics that they show."""


def train_or_plan(config: TrainFlags, rewards: RewardOptions, out: Path, options: GRPOOptions) -> None:
    """Train and print the report, or print the plan with --dry-run."""
    if config.file is None:
        raise InputError("name a file of prompts; see --help")
    options = with_lora(options, config.lora)
    check_rewards(rewards)
    prompts = list(take(read_prompts(config.file, BadRows(strict=config.strict), Notes.unweighted), config.limit))
    check_constraints(rewards.evidence, prompts)
    check_grpo(options, len(prompts))
    if config.dry_run:
        check_free(out, [config.model, config.file], fresh=config.fresh)
        n_tokens = options.micro_batch_size * options.max_length
        memory = memory_plan(config, options, n_tokens, n_frozen=options.n_frozen, generates=True)
        _print_plan(config, out, options, rewards, prompts, memory)
        return
    parent = resolve_model(config.model, config.run)
    claim_folder(out, [parent, config.file], fresh=config.fresh)
    started = time.monotonic()
    # loads torch, which a dry run does without
    train_grpo = importlib.import_module("trainer.grpo.train").train_grpo
    trained = train_grpo(parent, out, prompts, rewards, options, config.seed)
    print_table([_row(trained, out, time.monotonic() - started)], as_json=config.json)


def _row(trained: "Trained", out: Path, seconds: float) -> "dict[str, Cell]":
    figures: dict[str, Cell] = {title: trained.metrics.get(name) for title, name in COLUMNS.items()}
    counts: dict[str, Cell] = {"prompts": trained.n_examples, "left out": trained.n_left_out}
    return {**counts, "steps": trained.n_steps, **figures, "seconds": round(seconds), "model": str(out)}


def _print_plan(
    config: TrainFlags,
    out: Path,
    options: GRPOOptions,
    rewards: RewardOptions,
    prompts: Sequence[Prompt],
    memory: PlanPart,
) -> None:
    n_steps = options.epochs * (len(prompts) // options.prompts_per_step)
    n_answers, names = n_steps * options.batch_size, list(rewards.weighted())
    calls = calls_for_constraints(rewards.evidence, (messages_of(prompt.prompt, prompt.system) for prompt in prompts))
    if rewards.scores:
        calls["judgments"] = n_answers
    if rewards.tournament is not None:
        calls["comparisons"] = n_answers * (options.group_size - 1) // 2
    plan = {"model": config.model, "of": config.file, "prompts": len(prompts), "steps": n_steps, "answers": n_answers}
    tell_plan(
        {**plan, "rewards": names, **calls, "out": out, **memory[0]},
        f"would train {config.model} by {options.method.upper()} on {len(prompts)} prompts of {config.file}: "
        f"{counted(n_steps, 'steps')} of {options.batch_size} answers, rewarded by {', '.join(names)}",
        f"and save it to {out}",
        *(f"with up to {n} {name.replace('_', ' ')}, by {rewards.engine.model}" for name, n in calls.items()),
        *memory[1],
        as_json=config.json,
    )
