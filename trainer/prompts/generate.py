"""Asks a model for lists of tasks, few-shot from the seeds and from the tasks accepted so far."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

import msgspec

from console.errors import EngineError
from engines.protocol import Engine, Request, Sampling
from judges.judging.question import load_question
from records import Store
from records.keys import content_key, derived_seed
from trainer.prompts.options import FewShotOptions
from trainer.prompts.pool import Draft, Pool

HERE = Path(__file__).parent


def question(seeds: Sequence[str], generated: Sequence[str], options: FewShotOptions, seed: int) -> Request:
    """Return one few-shot request. `seed` draws the tasks shown and their order."""
    draw = Random(seed)
    n_generated = options.generated if len(generated) >= options.generated else 0
    shown = draw.sample(seeds, options.human + options.generated - n_generated) + draw.sample(generated, n_generated)
    draw.shuffle(shown)
    listed = "\n".join(f"{number}. {' '.join(task.split())}" for number, task in enumerate(shown, start=1))
    first = len(shown) + 1
    numbers = {"first": str(first), "last": str(first + options.tasks - 1)}
    return replace(load_question("few_shot", HERE).request(tasks=listed, **numbers), seed=seed)


def batch_of(
    store: Store[Draft], engine: Engine, requests: Sequence[Request], options: FewShotOptions, batch: int
) -> list[Draft]:
    """Return the completions of one batch in order, asking only for those that `store` does not hold.

    A failed call is stored with its error, and other batches make up for it. If all calls of the batch fail, raises
    EngineError and stores none of the errors.
    """
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    rows = [_row(engine, request, sampling, batch, number) for number, request in enumerate(requests)]
    done = {number for number, draft in enumerate(rows) if draft.id in store}
    failed = []
    for completion in engine.generate(requests, sampling, done):
        draft = msgspec.structs.replace(
            rows[completion.index],
            text=completion.text,
            finish_reason=completion.finish_reason,
            n_tokens=completion.n_tokens,
            error=completion.error,
        )
        if draft.error:
            failed.append(draft)
        else:
            store.append(draft)
    if len(failed) == len(rows):
        raise EngineError(f"all {len(failed)} calls of a batch failed: {failed[0].error}")
    for draft in failed:
        store.append(draft)
    return list(store.chosen(draft.id for draft in rows))


def _row(engine: Engine, request: Request, sampling: Sampling, batch: int, number: int) -> Draft:
    """Return the row of a request, with the text still empty."""
    settings = (sampling.max_new_tokens, sampling.temperature, sampling.top_p)
    return Draft(
        id=content_key("draft", engine.digest, request.messages, settings, request.seed),
        batch=batch,
        number=number,
        prompt=request.messages,
        text="",
        finish_reason=None,
        n_tokens=0,
        model=engine.name,
        seed=request.seed,
        error=None,
    )


def fill_pool(
    pool: Pool,
    store: Store[Draft],
    engine: Engine,
    seeds: Sequence[str],
    options: FewShotOptions,
    seed: int,
    advance: Callable[[int], None],
) -> None:
    """Ask batch after batch until `pool` is full, or until `options.patience` batches in a row gave nothing new."""
    n_idle = 0
    for batch in count():
        if pool.is_full or n_idle == options.patience:
            return
        generated = [str(prompt.prompt) for prompt in pool.accepted]
        # Fixed by the place in the plan, so that a resumed run makes the same questions and finds their drafts.
        seeds_of = (derived_seed(seed, "few-shot", batch, number) for number in range(options.completions))
        requests = [question(seeds, generated, options, question_seed) for question_seed in seeds_of]
        n_before = len(pool.accepted)
        for draft in batch_of(store, engine, requests, options, batch):
            pool.take(draft)
        n_new = len(pool.accepted) - n_before
        n_idle = 0 if n_new else n_idle + 1
        advance(n_new)
