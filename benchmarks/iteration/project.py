"""One iteration by this project: the loop's own round in one process, and its training alone."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig

from benchmarks.iteration.work import Counts, Stage, Work, run_stage
from engines.local import decoding
from records import Pair, Prompt, read_rows
from records.runs import Run, link_base_model
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.loop.recipe import CandidateOptions, Config
from trainer.loop.rounds import preference_round


def pairs_file(folder: Path) -> Path:
    """Return the path of the pairs that `whole` writes."""
    return Run(folder).iteration(1) / "pairs.jsonl"


def whole(work: Work, folder: Path) -> Counts:
    """Run the round that a loop runs for each iteration, with the base model as the parent."""
    forbid_the_end(Path(work.model))
    run, config = Run(folder), _config(work)
    link_base_model(run, Path(work.model))
    prompts = [Prompt(id=str(number), prompt=text) for number, text in enumerate(work.prompts)]
    line = preference_round(run, 1, prompts, [], config)
    return {
        "tokens": line.n_tokens,
        "judged": line.counts["judged"],
        "pairs": line.counts["pairs"],
        "steps": int(line.training["steps"]),
    }


def training(work: Work, folder: Path) -> Counts:
    """Train on the pairs that `whole` wrote beside `folder`."""
    pairs = list(read_rows(pairs_file(folder.parent / "project"), Pair))
    trained = train_dpo(Path(work.model), folder / "model", pairs, _config(work).dpo, work.seed)
    return {"pairs": trained.n_examples, "steps": trained.n_steps}


def _config(work: Work) -> Config:
    candidates = CandidateOptions(len(work.prompts), work.n, work.new_tokens, work.temperature, work.top_p)
    dpo = DPOOptions(
        learning_rate=work.learning_rate,
        beta=work.beta,
        batch_size=work.batch_size,
        micro_batch_size=work.micro_batch_size,
        max_length=work.max_length,
    )
    config = Config(seed=work.seed, candidates=candidates, dpo=dpo)
    return replace(config, judge=replace(config.judge, rubric=work.rubric, read="logprobs"))


def forbid_the_end(model: Path) -> None:
    """Forbid end tokens as transformers' `min_new_tokens` does. The engine has no such setting, as no user needs it."""
    named = GenerationConfig.from_pretrained(model).eos_token_id
    ends = [*(named if isinstance(named, list) else [named]), AutoTokenizer.from_pretrained(model).eos_token_id]
    ends_E = torch.tensor(sorted({end for end in ends if end is not None}))
    draw = decoding.draw
    decoding.draw = lambda logits_BV, *rest: draw(logits_BV.index_fill(1, ends_E, -torch.inf), *rest)


STAGES: dict[str, Stage] = {"whole": whole, "training": training}

if __name__ == "__main__":
    run_stage(STAGES)
