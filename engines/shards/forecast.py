"""Time and money for many rows, from the rows that the same judge has made so far."""

from collections.abc import Callable, Iterable

from console.errors import InputError
from console.output import tell
from console.table import Cell, print_table
from engines.shards.options import ScaleOptions, rows_a_shard
from records.rows import Usage

SIZES = (1_000_000, 100_000_000)
"""Rows of which everybody wants to know, beside the input's own."""


def forecast(
    n: int, made: Iterable[Usage], options: ScaleOptions, *, at_once: int, price: Callable[[Usage], float | None]
) -> list[dict[str, Cell]]:
    """Return a table row for the `n` rows of the input, a million and a hundred million.

    `made` has the usage of the rows made so far. A worker has `at_once` calls under way, and `price` gives the US
    dollars of usage, or None. Loading models and failures come on top. Raises InputError if no row was made.
    """
    total, n_made = Usage(), 0
    for usage in made:
        total, n_made = total + usage, n_made + 1
    if not n_made or not total.seconds:
        raise InputError(
            "--scale: nothing is measured yet; run the same flags with --limit 100 instead of --dry-run --scale first"
        )
    return [_row(size, total, n_made, options, at_once, price) for size in dict.fromkeys((n, *SIZES))]


def _row(
    size: int,
    total: Usage,
    n_made: int,
    options: ScaleOptions,
    at_once: int,
    price: Callable[[Usage], float | None],
) -> dict[str, Cell]:
    share = size / n_made
    n_workers = max(1, options.workers)
    hours = total.seconds * share / at_once / 3600
    usage = Usage(
        n_prompt_tokens=round(total.n_prompt_tokens * share),
        n_tokens=round(total.n_tokens * share),
        n_cached_tokens=round(total.n_cached_tokens * share),  # cheaper
    )
    tokens = price(usage)
    return {
        "rows": size,
        "shards": -(-size // rows_a_shard(options, size)),
        "tokens read": usage.n_prompt_tokens,
        "written": usage.n_tokens,
        "worker-hours": hours,
        f"hours, {n_workers} workers" if n_workers > 1 else "hours, 1 worker": hours / n_workers,
        "GPU-hours": hours * options.gpus_per_worker or None,
        "dollars": hours * options.worker_price if options.worker_price else tokens,
    }


def print_forecast(table: list[dict[str, Cell]], n_made: int, at_once: int, source: object, *, as_json: bool) -> None:
    """Print the table, and where its rates come from."""
    print_table(table, as_json=as_json)
    if not as_json:
        calls = f", {at_once} calls at once in each worker" if at_once > 1 else ""
        tell("", f"rates measured on the {n_made:,} rows of {source}{calls}; loading models and failures come on top")
