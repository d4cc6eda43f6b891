"""Asks a model to answer prompts: prompts in, response rows out."""

from collections.abc import Iterator, Sequence

from console.progress import say
from engines.protocol import Engine, Request, Sampling
from records import Prompt, Response, Store, messages_of
from records.keys import content_key, derived_seed
from records.stage import complete


def answer_into(
    store: Store[Response],
    engine: Engine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    n: int = 1,
    seed: int = 0,
    model: str | None = None,
    title: str = "answering",
) -> list[Response]:
    """Return `n` responses to each prompt, in order, asking only for those that `store` does not hold yet.

    Each response has a seed of its own, fixed by `seed`, the prompt and its number. `model` is the name that the rows
    carry. A prompt that the model cannot answer, because it is too long or its call failed, is named on stderr and
    left out.
    """
    rows = [_row(engine, prompt, sampling, seed, number, model) for prompt in prompts for number in range(n)]
    return complete(store, [row.id for row in rows], _answers(store, engine, prompts, rows, sampling, n), title)


def _row(engine: Engine, prompt: Prompt, sampling: Sampling, seed: int, number: int, model: str | None) -> Response:
    """Return the response row still without its text."""
    row_seed = derived_seed(seed, prompt.id, number)
    settings = (sampling.max_new_tokens, sampling.temperature, sampling.top_p, sampling.stop)
    return Response(
        id=content_key("response", engine.digest, prompt.prompt, prompt.system, settings, row_seed),
        prompt_id=prompt.id,
        prompt=prompt.prompt if prompt.system is None else messages_of(prompt.prompt, prompt.system),
        response="",
        model=model or engine.name,
        seed=row_seed,
    )


def _answers(
    store: Store[Response], engine: Engine, prompts: Sequence[Prompt], rows: list[Response], sampling: Sampling, n: int
) -> Iterator[Response]:
    import msgspec

    requests = [Request(messages_of(row.prompt), row.seed or 0) for row in rows]
    done = {index for index, row in enumerate(rows) if row.id in store}
    for completion in engine.generate(requests, sampling, done):
        if completion.error:
            say(f"no answer to prompt {prompts[completion.index // n].id}: {completion.error}")
            continue
        yield msgspec.structs.replace(
            rows[completion.index],
            response=completion.text,
            finish_reason=completion.finish_reason,
            n_tokens=completion.n_tokens,
            end=completion.end,
        )
