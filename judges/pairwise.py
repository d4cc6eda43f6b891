"""Which of two answers is better, asked in both orders."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from console.errors import InputError
from engines.protocol import Choice, Completion, Request
from judges.judge import Judge
from judges.parse import parse_winner
from judges.template import fill
from records import Comparison, Message, Store, Usage, text_of
from records.keys import content_key, derived_seed
from records.rows import Winner
from records.stage import complete

SWAPPED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}
PREFERENCE_B: dict[Winner, float] = {"a": 0.0, "tie": 0.5, "b": 1.0}


@dataclass(frozen=True)
class Contest:
    """Two answers to one prompt."""

    prompt_id: str
    prompt: str | list[Message]
    response_a: str
    response_b: str
    model_a: str
    model_b: str


@dataclass(frozen=True)
class OneOrder:
    """What the judge said in one order, in terms of the answer shown first (a) and second (b)."""

    winner: Winner | None
    preference_b: float | None
    reply: str | None
    error: str | None
    usage: Usage

    def swapped(self) -> "OneOrder":
        """Return the same verdict with a and b exchanged."""
        preference = None if self.preference_b is None else 1 - self.preference_b
        return OneOrder(self.winner and SWAPPED[self.winner], preference, self.reply, self.error, self.usage)


def comparison_id(judge: Judge, contest: Contest) -> str:
    """Return the key under which the verdict on `contest` is stored."""
    return content_key("comparison", judge.fingerprint, contest)


def compare(judge: Judge, contests: Sequence[Contest], done: set[str]) -> Iterator[Comparison]:
    """Yield a verdict for each contest whose id is not in `done`; each is asked in both orders."""
    if judge.rubric.kind != "pair":
        raise InputError(f"the rubric '{judge.rubric.name}' scores one answer; compare with another one")
    skip = {index for index, contest in enumerate(contests) if comparison_id(judge, contest) in done}
    requests = [_request(judge, contest, swap) for contest in contests for swap in (False, True)]
    skipped = {2 * index + order for index in skip for order in (0, 1)}
    waiting: dict[int, dict[int, OneOrder]] = {}
    for position, verdict in _verdicts(judge, requests, skipped):
        index, order = divmod(position, 2)
        orders = waiting.setdefault(index, {})
        orders[order] = verdict
        if len(orders) == 2:
            yield reconcile(judge, contests[index], orders[0], orders[1].swapped())
            del waiting[index]


def reconcile(judge: Judge, contest: Contest, first: OneOrder, second: OneOrder) -> Comparison:
    """Return one row from the verdicts of both orders, both in terms of a and b: where they differ it is a tie."""
    known = first.winner is not None and second.winner is not None
    flipped = first.winner != second.winner if known else None
    preferences = [p for p in (first.preference_b, second.preference_b) if p is not None]
    errors = [error for error in (first.error, second.error) if error]
    return Comparison(
        id=comparison_id(judge, contest),
        prompt_id=contest.prompt_id,
        prompt=contest.prompt,
        response_a=contest.response_a,
        response_b=contest.response_b,
        model_a=contest.model_a,
        model_b=contest.model_b,
        winner=("tie" if flipped else first.winner) if known else None,
        first_order=first.winner,
        second_order=second.winner,
        flipped=flipped,
        preference_b=fmean(preferences) if known else None,
        replies=[reply for reply in (first.reply, second.reply) if reply is not None],
        error="; ".join(dict.fromkeys(errors)) or None,
        rubric=judge.rubric.name,
        judge=judge.fingerprint,
        usage=_added(first.usage, second.usage),
    )


def both_orders_answered(comparison: Comparison) -> bool:
    """Return whether to keep a stored comparison on resuming: a failed call is tried again, a bad reply is not."""
    return len(comparison.replies) == 2


@dataclass(frozen=True)
class WinRate:
    """How often b is preferred to a, in percent, with a 95% confidence interval over prompts."""

    percent: float | None
    half_width: float | None
    """None where there are fewer than two verdicts or they are all alike: the interval is then not known."""
    n: int
    n_flipped: int
    n_unscored: int

    def __str__(self) -> str:
        if self.percent is None:
            return "-"
        return f"{self.percent:.1f} ± {self.half_width:.1f}" if self.half_width else f"{self.percent:.1f}"


def win_rate(comparisons: Sequence[Comparison]) -> WinRate:
    """Return the mean preference for b: a win is 1, a tie or a flipped pair about 0.5, a loss 0.

    With log-probabilities it is the expected preference, as in AlpacaEval 2. The interval is Student's t over prompts.
    Comparisons without a verdict are counted and left out.
    """
    known = [c.preference_b for c in comparisons if c.preference_b is not None]
    n, n_flipped = len(known), sum(bool(c.flipped) for c in comparisons)
    if not known:
        return WinRate(None, None, 0, n_flipped, len(comparisons))
    half_width = None
    if n > 1 and stdev(known) > 0:
        from scipy.stats import t

        half_width = 100 * float(t.ppf(0.975, n - 1)) * stdev(known) / math.sqrt(n)
    return WinRate(100 * fmean(known), half_width, n, n_flipped, len(comparisons) - n)


def compare_into(store: Store[Comparison], judge: Judge, contests: Sequence[Contest], title: str) -> list[Comparison]:
    """Compare what `store` does not hold yet and return the verdicts on `contests` in order."""
    wanted = [comparison_id(judge, contest) for contest in contests]
    return complete(store, wanted, compare(judge, contests, store.ids), title)


def _request(judge: Judge, contest: Contest, swap: bool) -> Request:
    first, second = (contest.response_b, contest.response_a) if swap else (contest.response_a, contest.response_b)
    texts = {"prompt": text_of(contest.prompt), "response_a": first, "response_b": second}
    prefill = judge.rubric.logprobs.prefill if judge.read == "logprobs" else ""
    return Request(fill(judge.rubric, judge.read, texts), derived_seed(judge.seed, contest.prompt_id, swap), prefill)


def _verdicts(judge: Judge, requests: list[Request], skip: set[int]) -> Iterator[tuple[int, OneOrder]]:
    if judge.read == "logprobs":
        for choice in judge.engine.choose(requests, judge.rubric.logprobs.choices, skip):
            yield choice.index, _from_choice(choice)
    else:
        for completion in judge.engine.generate(requests, judge.sampling, skip):
            yield completion.index, _from_reply(judge, completion)


def _from_choice(choice: Choice) -> OneOrder:
    usage = Usage(n_calls=1, n_prompt_tokens=choice.n_prompt_tokens, n_tokens=choice.n_tokens)
    if choice.error:
        return OneOrder(None, None, None, choice.error, usage)
    a, b = (math.exp(logprob) for logprob in choice.logprobs)
    reply = f"P(first)={a:.4g} P(second)={b:.4g}"
    if a + b == 0:
        return OneOrder(None, None, reply, "neither answer has any probability", usage)
    winner: Winner = "tie" if a == b else "a" if a > b else "b"
    return OneOrder(winner, b / (a + b), reply, None, usage)


def _from_reply(judge: Judge, completion: Completion) -> OneOrder:
    usage = Usage(n_calls=1, n_prompt_tokens=completion.n_prompt_tokens, n_tokens=completion.n_tokens)
    if completion.error:
        return OneOrder(None, None, None, completion.error, usage)
    if completion.finish_reason == "length":
        return OneOrder(None, None, completion.text, "truncated: the reply was cut off", usage)
    winner, error = parse_winner(completion.text, judge.rubric)
    return OneOrder(winner, None if winner is None else PREFERENCE_B[winner], completion.text, error, usage)


def _added(first: Usage, second: Usage) -> Usage:
    return Usage(
        n_calls=first.n_calls + second.n_calls,
        n_prompt_tokens=first.n_prompt_tokens + second.n_prompt_tokens,
        n_tokens=first.n_tokens + second.n_tokens,
    )
