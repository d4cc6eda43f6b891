"""A labeller who sees the truth but likes longer answers too; that its labels are noisy, the run itself sees to."""

from collections.abc import Sequence

from experiments.world.world import quality
from judges.judging.pairwise import Contest
from records import Pair, Response, messages_of, text_of
from trainer.rlp.preferences import contests_of


def worth(instruction: str, answer: str, length_weight: float) -> float:
    """Return what an answer is worth to the labeller: its quality, and `length_weight` for each of its symbols."""
    return quality(instruction, answer) + length_weight * len(answer.split())


def labelled(answers: Sequence[Response], length_weight: float) -> list[Pair]:
    """Return a pair for each instruction whose two answers are not worth the same to the labeller."""
    pairs = (_pair(contest, length_weight) for contest in contests_of(answers))
    return [pair for pair in pairs if pair is not None]


def truly_ordered(pairs: Sequence[Pair]) -> tuple[int, float | None]:
    """Return of how many pairs the sides differ in quality, and the share of those that are ordered rightly."""
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
