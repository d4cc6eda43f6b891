"""The loop's settings for an arm: those of the recipe with one thing changed."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from console.config import load_config
from console.errors import InputError
from experiments.instruction_following.arms import PARENT, Arm
from judges.options import PanelOptions
from judges.tools.options import EvidenceOptions
from trainer.loop.recipe import Config, RoundEngineOptions, check
from trainer.loop.splits import LoopSplit, split_prompts
from trainer.prompts.seeds.reading import seed_prompts
from trainer.training.options import deciding

DECIDES_NOTHING = ("name", "config", "seed", "dry_run", "fresh", "json", "strict", "debug", "gates", "estimate")
"""Settings of a recipe that no result of the experiment depends on, or that the experiment sets itself."""
UNUSED = ("from_iteration", "grpo")
"""Settings of recipes that `read_recipe` refuses."""


def read_recipe(path: Path) -> Config:
    """Return the recipe that the arms change. Raises InputError if it is not one of the loop with constraints."""
    base = load_config(path, Config())
    check(base)
    needs = {
        '[evidence] tool = "constraints"': base.evidence.tool == "constraints",
        '[judge.engine] model = "parent", and no panel': base.judge.engine.model == PARENT and not base.panel.judge,
        '[new_prompts] source = "seeds"': base.new_prompts.source == "seeds",
        "[eval] n = 2 or more": base.eval.n > 1,
        "[eval] judge = 1": base.eval.judge == 1,
        "iterations = 2 or more": base.iterations > 1,
        "no [early_stop]": base.early_stop is None,
        "no from_iteration": base.from_iteration is None,
        '[round] learn other than "grpo"': base.round.learn != "grpo",
    }
    if missing := [name for name, is_met in needs.items() if not is_met]:
        raise InputError(f"{path}: the experiment needs {missing[0]}")
    return base


def settings_of(base: Config) -> dict[str, Any]:
    """Return the settings of a recipe that decide a result, as plain data.

    What is not in use is left out. So they are those of versions that did not have it, and results stay.
    """
    plain = {name: value for name, value in asdict(base).items() if name not in DECIDES_NOTHING + UNUSED}
    plain |= {"sft": deciding(base.sft), "dpo": deciding(base.dpo)}
    if not base.lora.r:
        del plain["lora"]
    settings: dict[str, Any] = msgspec.to_builtins(plain, enc_hook=str)
    if base.judge.engine.model == PARENT and not base.panel.judge:  # it judges by the settings of [engine]
        del settings["judge"]["engine"]
    if base.judge.calibration is None:
        del settings["judge"]["calibration"]
    return settings


def recipe(arm: Arm, base: Config, seed: int) -> Config:
    """Return the loop's settings for an arm."""
    is_panel = len(arm.judges) > 1
    engine = RoundEngineOptions(model=PARENT if is_panel else arm.judges[0])
    pairs = replace(base.pairs, widest=arm.widest)
    if not arm.checked:  # there is no evidence to filter by
        pairs = replace(pairs, evidence="any")
    if arm.judges != (PARENT,):  # the parent judges by the settings of [engine] anyway
        engine = replace(engine, batch_size=base.engine.batch_size)
    return replace(
        base,
        seed=seed,
        seeds=replace(base.seeds, judging=arm.eft),
        judge=replace(base.judge, read=arm.read, engine=engine),
        panel=PanelOptions(judge=arm.judges if is_panel else ()),
        # a share of checked prompts is not set here but by the prompts, see `partly_checked`
        evidence=replace(base.evidence, verify=arm.verify) if arm.checked else EvidenceOptions(),
        round=replace(base.round, learn=arm.learn),
        pairs=pairs,
        gates={},  # a run that a gate would stop is what the experiment looks at
    )


def unaided(config: Config) -> Config:
    """Return the settings by which every arm is measured: each model scores all of its answers by the rubric alone.

    All monitors are on.
    """
    return replace(
        config,
        judge=replace(config.judge, engine=RoundEngineOptions()),
        panel=PanelOptions(),
        evidence=EvidenceOptions(),
        eval=replace(config.eval, score=True, compare=False),
        monitors=replace(config.monitors, kl=True),
    )


def split(base: Config, seed: int) -> LoopSplit:
    """Return the prompts of a seed. Raises InputError if one has nothing to check."""
    prompts = seed_prompts(base.seeds.prompts)
    if unchecked := [prompt.id for prompt in prompts if not prompt.constraints]:
        raise InputError(
            f"{len(unchecked)} prompts have no constraint that a program can check, such as {unchecked[0]}"
        )
    return split_prompts(prompts, replace(base, seed=seed))
