"""One iteration as TRL's OnlineDPO does it, with the model itself as the judge in a reward function.

The trainer writes two answers to each prompt of a micro-batch, asks the reward function, and takes a gradient. Its
reference is a copy of the model in memory. It writes as many sequences at once as the script of steps does.
"""

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

from benchmarks.iteration.steps import load, scores
from benchmarks.iteration.work import Counts, Stage, Work, chat, dpo_settings, run_stage

PER_PROMPT = 2
"""Answers per prompt, which OnlineDPO does not let one set."""


def whole(work: Work, folder: Path) -> Counts:
    """Train on answers that are written and judged during training."""
    model, tokenizer = load(work.model)
    counts = {"tokens": 0, "judged": 0, "pairs": 0}

    def judge(prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
        answers = [(p[-1]["content"], c[-1]["content"]) for p, c in zip(prompts, completions, strict=True)]
        counts["tokens"] += sum(map(len, completion_ids))
        counts["judged"] += len(answers)
        counts["pairs"] += len(answers) // PER_PROMPT
        return scores(model, tokenizer, work, answers)

    n_prompts = min(work.rows // PER_PROMPT, work.batch_size)
    trainer = OnlineDPOTrainer(
        model=model,
        reward_funcs=judge,
        args=OnlineDPOConfig(
            **dpo_settings(work, folder),
            per_device_train_batch_size=n_prompts,
            gradient_accumulation_steps=work.batch_size // n_prompts,
            max_new_tokens=work.new_tokens,
            temperature=work.temperature,
            top_p=work.top_p,
            generation_kwargs={"min_new_tokens": work.new_tokens},
        ),
        train_dataset=Dataset.from_list([{"prompt": chat(prompt)} for prompt in work.prompts]),
        processing_class=tokenizer,
    )
    steps = int(trainer.train().global_step)
    trainer.save_model(str(folder / "model"))
    return {**counts, "steps": steps}


STAGES: dict[str, Stage] = {"whole": whole}

if __name__ == "__main__":
    run_stage(STAGES)
