"""Train a model with PPO on the rewards of the answers that it writes (AlpacaFarm's recipe; RLP's third step).

python -m trainer.ppo prompts.jsonl --model iter1 --reward runs/rm/model --out runs/ppo/model
python -m trainer.ppo prompts.jsonl --model iter1 --reward my_rewards:length --kl-coef 0.02 --out runs/ppo/model
python -m trainer.ppo prompts.jsonl --reward judge --judge-engine.model iter1 --judge.rubric additive
accelerate launch --num_processes 2 -m trainer.ppo prompts.jsonl --model iter1 --reward runs/rm/model

FILE has prompts, in any form that the project reads. The model to start from is also the reference. A reward is a
reward model's folder, a Python function that takes prompts and answers and returns a number or None for each, or a
judge. An answer without a reward is not learnt from. Beside OUT lie its steps (OUT.steps.jsonl) and checkpoints
(OUT.checkpoints). Stopped and started again, it goes on from the last checkpoint.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.again import starts_again
from console.command import run
from console.errors import InputError
from console.output import tell_plan
from console.writing import OutFolder
from engines.options import EngineOptions, pinned
from judges.options import JudgeOptions
from trainer.ppo.options import PPOOptions, check_ppo
from trainer.training.flags import TrainFlags
from trainer.training.processes import is_first, n_processes, one_voice

if TYPE_CHECKING:
    from trainer.ppo.rewards import RewardSource

JUDGE = "judge"


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Train a model with PPO."""

    reward: str | None = None
    """A reward model's folder, a Python function as module:function, or judge."""
    out: OutFolder = Path("runs/ppo/model")
    """The folder of the new model."""
    training: Annotated[PPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PPOOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    judge_engine: EngineOptions = field(default_factory=EngineOptions)


@one_voice()
@starts_again
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    from console.table import print_table
    from engines.models import resolve_model
    from records.files import BadRows, take
    from records.shapes import read_prompts

    if config.reward == JUDGE:
        config = replace(config, judge_engine=pinned(config.judge_engine))
    if config.file is None or config.reward is None:
        raise InputError("name a file of prompts and a --reward; see --help")
    check_ppo(config.training, n_processes())
    prompts = list(take(read_prompts(config.file, BadRows(strict=config.strict)), config.limit))
    parent = resolve_model(config.model, config.run, weights=not config.dry_run)
    _check_reward(config, config.reward)
    if config.dry_run:
        tell_plan(
            {"model": config.model, "of": config.file, "prompts": len(prompts), "reward": config.reward}
            | {"out": config.out},
            f"would train {config.model} on {len(prompts)} prompts of {config.file} with {config.reward}",
            f"and save it to {config.out}",
            as_json=config.json,
        )
        return
    from trainer.ppo.trainer import train_ppo
    from trainer.training.outcome import table_row

    _claim(config)
    with _open_reward(config) as source:
        trained = train_ppo(parent, config.out, prompts, source, config.training, config.seed)
    names = {"reward": "reward", "kl": "kl", "length": "length", "cut off, share": "cut_off"}
    print_table(
        [table_row(trained, config.out) | {title: trained.metrics.get(name) for title, name in names.items()}],
        as_json=config.json,
    )


def _claim(config: Config) -> None:
    """Make sure that the model may be saved; with --fresh, the checkpoints and the steps are set aside too."""
    from records.store import set_aside
    from trainer.ppo.trainer import checkpoints_of, log_of
    from trainer.training.outcome import claim_folder

    claim_folder(config.out, fresh=config.fresh)
    if config.fresh and is_first():
        set_aside(checkpoints_of(config.out))
        set_aside(log_of(config.out))


def _check_reward(config: Config, reward: str) -> None:
    """Raise InputError where the reward is not there, before a model is loaded."""
    from engines.options import check_engine
    from engines.reward_model import check_reward_model
    from judges.judging.judge import checked_rubric
    from trainer.ppo.rewards import reward_function

    if reward == JUDGE:
        check_engine(config.judge_engine)
        checked_rubric(config.judge)
    elif Path(reward).is_dir():
        check_reward_model(Path(reward))
    elif ":" in reward:
        reward_function(reward)
    else:
        raise InputError(f"--reward {reward}: not a folder, not module:function, and not {JUDGE}")


@contextmanager
def _open_reward(config: Config) -> "Iterator[RewardSource]":
    from trainer.ppo import rewards
    from trainer.ppo.trainer import make_accelerator

    rank = make_accelerator().process_index  # it also gives the process its own device, before a model is loaded
    assert config.reward is not None
    if config.reward == JUDGE:
        from engines.options import open_engine
        from judges.judging.judge import has_every_reply, open_judge
        from records import Judgment, Store

        judge = open_judge(open_engine(config.judge_engine), config.judge, config.seed)
        path = config.out.with_name(f"{config.out.name}.judgments-{rank}.jsonl")
        with Store(path, Judgment, keep=has_every_reply) as store:
            yield rewards.judge_reward(judge, store)
    elif Path(config.reward).is_dir():
        yield rewards.reward_model(Path(config.reward), config.training.generation_batch_size)
    else:
        yield rewards.reward_function(config.reward)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.ppo")
