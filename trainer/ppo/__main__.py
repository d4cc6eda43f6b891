"""Train a model with PPO on the rewards of the answers that it writes (AlpacaFarm's recipe; RLP's third step).

python -m trainer.ppo prompts.jsonl --model iter1 --reward runs/rm/model --out runs/ppo/model
python -m trainer.ppo prompts.jsonl --model iter1 --reward my_rewards:length --kl-coef 0.02 --out runs/ppo/model
python -m trainer.ppo prompts.jsonl --reward judge --judge-engine.model iter1 --judge.rubric additive
python -m trainer.ppo ifeval.jsonl --reward judge --evidence.tool constraints --evidence.verify share
python -m trainer.ppo prompts.jsonl --model iter1 --reward runs/rm/model --reward-engine.engine vllm
python -m trainer.ppo prompts.jsonl --model iter1 --reward runs/rm/model --rollout-engine vllm
accelerate launch --num_processes 2 -m trainer.ppo prompts.jsonl --model iter1 --reward runs/rm/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.ppo prompts.jsonl --reward my_rewards:length

FILE has prompts, in any form that the project reads. The model to start from is also the reference. A reward is a
reward model's folder, a Python function that takes prompts and answers and returns a number or None for each, or a
judge. An answer without a reward is not learned from. Beside OUT lie its steps (OUT.steps.jsonl) and checkpoints
(OUT.checkpoints). If it is stopped and started again, it resumes from the last checkpoint.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.again import starts_again
from console.command import run
from console.errors import InputError
from console.output import tell_plan
from console.table import print_table
from console.writing import OutFolder
from engines.models import resolve_model
from engines.options import EngineOptions
from judges.options import JudgeOptions
from judges.tools.options import EvidenceOptions
from records.fields.notes import Notes
from records.files import BadRows, take
from records.shapes import read_prompts
from trainer.ppo.options import USUAL_OPTIMIZER, PPOOptions, RewardChoice, RewardEngineOptions, check_ppo
from trainer.training.command import memory_plan
from trainer.training.flags import TrainFlags
from trainer.training.options import with_lora
from trainer.training.outcome import check_free
from trainer.training.processes import n_processes, one_voice


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Train a model with PPO."""

    reward: str | None = None
    """A reward model's folder, a Python function as module:function, or judge."""
    out: OutFolder = Path("runs/ppo/model")
    """The folder of the new model."""
    training: Annotated[PPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PPOOptions)
    reward_engine: RewardEngineOptions = field(default_factory=RewardEngineOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    judge_engine: EngineOptions = field(default_factory=EngineOptions)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)


@one_voice()
@starts_again
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    if config.file is None or config.reward is None:
        raise InputError("name a file of prompts and a --reward; see --help")
    options = with_lora(config.training, config.lora)
    check_ppo(options, n_processes())
    prompts = list(take(read_prompts(config.file, BadRows(strict=config.strict), Notes.unweighted), config.limit))
    choice = RewardChoice(config.reward, config.judge, config.judge_engine, config.evidence, config.reward_engine)
    from trainer.ppo.rewards import JUDGE, calls_for_reward, check_constraints, check_reward

    check_reward(choice)
    if choice.name == JUDGE:
        check_constraints(choice.evidence, prompts)
    if config.dry_run:
        check_free(config.out, [config.model, config.file, config.reward], fresh=config.fresh)
        load = {"n_trained": 2, "n_frozen": options.n_frozen, "generates": True, "usual": USUAL_OPTIMIZER}
        memory = memory_plan(config, options, options.n_tokens, **load)
        calls = calls_for_reward(choice, prompts)
        named_by = f"one per different prompt, to {config.judge_engine.model}"
        tell_plan(
            {"model": config.model, "of": config.file, "prompts": len(prompts), "reward": config.reward}
            | {"out": config.out}
            | calls
            | memory[0],
            f"would train {config.model} on {len(prompts)} prompts of {config.file} with {config.reward}",
            f"and save it to {config.out}",
            *(f"with up to {n_most} calls for the constraints, {named_by}" for n_most in calls.values()),
            *memory[1],
            as_json=config.json,
        )
        return
    parent = resolve_model(config.model, config.run)
    from trainer.ppo.run import run_ppo

    row = run_ppo(parent, config.out, prompts, choice, options, config.seed, fresh=config.fresh)
    print_table([row], as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.ppo")
