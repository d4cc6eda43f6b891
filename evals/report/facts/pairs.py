"""Chooses the pairs that a report shows: those over which something disagrees first, then some drawn by chance."""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evals.report.facts.judged import rows_in
from evals.report.facts.shown import ShownPair, Side
from evals.report.facts.words import found_of, n_followed, said, with_words
from records import Comparison, Pair
from records.keys import derived_seed
from records.rows import request_text, text_of
from records.runs import Run

N_SHOWN = 20
MOST_CONTRADICTED, MOST_FLIPPED, MOST_NEAR = 6, 5, 4
"""The most pairs of each disagreement. The rest is drawn by chance."""
NEAR, CLOSE = 0.1, 0.25
"""A near tie is among this share of the pairs, those with the smallest margins, and has no more than this share of the
largest margin."""


def pairs_of(run: Run, seed: int, problems: list[str], most: int = N_SHOWN) -> list[ShownPair]:
    """Return at most `most` pairs of a run, disagreements first, drawn with `seed` where there are more."""
    made = list(_made(run, problems))
    comparisons = run.folder / "eval" / "comparisons.jsonl"
    flipped = _flipped(rows_in(comparisons, Comparison, problems)) if comparisons.is_file() else ()
    kinds = (
        (_contradicted(made), MOST_CONTRADICTED),
        (flipped, MOST_FLIPPED),
        (_near(made), MOST_NEAR),
        ((_shown(name, pair, "drawn by chance") for name, pair in made), most),
    )
    found: dict[tuple[str, str, str], ShownPair] = {}
    for pairs, most_of_kind in kinds:
        for pair in drawn(pairs, most_of_kind, seed):
            if len(found) < most:
                found.setdefault(pair.key, pair)
    return with_words(run, list(found.values()), problems)


def drawn(pairs: Iterable[ShownPair], most: int, seed: int) -> list[ShownPair]:
    """Return `most` of the pairs, drawn with the seed, in their order."""
    listed = list(pairs)
    chosen = random.Random(derived_seed(seed, "report")).sample(range(len(listed)), min(most, len(listed)))
    return [listed[number] for number in sorted(chosen)]


def _made(run: Run, problems: list[str]) -> Iterator[tuple[str, Pair]]:
    """Yield the pairs that each iteration was made from."""
    for number in run.iterations():
        path: Path = run.iteration(number) / "pairs.jsonl"
        if path.is_file():
            yield from ((f"iter{number}", pair) for pair in rows_in(path, Pair, problems))


def _contradicted(made: Sequence[tuple[str, Pair]]) -> Iterator[ShownPair]:
    for name, pair in made:
        counts = [n_followed(side) for side in (pair.evidence or [])]
        if len(counts) == 2 and counts[0] is not None and counts[1] is not None and counts[1] > counts[0]:
            yield _shown(name, pair, "the rejected answer follows more of what the prompt asks")


def _near(made: Sequence[tuple[str, Pair]]) -> Iterator[ShownPair]:
    margins = sorted(pair.margin for _, pair in made if pair.margin is not None)
    if not margins or margins[0] == margins[-1]:
        return
    largest = min(margins[int(NEAR * len(margins))], CLOSE * margins[-1])
    for name, pair in made:
        if pair.margin is not None and pair.margin <= largest:
            yield _shown(name, pair, f"a near tie: the scores are {pair.margin:.2f} apart")


def _flipped(rows: Iterable[Comparison]) -> Iterator[ShownPair]:
    for row in rows:
        if not row.flipped or row.response_a == row.response_b:
            continue
        names = {"a": row.model_a, "b": row.model_b}
        first, second = (names.get(one or "", "neither") for one in (row.first_order, row.second_order))
        replies = zip((row.model_a, row.model_b), row.replies, strict=False)
        yield ShownPair(
            f"{row.model_b} against {row.model_a}",
            row.prompt_id,
            request_text(row.prompt),
            Side(row.model_a, row.response_a),
            Side(row.model_b, row.response_b),
            f"the orders disagree: {first} wins if {row.model_a} is shown first, {second} if {row.model_b} is",
            [f"{name} shown first: {said(reply, row.read)}" for name, reply in replies],
        )


def _shown(name: str, pair: Pair, why: str) -> ShownPair:
    sides = [*(pair.evidence or []), None, None]
    return ShownPair(
        name,
        pair.prompt_id,
        request_text(pair.prompt),
        Side("chosen", text_of(pair.chosen), pair.chosen_score, found_of(sides[0])),
        Side("rejected", text_of(pair.rejected), pair.rejected_score, found_of(sides[1])),
        why,
    )
