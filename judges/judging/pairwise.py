"""Compares two answers in both orders."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, Literal

from msgspec.structs import replace

from console.errors import EngineError, InputError
from console.output import say
from engines.protocol import Request
from judges.intervals.mean import half_width
from judges.intervals.proportion import knows_nothing, wilson
from judges.judging.cost import Budget
from judges.judging.judge import EMPTY, NOT_ASKED, NOTHING, Judge, ask, request
from judges.parsing.verdict import How, Sample, score_of, stored
from judges.rubrics.rendering import missing
from judges.rubrics.rubric import Rubric
from records import Comparison, Message, Store, Usage, text_of
from records.keys import content_key, derived_seed
from records.rows import Winner
from records.stage import complete

Orders = Literal["both", "one"]


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


@dataclass(frozen=True)
class OneOrder:
    """The verdict in one order, in terms of the answers a and b."""

    preference_b: float | None
    """0 for a, 1 for b. Values between them say how sure the judge is or how much better b is."""
    error: str | None = None
    samples: tuple[Sample, ...] = ()
    """Every sample in order, failed ones too."""
    missing: Mapping[int, str] = field(default_factory=dict)
    """Reasons why samples have no verdict, by their numbers."""
    mass: float | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def winner(self) -> Winner | None:
        """Return the preferred answer, or None without a verdict."""
        if self.preference_b is None:
            return None
        return "tie" if self.preference_b == 0.5 else "a" if self.preference_b < 0.5 else "b"


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
    ids = [comparison_id(judge, contest, orders) for contest in contests]
    first = {row_id: i for i, row_id in reversed(list(enumerate(ids)))}
    asked_in = [orders_of(judge, contest, orders) for contest in contests]
    waiting: dict[int, dict[str, OneOrder]] = {}
    places: list[tuple[int, str]] = []
    things: list[tuple[dict[str, str], object]] = []
    for i, order in ((i, order) for i, its_orders in enumerate(asked_in) for order in its_orders if first[ids[i]] == i):
        texts = _texts(contests[i], order)
        if (reason := _unaskable(judge.rubric, texts)) is None:
            places.append((i, order))
            things.append((texts, (contests[i].prompt_id, order == "ba")))
        elif ids[i] not in done and ids[i] not in later:
            waiting.setdefault(i, {})[order] = OneOrder(None, reason)
    skip = {position for position, (i, _) in enumerate(places) if ids[i] in done}
    wait = {position for position, (i, _) in enumerate(places) if ids[i] in later}
    before = {i: unfinished[row_id] for i, row_id in enumerate(ids) if row_id in unfinished}
    known_of = {i: samples_before(comparison) for i, comparison in before.items()}
    known = {position: known_of[i].get(order, {}) for position, (i, order) in enumerate(places) if i in before}

    def row_of(i: int) -> Comparison:
        comparison = reconcile(judge, contests[i], waiting.pop(i), orders)
        return replace(comparison, usage=before[i].usage + comparison.usage) if i in before else comparison

    yield from (row_of(i) for i in list(waiting) if len(waiting[i]) == len(asked_in[i]))
    try:
        for position, samples, usage in ask(judge, things, skip, known, wait):
            i, order = places[position]
            waiting.setdefault(i, {})[order] = one_order(samples, judge.how, order, usage)
            if len(waiting[i]) == len(asked_in[i]):
                yield row_of(i)
    except (EngineError, KeyboardInterrupt):
        for i in list(waiting):  # keeps what is paid for
            for order in asked_in[i]:
                if order not in waiting[i]:
                    replies = known_of.get(i, {}).get(order, {})
                    samples = [replies.get(n) or Sample(None, error=NOT_ASKED) for n in range(judge.n_questions)]
                    waiting[i][order] = one_order(samples, judge.how, order, Usage())
            yield row_of(i)
        raise


def one_order(samples: Sequence[Sample], how: How, order: str, usage: Usage) -> OneOrder:
    """Return the verdict of one order. If answer b was shown first, the value is turned back to a and b."""
    score = score_of(samples, how)
    value = score.value
    if value is not None and order == "ba":
        value = 1 - value
    return OneOrder(value, score.error, tuple(samples), score.missing, score.mass, usage)


def samples_before(row: Comparison) -> dict[str, dict[int, Sample]]:
    """Return the replies of a stored comparison by order and by the number of their sample."""
    by_order: dict[str, dict[int, Sample]] = defaultdict(dict)
    # Rows of earlier versions have no numbers: their samples are in order.
    numbers: Sequence[int | None] = row.reply_samples or [None] * len(row.replies)
    for order, number, sample in zip(row.reply_orders, numbers, stored(row.replies, row.finish_reasons), strict=False):
        by_order[order][len(by_order[order]) if number is None else number] = sample
    return by_order


def all_samples(row: Comparison) -> dict[str, list[Sample]]:
    """Return every sample of a stored comparison by order, including those without a reply."""
    by_order = samples_before(row)
    failed = {(key.split("-")[0], int(key.split("-")[1])): error for key, error in row.missing.items()}
    numbers = [number for by_number in by_order.values() for number in by_number] + [number for _, number in failed]
    n = max(numbers, default=-1) + 1
    orders = ("ab", "ba") if row.orders == "both" else (row.orders,)
    return {
        order: [by_order[order].get(number) or Sample(None, error=failed.get((order, number))) for number in range(n)]
        for order in orders
    }


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
        aggregate=judge.how.aggregate,
        reference=contest.reference,
        judged=contest.judged,
        **verdict_fields(verdicts),
    )


def verdict_fields(verdicts: dict[str, OneOrder]) -> dict[str, Any]:
    """Return the fields of a comparison that follow from the verdicts of its orders, `ab` and `ba`."""
    ab, ba = verdicts.get("ab"), verdicts.get("ba")
    answered = [verdict for verdict in (ab, ba) if verdict is not None]
    winners = [verdict.winner for verdict in answered]
    known = all(winner is not None for winner in winners)
    flipped = winners[0] != winners[1] if known and len(answered) == 2 else None
    replies = [
        (order, number, sample)
        for order in ("ab", "ba")
        if order in verdicts
        for number, sample in enumerate(verdicts[order].samples)
        if sample.reply is not None
    ]
    errors = [verdict.error for verdict in answered if verdict.error]
    masses = [verdict.mass for verdict in answered if verdict.mass is not None]
    return {
        "winner": ("tie" if flipped else winners[0]) if known else None,
        "first_order": ab.winner if ab else None,
        "second_order": ba.winner if ba else None,
        "flipped": flipped,
        "preference_b": fmean(p for verdict in answered if (p := verdict.preference_b) is not None) if known else None,
        "replies": [sample.reply for _, _, sample in replies],
        "finish_reasons": [sample.finish_reason for _, _, sample in replies],
        "n_samples": sum(len(verdict.samples) - len(verdict.missing) for verdict in answered),
        "missing": {
            f"{order}-{n}": why for order, verdict in sorted(verdicts.items()) for n, why in verdict.missing.items()
        },
        "reply_orders": [order for order, _, _ in replies],
        "reply_samples": [number for _, number, _ in replies],
        "error": "; ".join(dict.fromkeys(errors)) or None,
        "usage": sum((verdict.usage for verdict in answered), Usage()),
        "mass": min(masses, default=None),
        "orders": "both" if len(answered) == 2 else "ab" if ab else "ba",
    }


def both_orders_answered(comparison: Comparison) -> bool:
    """Return whether a stored comparison is complete. A failed call makes it incomplete, a bad reply does not."""
    if comparison.n_samples is not None:
        answered = {f"{order}-{n}" for order, n in zip(comparison.reply_orders, comparison.reply_samples, strict=True)}
        return comparison.missing.keys() <= answered
    orders = {"ab", "ba"} if comparison.orders == "both" else {comparison.orders}
    return comparison.usage.n_calls == 0 or set(comparison.reply_orders) == orders


@dataclass(frozen=True)
class WinRate:
    """The share of contests in which b is preferred to a, in percent, with a 95% confidence interval over prompts."""

    percent: float | None
    half_width: float | None
    """Of Student's interval. None if the verdicts are all alike, or at 0 and 100: see `low` and `high` then."""
    n: int
    n_flipped: int
    n_unscored: int
    low: float | None = None
    high: float | None = None
    """The ends of the interval, which is Wilson's if there is no half width. None without a verdict."""
    n_both: int | None = None
    """Verdicts from both orders, of which `n_flipped` named different winners. None in files of earlier versions."""

    def __str__(self) -> str:
        if self.percent is None:
            return "-"
        if self.half_width:
            return f"{self.percent:.1f} ± {self.half_width:.1f}"
        return f"{self.percent:.1f}" if self.low is None else f"{self.percent:.1f} [{self.low:.1f}, {self.high:.1f}]"

    @property
    def flipped_percent(self) -> float | None:
        """Return the share of verdicts from both orders that named different winners, in percent, or None."""
        n = self.n if self.n_both is None else self.n_both
        return 100 * self.n_flipped / n if n else None


def win_rate(comparisons: Sequence[Comparison]) -> WinRate:
    """Return the mean preference for b: a win is 1, a tie or a flipped pair about 0.5, a loss 0.

    With log-probabilities it is the expected preference, as in AlpacaEval 2. The interval is Student's t over prompts,
    or Wilson's if all verdicts are the same. Comparisons without a verdict are counted and left out.
    """
    known = [c.preference_b for c in comparisons if c.preference_b is not None]
    flips = [c.flipped for c in comparisons if c.flipped is not None]
    counts = {"n_flipped": sum(flips), "n_unscored": len(comparisons) - len(known), "n_both": len(flips)}
    if not known:
        return WinRate(None, None, 0, **counts)
    n, share, deviation = len(known), fmean(known), stdev(known) if len(known) > 1 else 0.0
    if knows_nothing(share, deviation):
        low, high = wilson(min(max(share, 0.0), 1.0), n)
        return WinRate(100 * share, None, n, low=100 * low, high=100 * high, **counts)
    half = half_width(100 * deviation, n)
    return WinRate(100 * share, half, n, low=100 * share - half, high=100 * share + half, **counts)


def flip_warning(name: str, n_flipped: int, n_both: int) -> str | None:
    """Return a warning if the two orders named different winners in over half of the comparisons, else None."""
    if 2 * n_flipped <= n_both:
        return None
    return (
        f"{name}: {n_flipped} of {n_both} comparisons flipped with the order of the answers: this judge prefers "
        "a position to an answer, and the win rate says little"
    )


def say_flips(rates: Mapping[str, WinRate | None]) -> None:
    """Warn on stderr of each win rate, by name, if over half of its comparisons flipped with the order."""
    for name, rate in rates.items():
        if rate is not None and (warning := flip_warning(name, rate.n_flipped, rate.n_both or rate.n)):
            say(warning)


def compare_into(
    store: Store[Comparison],
    judge: Judge,
    contests: Sequence[Contest],
    title: str,
    orders: Orders = "both",
    budget: Budget | None = None,
) -> list[Comparison]:
    """Compare the contests that `store` lacks and return the verdicts on all `contests` in order.

    Raises JudgeError if `budget` is spent. Comparisons made until then are kept.
    """
    wanted = [comparison_id(judge, contest, orders) for contest in contests]
    unfinished = store.unfinished(wanted)
    new = compare(judge, contests, store.ids, orders, unfinished)
    if budget is not None:
        for comparison in store.chosen(dict.fromkeys(row_id for row_id in wanted if row_id in store)):
            budget.add(comparison.usage)
        todo = [row_id for row_id in dict.fromkeys(wanted) if row_id not in store]
        new = _within(budget, judge, contests, todo, orders, unfinished)
    comparisons = complete(store, wanted, new, title)
    if budget is not None and len(comparisons) < len(set(wanted)):
        raise budget.stop(len(comparisons), len(set(wanted)))
    return comparisons


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
