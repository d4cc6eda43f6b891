"""Preference pairs from judgments: the best answer to a prompt against the worst (Self-Rewarding, section 2.3)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from records import Judgment, Message, Pair, messages_of, pair_of, prompt_key
from records.disk import DiskRows, DiskSet, GroupedRows
from records.keys import content_key
from trainer.pairs.confidence import confidence_of
from trainer.pairs.filters import Checks, Objection, open_checks, rubric_of, score_step, widest_of, within_share
from trainer.pairs.options import PairOptions, check_pair_options

Pools = tuple[Sequence[Judgment], Sequence[Judgment]]
"""The answers to one prompt that may be chosen, and those that may be rejected."""
Made = list[Pair] | DiskRows[Pair]
"""Pairs in memory or on disk."""
Lost = Literal["too few", "tied", "worse", "same text", "near", "outvoted"] | Objection
"""Why a prompt gives no pair. Each reason is a count of PairCounts."""


@dataclass(frozen=True)
class PairCounts:
    """Outcomes of the prompts.

    They add up: n_prompts = n_pairs + n_tied + n_worse + n_same_text + n_near + n_too_few + n_refuted + n_disagreed +
    n_outvoted + n_narrow + n_capped.
    """

    n_prompts: int
    n_pairs: int
    n_tied: int
    """The best and the worst score are equal."""
    n_too_few: int
    """Fewer than two answers have a score and a text."""
    n_refuted: int
    """The evidence is against the pair."""
    n_unscored: int
    """Answers without a score or without a text, which are never chosen and never rejected."""
    n_disagreed: int = 0
    """The second judge orders the two the other way, scores them equal, or has no verdict on one of them."""
    n_outvoted: int = 0
    """People prefer the rejected answer, or neither."""
    n_capped: int = 0
    """The chosen answer's score is too frequent."""
    n_overruled: int = 0
    """Pairs, counted in n_pairs, whose sides people swapped."""
    n_near: int = 0
    """The scores differ by no more than min_margin, which is above 0."""
    n_narrow: int = 0
    """The margin is not among the widest."""
    n_same_text: int = 0
    """The best and the worst answer are the same text up to surrounding space, with two scores."""
    n_worse: int = 0
    """With rejected answers of another model: its worst answer scores above the best answer that may be chosen."""

    @property
    def n_filtered(self) -> int:
        """Prompts that gave no pair for another reason than a tie."""
        return self.n_prompts - self.n_pairs - self.n_tied


def make_pairs(judgments: Sequence[Judgment], options: PairOptions, seed: int = 0) -> tuple[list[Pair], PairCounts]:
    """Return at most one pair per prompt, in the order of the prompts, and the outcomes of all prompts.

    Among equal scores the answer with the lowest spread is taken, then the first one. Raises InputError if the
    judgments are of two judges or rubrics, because their scores do not compare.
    """
    by_prompt: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        by_prompt.setdefault(prompt_key(judgment), []).append(judgment)
    prompts = ((answers, answers) for answers in by_prompt.values())
    pairs, counts = pairs_between(prompts, judgments, options, seed, [])
    return list(pairs), counts


def make_pairs_on_disk(judgments: GroupedRows[Judgment], options: PairOptions, seed: int) -> tuple[Made, PairCounts]:
    """Return the same for judgments on disk by their `prompt_key`, with the pairs on disk."""
    prompts = ((answers, answers) for answers in judgments.groups())
    return pairs_between(prompts, judgments, options, seed, DiskRows(Pair))


def pairs_between(
    prompts: Iterable[Pools], judgments: Iterable[Judgment], options: PairOptions, seed: int, made: Made
) -> tuple[Made, PairCounts]:
    """Return at most one pair per prompt's pools. `judgments` are those of all pools, and are read several times.

    All pairs that pass the filters of a single pair are put into `made`, which is empty.
    """
    check_pair_options(options)
    judges, n_unscored = set(), 0
    for judgment in judgments:
        judges.add(judgment.judge)
        n_unscored += not _can_be_learnt(judgment)
    if len(judges) > 1:
        raise InputError(f"the judgments are of {len(judges)} judges or rubrics, whose scores do not compare: use one")
    checks = open_checks(options.evidence, options.second_judge, options.votes, judgments)
    reasons: Counter[Lost] = Counter()
    for pools in prompts:
        if isinstance(outcome := _outcome(pools, checks, options), Pair):
            made.append(outcome)
        else:
            reasons[outcome] += 1
    if checks.votes is not None:
        checks.votes.say()
    wide: Made = made
    if options.widest < 1:
        wide = _like(made, widest_of(made, options.widest, seed))
    pairs = wide
    if options.max_score_share < 1 and wide:
        pairs = _like(made, within_share(wide, options.max_score_share, score_step(judgments), seed))
    return pairs, PairCounts(
        n_prompts=len(made) + reasons.total(),
        n_pairs=len(pairs),
        n_tied=reasons["tied"],
        n_too_few=reasons["too few"],
        n_refuted=reasons["refuted"],
        n_unscored=n_unscored,
        n_disagreed=reasons["disagreed"],
        n_outvoted=reasons["outvoted"],
        n_capped=len(wide) - len(pairs),
        # Only a vote makes a chosen answer with the lower score.
        n_overruled=sum((pair.margin or 0.0) < 0 for pair in pairs),
        n_near=reasons["near"],
        n_narrow=len(made) - len(wide),
        n_same_text=reasons["same text"],
        n_worse=reasons["worse"],
    )


def _like(made: Made, pairs: Iterator[Pair]) -> Made:
    """Return the pairs in a new place of the same kind."""
    kept: Made = [] if isinstance(made, list) else DiskRows(Pair)
    for pair in pairs:
        kept.append(pair)
    return kept


def best_and_worst(tops: Sequence[Judgment], bottoms: Sequence[Judgment], rho: float) -> tuple[Judgment, Judgment]:
    """Return the chosen and the rejected answer. All have a score, and the best is above the worst.

    Chosen is the shortest response with S >= (1 - rho) S_max + rho S_min, rejected the longest with
    S <= (1 - rho) S_min + rho S_max (Meta-Rewarding, arXiv 2407.19594, section 2.1), in characters. Answers of one
    length, or all answers if rho = 0, are ordered by the better score, then the lower spread, then their place.
    """
    high, low = max(map(_score, tops)), min(map(_score, bottoms))
    good = [judgment for judgment in tops if _score(judgment) >= (1 - rho) * high + rho * low]
    bad = [judgment for judgment in bottoms if _score(judgment) <= (1 - rho) * low + rho * high]
    sign = 1 if rho else 0  # 0 takes the length out of the order below
    chosen = min(good, key=lambda judgment: (sign * len(judgment.response), -_score(judgment), _spread(judgment)))
    rejected = min(bad, key=lambda judgment: (-sign * len(judgment.response), _score(judgment), _spread(judgment)))
    return chosen, rejected


def positive_chats(judgments: Sequence[Judgment], min_score: float | None = None) -> list[list[Message]]:
    """Return a chat per answer with a perfect score, to fine-tune on instead of pairs. Equal chats count once."""
    return list(each_positive_chat(judgments, min_score)) if judgments else []


def each_positive_chat(judgments: Iterable[Judgment], min_score: float | None = None) -> Iterator[list[Message]]:
    """Yield a chat per answer with a perfect score, of at least one judgment. Equal chats count once.

    This is the paper's ablation without negative examples (Self-Rewarding, section 3.2). Perfect is the rubric's
    highest score, or `min_score` and above, because an expected score hardly ever reaches the end of the scale.
    """
    least = rubric_of(judgments).scale[1] if min_score is None else min_score
    seen = DiskSet()
    for judgment in judgments:
        if judgment.score is None or judgment.score < least or not judgment.response.strip():
            continue
        if seen.add(content_key(prompt_key(judgment), judgment.response)):
            yield [*messages_of(judgment.prompt), {"role": "assistant", "content": judgment.response}]


def _outcome(pools: Pools, checks: Checks, options: PairOptions) -> Pair | Lost:
    """Return the pair of one prompt, or the reason for its absence."""
    tops, bottoms = (list(filter(_can_be_learnt, pool)) for pool in pools)
    # With one pool for both sides, one answer cannot be chosen and rejected.
    if not tops or not bottoms or (pools[0] is pools[1] and len(tops) < 2):
        return "too few"
    best, worst = max(map(_score, tops)), min(map(_score, bottoms))
    if best <= worst:
        return "tied" if best == worst else "worse"
    chosen, rejected = best_and_worst(tops, bottoms, options.rho)
    if chosen.response.strip() == rejected.response.strip():
        return "same text"
    margin = _score(chosen) - _score(rejected)
    if margin <= options.min_margin:
        return "near" if margin > 0 else "tied"
    match checks.preferred(chosen, rejected):
        case "chosen":
            return _pair(chosen, rejected, 1.0, 1.0)
        case "rejected" if options.on_vote == "overrule":
            return _pair(rejected, chosen, 1.0, 1.0)
        case "rejected" | "neither":
            return "outvoted"
    if objection := checks.objection(chosen, rejected):
        return objection
    confidence = confidence_of(chosen, rejected)
    weight = 1.0 if options.weight == "one" or confidence is None else max(0.0, 2 * confidence - 1)
    return _pair(chosen, rejected, confidence, weight)


def _can_be_learnt(judgment: Judgment) -> bool:
    """Return whether an answer has a score and a text. An empty answer teaches nothing, whatever its score."""
    return judgment.score is not None and bool(judgment.response.strip())


def _score(judgment: Judgment) -> float:
    assert judgment.score is not None
    return judgment.score


def _spread(judgment: Judgment) -> float:
    return float("inf") if judgment.spread is None else judgment.spread


def _pair(chosen: Judgment, rejected: Judgment, confidence: float | None, weight: float) -> Pair:
    return pair_of(
        chosen.prompt,
        chosen.prompt_id,
        chosen.response,
        rejected.response,
        (_score(chosen), _score(rejected)),
        confidence=confidence,
        weight=weight,
        judge=chosen.judge,
        evidence=[chosen.evidence, rejected.evidence] if chosen.evidence and rejected.evidence else None,
        chosen_finish_reason=chosen.response_finish_reason,
        rejected_finish_reason=rejected.response_finish_reason,
    )
