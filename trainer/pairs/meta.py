"""Pairs of judgments, so that a model learns to judge as well (Meta-Rewarding, arXiv 2407.19594, section 2.2).

Of each prompt the answer is taken on whose score the judge's own replies differ most. A meta-judge compares all pairs
of these replies in both orders; their strengths follow from who beat whom, and the strongest reply is chosen against
the weakest. The prompt of such a pair is the judge's own request.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, pvariance
from typing import TYPE_CHECKING, Literal

from console.errors import InputError
from console.ranges import Count, ShareBelow1
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, compare_into
from judges.parsing.verdict import How, score_of, stored
from judges.rubrics.rendering import fill, missing
from judges.rubrics.rubric import Rubric
from records import Comparison, Judgment, Message, Pair, Store, pair_of, prompt_key, text_of
from records.keys import content_key, derived_seed
from trainer.pairs.elo import components, elo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

META_RUBRIC = "meta_judge"
TIED = 1e-6
"""Strengths that are closer differ only in how far the search for them went."""


@dataclass(frozen=True)
class MetaOptions:
    """Which judgments are compared, and how many of their pairs are trained on."""

    max_chars: Count = 2000
    """Drop a longer judgment before it is compared; meta-judges like length."""
    max_share: ShareBelow1 = 0.15
    """The largest share of pairs of judgments in the training set; with more, judges came to give every answer the
    highest score (NVIDIA's report on their implementation)."""


@dataclass(frozen=True)
class Subject:
    """An answer with the judge's different replies about it."""

    judgment: Judgment
    replies: tuple[str, ...]
    scores: tuple[float, ...]
    """What each reply comes to."""

    @property
    def key(self) -> str:
        """What the comparisons of its replies are found by."""
        row = self.judgment
        return content_key(row.prompt_id, row.prompt, row.response)

    def contests(self) -> Iterator[Contest]:
        """Yield all pairs of the replies."""
        row = self.judgment
        for one, other in combinations(self.replies, 2):
            yield Contest(row.prompt_id, row.prompt, one, other, "a", "b", None, row.response)


@dataclass(frozen=True)
class MetaCounts:
    """What became of the prompts; they add up: n_prompts = n_pairs + n_too_few + n_unjudged + n_tied."""

    n_prompts: int
    n_pairs: int
    n_too_few: int
    """No answer to the prompt has two different replies with a verdict that are not too long."""
    n_unjudged: int
    """The meta-judge has no verdict on any two of the replies."""
    n_tied: int
    """No reply is stronger than another."""
    n_long: int
    """Replies with a verdict that are too long; they are not compared."""
    first_weight: float
    """What a win from the first place is worth; under 0.5 where the meta-judge prefers that place."""
    score_drift: float | None
    """How much higher the chosen judgments' scores are than the rejected ones', on average. Trained on, it moves all
    scores: the meta-judge should prefer the better judgment and not the higher score."""


def meta_pairs(
    judgments: Sequence[Judgment],
    rubric: Rubric,
    meta_judge: Judge,
    store: Store[Comparison],
    options: MetaOptions,
    title: str = "meta-judging",
) -> tuple[list[Pair], MetaCounts]:
    """Return at most one pair of judgments a prompt, in the order of the prompts, and what became of the others.

    `judgments` were made with `rubric` by --read text or structured, and several samples; `store` keeps the
    comparisons, so that a stopped call goes on. The scores of a pair are strengths, in log-odds. Raises InputError
    where the judgments have no text, or the rubrics do not fit.
    """
    _check(judgments, rubric, meta_judge)
    by_prompt: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        by_prompt.setdefault(prompt_key(judgment), []).append(judgment)
    found = [_subjects(rows, rubric, options.max_chars) for rows in by_prompt.values()]
    subjects = [max(some, key=_variance) for some, _ in found if some]  # the first of those that vary alike
    contests = [contest for subject in subjects for contest in subject.contests()]
    comparisons = compare_into(store, meta_judge, contests, title)
    weight = first_place_weight(comparisons)
    asked: dict[str, list[Comparison]] = {}
    for row in comparisons:
        asked.setdefault(content_key(row.prompt_id, row.prompt, row.judged), []).append(row)
    outcomes = [_outcome(subject, rubric, asked[subject.key], weight) for subject in subjects]
    made = [outcome for outcome in outcomes if isinstance(outcome, _Made)]
    return [one.pair for one in made], MetaCounts(
        n_prompts=len(by_prompt),
        n_pairs=len(made),
        n_too_few=len(by_prompt) - len(subjects),
        n_unjudged=outcomes.count("unjudged"),
        n_tied=outcomes.count("tied"),
        n_long=sum(n_long for _, n_long in found),
        first_weight=weight,
        score_drift=fmean(one.drift for one in made) if made else None,
    )


def first_place_weight(comparisons: Iterable[Comparison]) -> float:
    """Return w_1 = wins in the second place / all wins; a win in the second place is worth w_2 = 1 - w_1.

    A judge that prefers the first place so gives it away for less (section 2.2). With no winner at all it is 1/2.
    """
    first = second = 0
    for row in comparisons:
        first += (row.first_order == "a") + (row.second_order == "b")
        second += (row.first_order == "b") + (row.second_order == "a")
    return second / (first + second) if first + second else 0.5


def wins(replies: Sequence[str], comparisons: Iterable[Comparison], weight: float) -> "NDArray[np.float64]":
    """Return how much each reply beat each other, (N, N): `weight` for a win in the first place, 1 - it in the second.

    B_mn = w_1 [m wins, shown first] + w_2 [m wins, shown second] (section 2.2). A tie, which the paper leaves open, is
    worth 1/4 to both: half of what a win is worth on average. An order without a verdict is worth nothing to anyone.
    """
    import numpy as np

    place = {reply: index for index, reply in enumerate(replies)}
    wins_NN = np.zeros((len(replies), len(replies)))
    for row in comparisons:
        a, b = place[row.response_a], place[row.response_b]
        for winner, first in ((row.first_order, "a"), (row.second_order, "b")):
            if winner == "tie":
                wins_NN[a, b] += 0.25
                wins_NN[b, a] += 0.25
            elif winner is not None:
                wins_NN[(a, b) if winner == "a" else (b, a)] += weight if winner == first else 1 - weight
    return wins_NN


def mixed(pairs: Sequence[Pair], meta: Sequence[Pair], max_share: float, seed: int) -> list[Pair]:
    """Return `pairs`, and after them as many of `meta`, drawn by the seed, as make up at most `max_share` of all.

    Raises InputError where the share is not in [0, 1).
    """
    if not 0 <= max_share < 1:
        raise InputError(f"max_share must be at least 0 and below 1, not {max_share}")
    limit = int(max_share / (1 - max_share) * len(pairs) + 1e-9)
    order = sorted(range(len(meta)), key=lambda index: (derived_seed("meta share", seed, meta[index].prompt_id), index))
    return [*pairs, *(meta[index] for index in sorted(order[:limit]))]


@dataclass(frozen=True)
class _Made:
    pair: Pair
    drift: float


def _outcome(
    subject: Subject, rubric: Rubric, comparisons: Sequence[Comparison], weight: float
) -> "_Made | Literal['unjudged', 'tied']":
    wins_NN = wins(subject.replies, comparisons, weight)
    if not wins_NN.any():
        return "unjudged"
    groups = components(wins_NN).tolist()
    largest = max(groups, key=groups.count)  # replies that no comparison leads between have strengths of their own
    members = [index for index, group in enumerate(groups) if group == largest]
    strengths = elo(wins_NN).tolist()
    best, worst = max(members, key=strengths.__getitem__), min(members, key=strengths.__getitem__)
    if strengths[best] - strengths[worst] < TIED:
        return "tied"
    row = subject.judgment
    scores = strengths[best], strengths[worst]
    pair = pair_of(
        _request(row, rubric),
        row.prompt_id,
        subject.replies[best],
        subject.replies[worst],
        scores,
        judge=comparisons[0].judge,
    )
    return _Made(pair, subject.scores[best] - subject.scores[worst])


def _subjects(rows: Sequence[Judgment], rubric: Rubric, max_chars: int) -> tuple[list[Subject], int]:
    """Return the answers with at least two different replies, and how many replies are too long."""
    found, n_long = [], 0
    for row in rows:
        how = How(rubric, "structured" if row.read == "structured" else "text", rubric.aggregate)
        scores: dict[str, float] = {}
        for said in stored(row.replies, row.finish_reasons):
            if said.reply is None or (score := score_of([said], how).value) is None:
                continue
            if len(said.reply) > max_chars:
                n_long += 1
            else:
                scores[said.reply] = score
        if len(scores) >= 2:
            found.append(Subject(row, tuple(scores), tuple(scores.values())))
    return found, n_long


def _variance(subject: Subject) -> float:
    """Return the variance of all scores that the judge gave the answer."""
    return pvariance([score for score in subject.judgment.scores if score is not None])


def _request(row: Judgment, rubric: Rubric) -> list[Message]:
    """Return what the judge was asked; the judgment does not keep it, but the rubric and the row fix it."""
    read: Literal["text", "structured"] = "structured" if row.read == "structured" else "text"
    return fill(rubric, read, {"prompt": text_of(row.prompt), "response": row.response})


def _check(judgments: Sequence[Judgment], rubric: Rubric, meta_judge: Judge) -> None:
    if "judged" not in meta_judge.rubric.placeholders:
        raise InputError(f"the rubric '{meta_judge.rubric.name}' does not compare judgments; use {META_RUBRIC}")
    if reason := missing(rubric, {"prompt": "", "response": ""}):
        raise InputError(f"{reason}: a judgment does not keep it")
    for row in judgments:
        if row.rubric != rubric.name:
            raise InputError(f"judgments by the rubric '{row.rubric}' are not by '{rubric.name}'")
        if row.read not in ("text", "structured"):
            raise InputError(f"judgments read by {row.read or 'nothing'} have no text to compare; use --read text")
