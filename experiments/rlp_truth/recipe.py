"""The settings of trainer.rlp for an arm."""

from typing import Any

from engines.options import EngineOptions
from experiments.rlp_truth.arms import Arm, Size
from experiments.world.sizes import Seeds
from judges.cluster.equivalences.options import EquivalenceOptions
from trainer.ppo.options import PPOOptions
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.rlp.checks import check
from trainer.rlp.recipe import (
    Config,
    EvalOptions,
    PreferenceOptions,
    RLPOptions,
    SampleOptions,
    SeedOptions,
    UnlabelledOptions,
)
from trainer.rlp.synthetic_options import SyntheticOptions
from trainer.sft.options import SFTOptions


def recipe(arm: Arm, size: Size, seeds: Seeds, seed: int) -> Config:
    """Return the settings of trainer.rlp for an arm."""
    config = Config(
        seed=seed,
        engine=EngineOptions(model=str(seeds.base), batch_size=128),
        seeds=SeedOptions(ift=seeds.file("ift")),
        sft=SFTOptions(learning_rate=size.sft_learning_rate, epochs=size.sft_epochs, **_batches(32, size)),
        preferences=PreferenceOptions(file=seeds.file("labelled"), flip=size.flip),
        reward=RewardOptions(learning_rate=size.reward_learning_rate, epochs=size.reward_epochs, **_batches(32, size)),
        unlabelled=UnlabelledOptions(prompts=size.unlabelled),
        ppo=PPOOptions(
            rollout_batch_size=size.ppo_batch_size,
            step_batch_size=size.ppo_batch_size // 4,
            micro_batch_size=size.ppo_batch_size // 4,
            ppo_epochs=1,
            warmup_steps=2,
            generation_batch_size=size.ppo_batch_size,
            steps=size.ppo_steps * arm.longer,
            learning_rate=size.ppo_learning_rate,
            kl_coef=size.kl_coef,
            response_length=size.max_new_tokens,
        ),
        samples=SampleOptions(n=size.n, max_new_tokens=size.max_new_tokens),
        rlp=RLPOptions(method="uml" if arm.uml else "spg"),
        bottleneck=BottleneckOptions(objective=arm.uml, weight=size.uml_weight) if arm.uml else BottleneckOptions(),
        synthetic=SyntheticOptions()
        if arm.uml
        else SyntheticOptions(
            method=arm.spg or "spg", gamma=size.gamma, relation=EquivalenceOptions(equivalence="exact")
        ),
        eval=EvalOptions(prompts=size.held_out, max_new_tokens=size.max_new_tokens, temperature=1.0, judged=False),
    )
    check(config)  # the experiment fails now and not after hours
    return config


def _batches(n: int, size: Size) -> dict[str, Any]:
    return {"batch_size": n, "micro_batch_size": n, "max_length": size.model.context}
