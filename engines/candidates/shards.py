"""A model's work on a shard of prompts, the same in worker processes and on any machine."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice

from engines.answers import written
from engines.options import EngineOptions, open_engine
from engines.protocol import Engine, Sampling
from engines.shards.work import Fill, Job
from records import Response, Store
from records.keys import content_key

WINDOW = 8192
"""Answers under way at once. An in-process engine plans its batches over this many."""


def identity_of(engine: Engine, sampling: Sampling) -> str:
    """Return a key of what fixes the answers to a prompt, but for their seeds."""
    settings = (sampling.max_new_tokens, sampling.temperature, sampling.top_p)
    return content_key("answers", engine.digest, settings)


def answering(options: EngineOptions, engine: Engine, sampling: Sampling) -> Job[Response, Response]:
    """Return the work of answering prompts with the `engine` that `options` name."""
    return Job(identity_of(engine, sampling), Response, Response, _is_done, partial(_opened, options, sampling))


def answer_shard(
    engine: Engine, sampling: Sampling, store: Store[Response], rows: Mapping[str, Response]
) -> Iterator[None]:
    """Write the texts of the rows that `store` lacks, by their ids, and yield after each."""
    rest = iter(rows.values())
    while window := list(islice(rest, WINDOW)):
        for row in written(store, engine, window, sampling):
            store.append(row)
            yield


def _is_done(_: Response) -> bool:
    return True


def _opened(options: EngineOptions, sampling: Sampling) -> tuple[str, Fill[Response, Response]]:
    engine = open_engine(options)
    return identity_of(engine, sampling), partial(answer_shard, engine, sampling)
