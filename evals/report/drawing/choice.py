"""Which pictures a report has: those of measures that at least two iterations have, and of iterations with scores."""

from collections.abc import Callable, Sequence

from evals.report.drawing.panels import Panel, Point, curve, histogram, lengths
from evals.report.facts.run import RunFacts
from evals.report.facts.shapes import HeldOutFacts
from judges.intervals.bootstrap import Estimate

Measure = Callable[[HeldOutFacts], Point | None]
MONITORS = {
    "mean_chars": "Characters an answer",
    "inflation": "Score inflation",
    "top_score": "Share of the top score, %",
    "kl": "KL to iter0, nats a token",
    "distinct_2": "Distinct bigrams, %",
    "self_bleu": "Self-BLEU, %",
}
SHARES = ("top_score", "distinct_2", "self_bleu")


def curves(runs: Sequence[RunFacts]) -> list[Panel]:
    """Return the pictures of the measures by iteration."""
    half = (50.0, "chance")
    measures: list[tuple[str, Measure, tuple[float, str] | None]] = [
        ("Does what is asked, %", _follows, None),
        ("Judge is right on known pairs, %", _judge, half),
        ("Win rate against iter0, %", _win_rate, (50.0, "even")),
        ("Mean score, frozen judge", _score, None),
        *((title, _monitor(name), None) for name, title in MONITORS.items()),
    ]
    panels = []
    for title, measure, level in measures:
        lines = [(facts.name, _points(facts, measure)) for facts in runs]
        if any(len(points) > 1 for _, points in lines):
            panels.append(curve(title, [line for line in lines if line[1]], level))
    return panels


def distributions(runs: Sequence[RunFacts]) -> list[Panel]:
    """Return the histogram of scores, and scores against lengths, of each iteration with judgments."""
    panels = []
    for facts in runs:
        for name, judged in facts.judged.items():
            if len(judged.scores) > 1:
                of = f"{facts.name} {name}" if len(runs) > 1 else name
                panels += [histogram(f"Scores that made {of}", judged), lengths(f"Length and score, {of}", judged)]
    return panels


def _points(facts: RunFacts, measure: Measure) -> list[Point]:
    found = (measure(facts.held_out[name]) for name in facts.iterations if name in facts.held_out)
    return [point for point in found if point is not None]


def _share(held: HeldOutFacts, share: Estimate | None) -> Point | None:
    if share is None or share.value is None:
        return None
    low, high = (None if end is None else 100 * end for end in (share.low, share.high))
    return Point(held.iteration, 100 * share.value, low, high)


def _follows(held: HeldOutFacts) -> Point | None:
    return _share(held, held.following.follows if held.following else None)


def _judge(held: HeldOutFacts) -> Point | None:
    return _share(held, held.following.known_pairs if held.following else None)


def _win_rate(held: HeldOutFacts) -> Point | None:
    rate = held.win_rate
    return None if rate is None or rate.percent is None else Point(held.iteration, rate.percent, rate.low, rate.high)


def _score(held: HeldOutFacts) -> Point | None:
    return None if held.mean_score is None else Point(held.iteration, held.mean_score)


def _monitor(name: str) -> Measure:
    def measure(held: HeldOutFacts) -> Point | None:
        value = (held.monitors or {}).get(name)
        if not isinstance(value, int | float):
            return None
        return Point(held.iteration, 100 * value if name in SHARES else value)

    return measure
