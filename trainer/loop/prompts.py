"""The prompts of a round: dealt out from the seeds, or written by a model from the seeds (Self-Instruct)."""

import gc
import math

from console.errors import TrainingError
from console.progress import progress
from records import Prompt, Store, read_rows
from records.rows import request_text
from records.runs import Run
from trainer.loop.plan.work import Lengths, Work
from trainer.loop.recipe import Config
from trainer.loop.splits import LoopSplit
from trainer.prompts.contamination import EvaluationPrompts
from trainer.prompts.generate import fill_pool
from trainer.prompts.options import FewShotOptions
from trainer.prompts.pool import Draft, Pool
from trainer.runs.models import open_model


def prompts_of(run: Run, number: int, split: LoopSplit, config: Config) -> list[Prompt]:
    """Return the prompts of iteration `number`: used by no other round and similar to no held-out prompt.

    Raises TrainingError if the model writes too few new ones.
    """
    if config.new_prompts.source == "seeds":
        return split.rounds[number]
    done = run.iteration(number) / "prompts.jsonl"
    if done.exists():
        return list(read_rows(done, Prompt))
    seeds = [request_text(prompt.prompt) for prompt in split.seeds]
    used = [request_text(prompt.prompt) for before in range(2, number) for prompt in _stored(run, before)]
    not_learnt = [request_text(prompt.prompt) for prompt in (*split.held_out, *split.stopping)]
    held_out = EvaluationPrompts(not_learnt, config.new_prompts.filters.max_rouge)
    pool = Pool(seeds, used, held_out, config.new_prompts.filters, config.candidates.prompts)
    source = 0 if config.new_prompts.source == "iter0" else number - 1
    engine = open_model(run, source, config.engine)
    path = run.iteration(number) / "prompt_drafts.jsonl"
    title = f"iter{number} new prompts"
    with Store(path, Draft) as store, progress(title, config.candidates.prompts) as advance:
        # the number too, or each round would draw the same examples to show
        fill_pool(pool, store, engine, seeds, config.new_prompts.few_shot, config.seed + number, advance)
    del engine
    gc.collect()
    if not pool.is_full:
        raise TrainingError(
            f"iter{number}: iter{source} wrote {len(pool.accepted)} of {config.candidates.prompts} new prompts; "
            f"lower --candidates.prompts, give more --seeds.prompts, or use another source; {path} has what it wrote"
        )
    return pool.accepted


def new_prompts_work(stage: str, n_prompts: int, lengths: Lengths, options: FewShotOptions) -> Work:
    """Return the work of writing `n_prompts` new prompts, if none of them is dropped."""
    n = math.ceil(n_prompts / options.tasks)
    n_question = (options.human + options.generated) * lengths.prompt
    widest = min(n, options.completions, lengths.rows) * (n_question + options.max_new_tokens)
    return Work(
        stage, "answer", n_calls=n, n_read=n * n_question, n_written=n * options.max_new_tokens, n_widest=widest
    )


def _stored(run: Run, number: int) -> list[Prompt]:
    return list(read_rows(run.iteration(number) / "prompts.jsonl", Prompt))
