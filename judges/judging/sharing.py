"""The part of a judging command that is one of several machines or has worker processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from console.again import is_dry_run
from console.errors import InputError
from console.output import tell_plan
from engines.options import EngineOptions, is_served
from engines.protocol import Request
from engines.shards.folder import Folder
from engines.shards.forecast import forecast, print_forecast
from engines.shards.options import ScaleOptions, check_scale
from engines.shards.plan import Item, items_of, manifest, planned, read_plan
from engines.shards.share import do_shards, say_open, shared_rows
from engines.shards.work import Job
from judges.judging.cost import cost_of, price_of
from judges.judging.judge import Judge
from judges.judging.settle import own_fingerprints, settle_as
from judges.options import CostOptions
from records import Comparison, Judgment, Usage
from records.rows import Identified

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", bound=Identified)


def check_shared(
    scale: ScaleOptions, cost: CostOptions, *, out: bool, fresh: bool, alone: Mapping[str, object]
) -> None:
    """Raise InputError if the flags ask for workers and for something that one process does.

    `alone` has whether that is asked for, by its flags in words. `out` and `fresh` are whether --out
    and --fresh are given.
    """
    check_scale(scale, out=out, fresh=fresh)
    asked = [what for what, is_asked in alone.items() if is_asked]
    if scale.scale and not is_dry_run():
        raise InputError("--scale is a part of the plan: give --dry-run too")
    if scale.scale and asked:
        raise InputError(f"--scale knows the time of one judge's own calls: leave it out, or {asked[0]}")
    if not (scale.workers or scale.shards):
        return
    if cost.max_cost or cost.max_tokens_total:
        asked.append("--max-cost and --max-tokens-total")
    if asked:
        raise InputError(f"{asked[0]} work in one process only: leave out --workers and --shards")


def print_scale(
    n: int, judge: Judge, rows: Iterable[Judgment | Comparison], scale: ScaleOptions, engine: EngineOptions,
    cost: CostOptions, source: object, *, as_json: bool,
) -> None:  # fmt: skip
    """Print the time and cost of many rows, as those of the `rows` of `source` that are this judge's were made.

    Raises InputError if there is none.
    """
    rate, n_made, own = price_of(engine.model, cost.prices), 0, own_fingerprints(judge)

    def used() -> Iterator[Usage]:
        nonlocal n_made
        for row in rows:
            if row.judge not in own:
                continue
            n_made += 1
            yield row.usage

    at_once = engine.concurrency if is_served(engine) else 1
    table = forecast(n, used(), scale, at_once=at_once, price=lambda usage: rate and cost_of(usage, rate))
    print_forecast(table, n_made, at_once, source, as_json=as_json)


@dataclass(frozen=True)
class Share:
    """The share of this machine in judging an input into a folder of shards."""

    folder: Folder
    judge: Judge
    job: Job[Any, Any]
    scale: ScaleOptions
    is_json: bool

    def print_plan(self, row_type: type[Judgment] | type[Comparison], engine: EngineOptions, cost: CostOptions) -> None:
        """Print how much is done, with --scale the time and cost of many rows. Raises InputError if no row is made."""
        plan = read_plan(self.folder)
        if self.scale.scale:
            n = 0 if plan is None else plan.n
            made = () if plan is None else (row for _, row in shared_rows(self.folder, plan, row_type))
            print_scale(n, self.judge, made, self.scale, engine, cost, self.folder, as_json=self.is_json)
            return
        if plan is None:
            text = f"{self.folder}: no shards yet; the first machine cuts the input into them"
            tell_plan({"shards": None, "of": self.folder.url}, text, as_json=self.is_json)
            return
        lines = manifest(self.folder, plan)
        n, n_done, n_failed = len(plan.shards), len(lines), sum(line.failed for line in lines)
        counts = {"shards": n, "done": n_done, "rows": plan.n, "failed": n_failed, "of": self.folder.url}
        text = f"{self.folder}: {n_done} of {n} shards are done, {plan.n:,} rows in all, {n_failed} of them failed"
        tell_plan(counts, text, as_json=self.is_json)

    def rows(
        self,
        source: str,
        items: Callable[[], Iterable[Item[ItemT]]],
        first: Callable[[ItemT], Request],
        row_type: type[RowT],
        title: str,
    ) -> Iterator[tuple[str, RowT]] | None:
        """Do this machine's share, and return all rows with their places, or None if the table is not this machine's.

        `source` is a key of the input, `first` makes a question about an item.
        """
        before = read_plan(self.folder)
        if before is not None and before.identity != self.job.identity and before.keys:
            item = next(iter(items_of(self.folder, before.keys[0], self.job.item_type).values()))
            settle_as(self.judge, before.identity.removesuffix("-one"), lambda: first(item))
        size, kind = self.scale.shard_rows, self.scale.shard_kind
        plan = planned(self.folder, self.job.identity, source, items, size, kind)
        if not do_shards(self.folder, plan, self.job, self.scale, title):
            say_open(self.folder, plan)
            return None
        return shared_rows(self.folder, plan, row_type) if self.scale.shard is None else None
