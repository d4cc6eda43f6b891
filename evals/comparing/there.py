"""What an evaluation has asked already, for the plan of --dry-run. Nothing is asked or written."""

from collections.abc import Sequence
from pathlib import Path

from engines.answers import unwritten
from engines.options import EngineOptions, open_engine
from engines.protocol import Sampling
from judges.judging.pairwise import both_orders_answered
from records import Comparison, Prompt, Response, read_rows


def answers_there(
    options: EngineOptions, prompts: Sequence[Prompt], sampling: Sampling, path: Path, *, seed: int, fresh: bool
) -> dict[str, Response]:
    """Return the answers to `prompts` that the model has written before, by their ids.

    A server is not asked what it serves unless it has written answers before.
    """
    if fresh or not path.exists():
        return {}
    engine = open_engine(options)
    wanted = {unwritten(engine, prompt, sampling, seed, 0, None).id for prompt in prompts}
    return {row.id: row for row in read_rows(path, Response) if row.id in wanted}


def comparisons_there(path: Path, *, fresh: bool) -> set[str]:
    """Return the ids of the comparisons whose both orders are answered."""
    if fresh or not path.exists():
        return set()
    return {row.id for row in read_rows(path, Comparison) if both_orders_answered(row)}
