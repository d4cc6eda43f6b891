"""The part of a judging command that is one of several machines or has worker processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from console.again import is_dry_run
from console.errors import InputError
from engines.options import EngineOptions, is_served
from engines.protocol import Request
from engines.shards.folder import Folder
from engines.shards.forecast import forecast, print_forecast
from engines.shards.options import ScaleOptions, check_scale
from engines.shards.plan import Item, Plan, items_of, planned, read_plan, usable
from engines.shards.share import do_shards, print_progress, say_open, shared_rows
from engines.shards.work import Job
from judges.judging.cost import cost_of, price_of
from judges.judging.judge import Judge
from judges.judging.settle import own_fingerprints, settle_as
from judges.options import CostOptions
from records import Comparison, Judgment, Usage

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", Judgment, Comparison)


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
class Share(Generic[ItemT, RowT]):
    """The share of this machine in judging an input into a folder of shards."""

    folder: Folder
    judge: Judge
    job: Job[ItemT, RowT]
    scale: ScaleOptions
    source: str
    """A key of the input."""
    items: Callable[[], Iterable[Item[ItemT]]]

    def print_plan(self, engine: EngineOptions, cost: CostOptions, *, as_json: bool) -> None:
        """Print how much is done, with --scale the time and cost of many rows.

        Raises InputError if the command itself would refuse the folder, or if no row is made.
        """
        plan = read_plan(self.folder)
        identity = self._identity(plan)
        if not self.scale.scale:
            print_progress(self.folder, identity, self.source, self.scale, as_json=as_json)
            return
        size, kind = self.scale.shard_rows, self.scale.shard_kind
        ours = usable(self.folder, identity, self.source, size, kind)
        n = ours.n if ours is not None else sum(1 for _ in self.items())
        made = () if plan is None else (row for _, row in shared_rows(self.folder, plan, self.job.row_type))
        print_scale(n, self.judge, made, self.scale, engine, cost, self.folder, as_json=as_json)

    def _identity(self, plan: Plan | None) -> str:
        """Return the job's identity, or that of `plan` if the judge has it where its server refuses some settings."""
        rest = self.job.identity.removeprefix(self.judge.fingerprint)
        own = {f"{fingerprint}{rest}" for fingerprint in own_fingerprints(self.judge)}
        return plan.identity if plan is not None and plan.identity in own else self.job.identity

    def rows(self, first: Callable[[ItemT], Request], title: str) -> Iterator[tuple[str, RowT]] | None:
        """Do this machine's share, and return all rows with their places, or None if the table is not this machine's.

        `first` makes a question about an item.
        """
        before = read_plan(self.folder)
        if before is not None and before.identity != self.job.identity and before.keys:
            item = next(iter(items_of(self.folder, before.keys[0], self.job.item_type).values()))
            settle_as(self.judge, before.identity.removesuffix("-one"), lambda: first(item))
        size, kind = self.scale.shard_rows, self.scale.shard_kind
        plan = planned(self.folder, self.job.identity, self.source, self.items, size, kind)
        if not do_shards(self.folder, plan, self.job, self.scale, title):
            say_open(self.folder, plan)
            return None
        return shared_rows(self.folder, plan, self.job.row_type) if self.scale.shard is None else None
