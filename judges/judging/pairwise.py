"""Compares two answers in both orders."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from console.errors import EngineError, InputError
from console.progress import progress
from engines.protocol import Request
from judges.judging.cost import Budget
from judges.judging.judge import EMPTY, NOT_ASKED, NOTHING, Judge, Subject, ask, request
from judges.judging.orders import OneOrder, Orders, one_order, samples_before, verdict_fields
from judges.judging.stream import WINDOW, windows
from judges.parsing.verdict import Sample
from judges.rubrics.calibration import Calibration, log_odds
from judges.rubrics.rendering import missing
from judges.rubrics.rubric import Rubric
from records import Comparison, Message, Store, Usage, text_of
from records.disk import DiskSet
from records.keys import content_key, derived_seed

PAIRS_AT_ONCE = WINDOW // 2
"""Pairs in flight at once, each asked about twice. An in-process engine plans its batches over this many."""


@dataclass(frozen=True)
class Contest:
    """Two answers to one prompt."""

    prompt_id: str
    prompt: str | list[Message]
    response_a: str
    response_b: str
    model_a: str
    model_b: str
    reference: str | None = None
    judged: str | None = None
    """The answer that both are judgments of, for a rubric that judges judgments."""


def comparison_id(judge: Judge, contest: Contest, orders: Orders = "both") -> str:
    """Return the key under which the verdict on `contest` is stored."""
    return content_key("comparison", judge.fingerprint, contest, orders)


def orders_of(judge: Judge, contest: Contest, orders: Orders) -> tuple[str, ...]:
    """Return the orders to ask `contest` in. A single order is drawn from the judge's seed and the contest."""
    if orders == "both":
        return ("ab", "ba")
    return (("ab", "ba")[derived_seed("order", judge.seed, contest) % 2],)


def compare(
    judge: Judge,
    contests: Sequence[Contest],
    done: Collection[str],
    orders: Orders = "both",
    unfinished: Mapping[str, Comparison] = NOTHING,
    later: Collection[str] = (),
) -> Iterator[Comparison]:
    """Yield a verdict for each contest whose id is not in `done` or `later`, and one for contests that are the same.

    Each is asked in both orders, because judges have a position bias (arXiv 2306.05685, section 3.3). `one` halves the
    cost and keeps that bias. `unfinished` has stored comparisons by id that lack samples. Only those samples are asked
    for. If the engine raises an EngineError, or the user stops it, the answered verdicts are yielded first. Raises
    InputError if the rubric scores one answer.
    """
    if judge.rubric.kind != "pair":
        raise InputError(f"the rubric '{judge.rubric.name}' scores one answer; compare with another one")
    if judge.calibration and orders != "both":
        raise InputError("--calibration is learned from both orders: leave out --orders")
    places: list[tuple[_InFlight, str]] = []
    subjects: list[Subject] = []
    begun: dict[str, _InFlight] = {}  # by id, in the order of their first verdict
    for flight in _in_flight(judge, contests, orders, unfinished):
        is_done, is_later = flight.id in done, flight.id in later
        for order in flight.orders:
            texts, key = _texts(flight.contest, order), (flight.contest.prompt_id, order == "ba")
            if (reason := _unaskable(judge.rubric, texts)) is None:
                places.append((flight, order))
                subjects.append(Subject(texts, key, flight.known.get(order, {}), is_done, is_later))
            elif not (is_done or is_later):
                flight.verdicts[order] = OneOrder(None, reason)
                begun[flight.id] = flight
    yield from (begun.pop(flight.id).row(judge, orders) for flight in list(begun.values()) if flight.is_complete)
    try:
        for replies in ask(judge, subjects):
            flight, order = places[replies.index]
            flight.verdicts[order] = one_order(replies.samples, judge.how, order, replies.usage)
            begun[flight.id] = flight
            if flight.is_complete:
                comparison = begun.pop(flight.id).row(judge, orders)
                flight.verdicts.clear()  # the row has them, and the flight is there until the last one's
                yield comparison
    except (EngineError, KeyboardInterrupt):
        for flight in begun.values():  # keeps what is paid for
            flight.give_up(judge)
            yield flight.row(judge, orders)
        raise


@dataclass
class _InFlight:
    """A comparison between its first question and its row."""

    contest: Contest
    id: str
    orders: tuple[str, ...]
    """The orders to ask it in."""
    before: Comparison | None
    """The stored row, if it lacks samples."""
    verdicts: dict[str, OneOrder] = field(default_factory=dict)
    """The verdicts so far by order."""

    @cached_property
    def known(self) -> dict[str, dict[int, Sample]]:
        """The stored samples by order and number."""
        return samples_before(self.before) if self.before else {}

    @property
    def is_complete(self) -> bool:
        """Whether every order has a verdict."""
        return len(self.verdicts) == len(self.orders)

    def give_up(self, judge: Judge) -> None:
        """Give each order without a verdict one from the stored samples alone."""
        for order in self.orders:
            if order not in self.verdicts:
                known = self.known.get(order, {})
                samples = [known.get(number) or Sample(None, error=NOT_ASKED) for number in range(judge.n_questions)]
                self.verdicts[order] = one_order(samples, judge.how, order, Usage())

    def row(self, judge: Judge, orders: Orders) -> Comparison:
        """Return the row of all orders. Its usage includes that of the stored row."""
        comparison = reconcile(judge, self.contest, self.verdicts, orders)
        return replace(comparison, usage=self.before.usage + comparison.usage) if self.before else comparison


def _in_flight(
    judge: Judge, contests: Sequence[Contest], orders: Orders, unfinished: Mapping[str, Comparison]
) -> list[_InFlight]:
    """Return one comparison for contests that are the same, in the order in which they first come."""
    by_id: dict[str, _InFlight] = {}
    for contest in contests:
        row_id = comparison_id(judge, contest, orders)
        if row_id not in by_id:
            asked_in = orders_of(judge, contest, orders)
            by_id[row_id] = _InFlight(contest, row_id, asked_in, unfinished.get(row_id))
    return list(by_id.values())


def reconcile(judge: Judge, contest: Contest, verdicts: dict[str, OneOrder], orders: Orders = "both") -> Comparison:
    """Return one row from the verdicts of the orders. It is a tie if they differ."""
    return Comparison(
        id=comparison_id(judge, contest, orders),
        prompt_id=contest.prompt_id,
        prompt=contest.prompt,
        response_a=contest.response_a,
        response_b=contest.response_b,
        model_a=contest.model_a,
        model_b=contest.model_b,
        rubric=judge.rubric.name,
        judge=judge.fingerprint,
        read=judge.read,
        choices_from=judge.choices_from,
        aggregate=judge.how.aggregate,
        reference=contest.reference,
        judged=contest.judged,
        **calibrated(judge.calibration, verdict_fields(verdicts)),
    )


def calibrated(calibration: Calibration | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a verdict with the calibration's preference, by which it names the winner."""
    if calibration is None or fields["preference_b"] is None:
        return fields
    preference = calibration.preference(log_odds(fields["preference_b"]))
    return fields | {"preference_b": preference, "winner": calibration.winner(preference)}


def both_orders_answered(comparison: Comparison) -> bool:
    """Return whether a stored comparison is complete. A failed call makes it incomplete, a bad reply does not."""
    if comparison.n_samples is not None:
        answered = {f"{order}-{n}" for order, n in zip(comparison.reply_orders, comparison.reply_samples, strict=True)}
        return comparison.missing.keys() <= answered
    orders = {"ab", "ba"} if comparison.orders == "both" else {comparison.orders}
    return comparison.usage.n_calls == 0 or set(comparison.reply_orders) == orders


def compare_into(store: Store[Comparison], judge: Judge, contests: Sequence[Contest], title: str) -> list[Comparison]:
    """Return what `compare_each` yields, in both orders and without a budget."""
    return list(compare_each(store, judge, contests, title))


def compare_each(
    store: Store[Comparison],
    judge: Judge,
    contests: Iterable[Contest],
    title: str,
    orders: Orders = "both",
    budget: Budget | None = None,
) -> Iterator[Comparison]:
    """Compare the contests that `store` lacks, a window at a time, and yield the verdicts on all `contests` in order.

    `contests` are read twice. Those that are the same have one verdict. Raises JudgeError if `budget` is spent.
    Comparisons made until then are kept.
    """
    ids, n_contests, n_done = DiskSet(), 0, 0
    for n_contests, contest in enumerate(contests, start=1):  # noqa: B007
        if ids.add(row_id := comparison_id(judge, contest, orders)):
            n_done += row_id in store
    n, seen = len(ids), DiskSet()
    by_id = ((comparison_id(judge, contest, orders), contest) for contest in contests)
    distinct = by_id if n == n_contests else (known for known in by_id if seen.add(known[0]))
    with progress(title, n, n_done) as advance:
        for window in windows(distinct, PAIRS_AT_ONCE):
            wanted = [row_id for row_id, _ in window]
            for comparison in _new(store, judge, [contest for _, contest in window], wanted, orders, budget):
                store.append(comparison)
                if store.is_finished(comparison):
                    advance(1)
            n_found = 0
            for comparison in store.chosen(wanted):
                n_found += 1
                yield comparison
            if budget is not None and n_found < len(wanted):
                raise budget.stop(sum(1 for _ in store.chosen(ids)), n)


def _new(
    store: Store[Comparison],
    judge: Judge,
    contests: Sequence[Contest],
    wanted: Sequence[str],
    orders: Orders,
    budget: Budget | None,
) -> Iterator[Comparison]:
    """Yield the verdicts with the ids `wanted`, those of `contests`, that `store` lacks."""
    unfinished = store.unfinished(wanted)
    if budget is None:
        return compare(judge, contests, store.ids, orders, unfinished)
    for comparison in store.chosen(row_id for row_id in wanted if row_id in store):
        budget.add(comparison.usage)
    todo = [row_id for row_id in wanted if row_id not in store]
    return _within(budget, judge, contests, todo, orders, unfinished)


def first_request(judge: Judge, contest: Contest) -> Request:
    """Return the first question about `contest`, to show it."""
    return request(judge, _texts(contest, "ab"), "", 0)


def _within(
    budget: Budget,
    judge: Judge,
    contests: Sequence[Contest],
    todo: Sequence[str],
    orders: Orders,
    unfinished: Mapping[str, Comparison],
) -> Iterator[Comparison]:
    """Yield the comparisons with the ids `todo` as long as `budget` allows."""
    for before in unfinished.values():
        budget.carry(before.usage)
    everything = {comparison_id(judge, contest, orders) for contest in contests}
    while todo and (n := budget.n_allowed(len(todo))):
        for comparison in compare(judge, contests, everything - set(todo), orders, unfinished, later=set(todo[n:])):
            budget.add(
                comparison.usage - unfinished[comparison.id].usage if comparison.id in unfinished else comparison.usage
            )
            yield comparison
        todo = todo[n:]


def _texts(contest: Contest, order: str) -> dict[str, str]:
    shown = (contest.response_a, contest.response_b) if order == "ab" else (contest.response_b, contest.response_a)
    texts = {"prompt": text_of(contest.prompt), "response_a": shown[0], "response_b": shown[1]}
    more = {"reference": contest.reference, "judged": contest.judged}
    return texts | {name: text for name, text in more.items() if text is not None}


def _unaskable(rubric: Rubric, texts: dict[str, str]) -> str | None:
    if not (texts["response_a"].strip() or texts["response_b"].strip()):
        return f"{EMPTY}, both of them"
    return missing(rubric, texts)
