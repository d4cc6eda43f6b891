"""A labeller who sees the truth but also likes longer answers. The run itself adds noise to the labels."""

from collections.abc import Sequence

from experiments.world.world import quality
from judges.judging.pairwise import Contest
from records import Pair, Response, messages_of, text_of
from trainer.rlp.preferences import contests_of


def worth(instruction: str, answer: str, length_weight: float) -> float:
    """Return an answer's worth to the labeller: its quality plus `length_weight` per symbol."""
    return quality(instruction, answer) + length_weight * len(answer.split())


def labelled(answers: Sequence[Response], length_weight: float) -> list[Pair]:
    """Return a pair for each instruction whose two answers differ in worth to the labeller."""
    pairs = (_pair(contest, length_weight) for contest in contests_of(answers))
    return [pair for pair in pairs if pair is not None]


def truly_ordered(pairs: Sequence[Pair]) -> tuple[int, float | None]:
    """Return the number of pairs whose sides differ in quality, and the share of them in the true order."""
    gains = [_quality(pair, pair.chosen) - _quality(pair, pair.rejected) for pair in pairs]
    unequal = [gain > 0 for gain in gains if gain]
    return len(unequal), sum(unequal) / len(unequal) if unequal else None


def _pair(contest: Contest, length_weight: float) -> Pair | None:
    instruction = text_of(contest.prompt)
    sides = sorted(
        (contest.response_a, contest.response_b), key=lambda answer: worth(instruction, answer, length_weight)
    )
    low, high = (worth(instruction, answer, length_weight) for answer in sides)
    if low == high:
        return None
    rejected, chosen = ([{"role": "assistant", "content": answer}] for answer in sides)
    return Pair(
        prompt=messages_of(contest.prompt),
        chosen=chosen,
        rejected=rejected,
        prompt_id=contest.prompt_id,
        chosen_score=high,
        rejected_score=low,
        margin=high - low,
        judge="labeller",
    )


def _quality(pair: Pair, side: list[dict[str, str]]) -> float:
    return quality(text_of(pair.prompt), side[0]["content"])
