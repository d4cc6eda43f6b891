"""The loop's settings for an arm."""

from typing import Any

from engines.options import EngineOptions
from experiments.known_truth.arms import PERFECT, RUBRIC, Arm
from experiments.world.sizes import ITERATIONS, Seeds, Size
from trainer.dpo.options import DPOOptions
from trainer.loop.recipe import CandidateOptions, Config, RoundJudgeOptions, RoundOptions, SeedOptions
from trainer.pairs.options import PairOptions
from trainer.sft.options import SFTOptions


def recipe(arm: Arm, size: Size, seeds: Seeds, seed: int) -> Config:
    """Return the loop's settings for an arm."""
    return Config(
        seed=seed,
        iterations=ITERATIONS,
        engine=EngineOptions(model=str(seeds.base), batch_size=48),
        seeds=SeedOptions(ift=seeds.file("ift"), eft=seeds.file("eft"), judging=arm.eft),
        # 12 tokens are enough for the longest right answer, 7 symbols and the end, and show one that runs on
        candidates=CandidateOptions(prompts=size.prompts, n=arm.n, max_new_tokens=12, temperature=1.0, top_p=1.0),
        judge=RoundJudgeOptions(
            # 0.0, because an arm whose judge says nothing readable is a result too
            rubric=str(RUBRIC),
            read=arm.read,
            samples=arm.samples,
            max_new_tokens=4,
            min_coverage=0.0,
        ),
        round=RoundOptions(learn=arm.learn, perfect_score=PERFECT),
        pairs=PairOptions(min_margin=arm.min_margin, rho=arm.rho),
        sft=SFTOptions(
            learning_rate=size.sft_learning_rate, epochs=size.sft_epochs, **_batches(size.sft_batch_size, size)
        ),
        dpo=DPOOptions(
            learning_rate=size.dpo_learning_rate,
            epochs=size.dpo_epochs,
            beta=arm.beta,
            **_batches(size.dpo_batch_size, size),
        ),
    )


def _batches(n: int, size: Size) -> dict[str, Any]:
    return {"batch_size": n, "micro_batch_size": n, "max_length": size.model.context}
