"""Which of two answers is better, asked in both orders."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, Literal

from msgspec.structs import replace

from console.errors import EngineError, InputError
from console.output import say
from engines.protocol import Request
from judges.intervals.proportion import knows_nothing, wilson
from judges.judging.cost import Budget
from judges.judging.judge import EMPTY, NOT_ASKED, NOTHING, Judge, ask, request
from judges.parsing.verdict import How, Said, score_of, stored
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
    """What the judge said in one order, in terms of the answers a and b."""

    preference_b: float | None
    """0 for a, 1 for b, between them how sure or how much."""
    error: str | None = None
    said: tuple[Said, ...] = ()
    """Every sample in order, failed ones too."""
    missing: Mapping[int, str] = field(default_factory=dict)
    """Why a sample has no verdict, by its number."""
    mass: float | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def winner(self) -> Winner | None:
        """Return the answer that is preferred; None where there is no verdict."""
        if self.preference_b is None:
            return None
        return "tie" if self.preference_b == 0.5 else "a" if self.preference_b < 0.5 else "b"


def comparison_id(judge: Judge, contest: Contest, orders: Orders = "both") -> str:
    """Return the key under which the verdict on `contest` is stored."""
    return content_key("comparison", judge.fingerprint, contest, orders)


def orders_of(judge: Judge, contest: Contest, orders: Orders) -> tuple[str, ...]:
    """Return the orders in which `contest` is asked; one alone is drawn from the judge's seed and the contest."""
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
    """Yield a verdict for each contest whose id is not in `done` or `later`; the same contest twice has one.

    Each is asked in both orders, because judges prefer a place (arXiv 2306.05685, section 3.3); `one` asks half as much
    and leaves that preference in. `unfinished` has stored comparisons by id that lack samples: only those are asked
    for. Where the engine stops with an EngineError, or the user stops it, what was answered comes before. Raises
    InputError where the rubric scores one answer.
    """
    if judge.rubric.kind != "pair":
        raise InputError(f"the rubric '{judge.rubric.name}' scores one answer; compare with another one")
    ids = [comparison_id(judge, contest, orders) for contest in contests]
    first = {row_id: i for i, row_id in reversed(list(enumerate(ids)))}
    asked_in = [orders_of(judge, contest, orders) for contest in contests]
    waiting: dict[int, dict[str, OneOrder]] = {}
    places: list[tuple[int, str]] = []
    things: list[tuple[dict[str, str], object]] = []
    for i, order in ((i, order) for i, own in enumerate(asked_in) for order in own if first[ids[i]] == i):
        texts = _texts(contests[i], order)
        if (reason := _unaskable(judge.rubric, texts)) is None:
            places.append((i, order))
            things.append((texts, (contests[i].prompt_id, order == "ba")))
        elif ids[i] not in done and ids[i] not in later:
            waiting.setdefault(i, {})[order] = OneOrder(None, reason)
    skip = {position for position, (i, _) in enumerate(places) if ids[i] in done}
    wait = {position for position, (i, _) in enumerate(places) if ids[i] in later}
    before = {i: unfinished[row_id] for i, row_id in enumerate(ids) if row_id in unfinished}
    known_of = {i: said_before(row) for i, row in before.items()}
    known = {position: known_of[i].get(order, {}) for position, (i, order) in enumerate(places) if i in before}

    def row_of(i: int) -> Comparison:
        row = reconcile(judge, contests[i], waiting.pop(i), orders)
        return replace(row, usage=before[i].usage + row.usage) if i in before else row

    yield from (row_of(i) for i in list(waiting) if len(waiting[i]) == len(asked_in[i]))
    try:
        for position, said, usage in ask(judge, things, skip, known, wait):
            i, order = places[position]
            waiting.setdefault(i, {})[order] = one_order(said, judge.how, order, usage)
            if len(waiting[i]) == len(asked_in[i]):
                yield row_of(i)
    except (EngineError, KeyboardInterrupt):
        for i in list(waiting):  # what is paid for is kept
            for order in asked_in[i]:
                if order not in waiting[i]:
                    replies = known_of.get(i, {}).get(order, {})
                    said = [replies.get(n) or Said(None, error=NOT_ASKED) for n in range(judge.n_questions)]
                    waiting[i][order] = one_order(said, judge.how, order, Usage())
            yield row_of(i)
        raise


def one_order(said: Sequence[Said], how: How, order: str, usage: Usage) -> OneOrder:
    """Return the verdict of one order; where answer b was shown first it is turned back to a and b."""
    score = score_of(said, how)
    value = score.value
    if value is not None and order == "ba":
        value = 1 - value
    return OneOrder(value, score.error, tuple(said), score.missing, score.mass, usage)


def said_before(row: Comparison) -> dict[str, dict[int, Said]]:
    """Return the replies of a stored comparison by order and by the number of their sample."""
    found: dict[str, dict[int, Said]] = defaultdict(dict)
    numbers: Sequence[int | None] = row.reply_samples or [None] * len(
        row.replies
    )  # rows of earlier versions: one after the other
    for order, number, said in zip(row.reply_orders, numbers, stored(row.replies, row.finish_reasons), strict=False):
        found[order][len(found[order]) if number is None else number] = said
    return found


def all_said(row: Comparison) -> dict[str, list[Said]]:
    """Return every sample of a stored comparison by order, those without a reply too."""
    found = said_before(row)
    failed = {(key.split("-")[0], int(key.split("-")[1])): error for key, error in row.missing.items()}
    numbers = [number for own in found.values() for number in own] + [number for _, number in failed]
    n = max(numbers, default=-1) + 1
    asked = ("ab", "ba") if row.orders == "both" else (row.orders,)
    return {
        order: [found[order].get(number) or Said(None, error=failed.get((order, number))) for number in range(n)]
        for order in asked
    }


def reconcile(judge: Judge, contest: Contest, found: dict[str, OneOrder], orders: Orders = "both") -> Comparison:
    """Return one row from the verdicts of the orders that were asked: where both differ it is a tie."""
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
        **verdict_fields(found),
    )


def verdict_fields(found: dict[str, OneOrder]) -> dict[str, Any]:
    """Return the fields of a comparison that the verdicts of its orders, `ab` and `ba`, fix."""
    ab, ba = found.get("ab"), found.get("ba")
    asked = [one for one in (ab, ba) if one is not None]
    winners = [one.winner for one in asked]
    known = all(winner is not None for winner in winners)
    flipped = winners[0] != winners[1] if known and len(asked) == 2 else None
    replies = [
        (order, number, said)
        for order in ("ab", "ba")
        if order in found
        for number, said in enumerate(found[order].said)
        if said.reply is not None
    ]
    errors = [one.error for one in asked if one.error]
    masses = [one.mass for one in asked if one.mass is not None]
    return {
        "winner": ("tie" if flipped else winners[0]) if known else None,
        "first_order": ab.winner if ab else None,
        "second_order": ba.winner if ba else None,
        "flipped": flipped,
        "preference_b": fmean(p for one in asked if (p := one.preference_b) is not None) if known else None,
        "replies": [said.reply for _, _, said in replies],
        "finish_reasons": [said.finish_reason for _, _, said in replies],
        "n_samples": sum(len(one.said) - len(one.missing) for one in asked),
        "missing": {f"{order}-{n}": why for order, one in sorted(found.items()) for n, why in one.missing.items()},
        "reply_orders": [order for order, _, _ in replies],
        "reply_samples": [number for _, number, _ in replies],
        "error": "; ".join(dict.fromkeys(errors)) or None,
        "usage": sum((one.usage for one in asked), Usage()),
        "mass": min(masses, default=None),
        "orders": "both" if len(asked) == 2 else "ab" if ab else "ba",
    }


def both_orders_answered(comparison: Comparison) -> bool:
    """Return whether a stored comparison is complete: a sample whose call failed is asked again, a bad reply is not."""
    if comparison.n_samples is not None:
        answered = {f"{order}-{n}" for order, n in zip(comparison.reply_orders, comparison.reply_samples, strict=True)}
        return comparison.missing.keys() <= answered
    asked = {"ab", "ba"} if comparison.orders == "both" else {comparison.orders}
    return comparison.usage.n_calls == 0 or set(comparison.reply_orders) == asked


@dataclass(frozen=True)
class WinRate:
    """How often b is preferred to a, in percent, with a 95% confidence interval over prompts."""

    percent: float | None
    half_width: float | None
    """Of Student's interval; None where the verdicts are all alike, or at 0 and 100: `low` and `high` say more."""
    n: int
    n_flipped: int
    n_unscored: int
    low: float | None = None
    high: float | None = None
    """The ends of the interval, Wilson's where there is no half width; None without a verdict."""
    n_both: int | None = None
    """Verdicts from both orders, of which `n_flipped` named different winners; None in files of earlier versions."""

    def __str__(self) -> str:
        if self.percent is None:
            return "-"
        if self.half_width:
            return f"{self.percent:.1f} ± {self.half_width:.1f}"
        return f"{self.percent:.1f}" if self.low is None else f"{self.percent:.1f} [{self.low:.1f}, {self.high:.1f}]"

    @property
    def flipped_percent(self) -> float | None:
        """Return how many of the verdicts from both orders named different winners; None where there is none."""
        n = self.n if self.n_both is None else self.n_both
        return 100 * self.n_flipped / n if n else None


def win_rate(comparisons: Sequence[Comparison]) -> WinRate:
    """Return the mean preference for b: a win is 1, a tie or a flipped pair about 0.5, a loss 0.

    With log-probabilities it is the expected preference, as in AlpacaEval 2. The interval is Student's t over prompts,
    and Wilson's where they all say the same. Comparisons without a verdict are counted and left out.
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
    from scipy.stats import t

    half = 100 * float(t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return WinRate(100 * share, half, n, low=100 * share - half, high=100 * share + half, **counts)


def flip_warning(name: str, n_flipped: int, n_both: int) -> str | None:
    """Return a warning where the two orders named different winners in over half of the comparisons, else None."""
    if 2 * n_flipped <= n_both:
        return None
    return (
        f"{name}: {n_flipped} of {n_both} comparisons turned with the order of the answers: this judge prefers a place "
        "to an answer, and the win rate says little"
    )


def say_flips(rates: Mapping[str, WinRate | None]) -> None:
    """Warn on stderr of each win rate, by what it is of, that turned with the order in over half of its comparisons."""
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
    """Compare what `store` does not hold yet and return the verdicts on `contests` in order.

    Raises JudgeError where `budget` is spent; what was compared is kept.
    """
    wanted = [comparison_id(judge, contest, orders) for contest in contests]
    unfinished = store.unfinished(wanted)
    rows = compare(judge, contests, store.ids, orders, unfinished)
    if budget is not None:
        for row in store.chosen(dict.fromkeys(row_id for row_id in wanted if row_id in store)):
            budget.add(row.usage)
        todo = [row_id for row_id in dict.fromkeys(wanted) if row_id not in store]
        rows = _within(budget, judge, contests, todo, orders, unfinished)
    found = complete(store, wanted, rows, title)
    if budget is not None and len(found) < len(set(wanted)):
        raise budget.stop(len(found), len(set(wanted)))
    return found


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
    """Yield the comparisons with the ids `todo`, as long as `budget` allows it."""
    for before in unfinished.values():
        budget.carry(before.usage)
    everything = {comparison_id(judge, contest, orders) for contest in contests}
    while todo and (n := budget.n_allowed(len(todo))):
        for row in compare(judge, contests, everything - set(todo), orders, unfinished, later=set(todo[n:])):
            budget.add(row.usage - unfinished[row.id].usage if row.id in unfinished else row.usage)
            yield row
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
