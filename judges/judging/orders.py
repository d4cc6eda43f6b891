"""The verdicts on two answers in each order, and the fields of the row that follow from them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from judges.parsing.verdict import How, Sample, score_of, stored
from records import Comparison, Usage
from records.rows import Winner

Orders = Literal["both", "one"]


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
