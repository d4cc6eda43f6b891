"""Pairs of judgments that teach a model to judge (Meta-Rewarding, arXiv 2407.19594, section 2.2).

Each prompt contributes the answer on whose score the judge's replies differ most. A meta-judge compares all pairs of
these replies in both orders. The wins give each reply a strength, and the strongest reply is chosen against the
weakest. The prompt of such a pair is the judge's request.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, pvariance
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from console.errors import InputError
from judges.intervals.elo import components, elo
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, compare_into
from judges.parsing.verdict import How, score_of, stored
from judges.rubrics.rendering import fill, missing
from judges.rubrics.rubric import Rubric
from records import Comparison, Judgment, Message, Pair, Store, pair_of, prompt_key, text_of
from records.keys import content_key, derived_seed
from trainer.pairs.options import MetaOptions

META_RUBRIC = "meta_judge"
TIED = 1e-6
"""Closer strengths differ only by the tolerance of the optimiser."""


@dataclass(frozen=True)
class Subject:
    """An answer with the judge's different replies about it."""

    judgment: Judgment
    replies: tuple[str, ...]
    scores: tuple[float, ...]
    """The score of each reply."""

    @property
    def key(self) -> str:
        """The key that joins the comparisons of its replies."""
        judgment = self.judgment
        return content_key(judgment.prompt_id, judgment.prompt, judgment.response)

    def contests(self) -> Iterator[Contest]:
        """Yield all pairs of the replies."""
        judgment = self.judgment
        for reply, rival in combinations(self.replies, 2):
            yield Contest(judgment.prompt_id, judgment.prompt, reply, rival, "a", "b", None, judgment.response)


@dataclass(frozen=True)
class MetaCounts:
    """Outcomes of the prompts, which add up: n_prompts = n_pairs + n_too_few + n_unjudged + n_tied."""

    n_prompts: int
    n_pairs: int
    n_too_few: int
    """No answer to the prompt has two different replies with a verdict that are not too long."""
    n_unjudged: int
    """The meta-judge has no verdict on any two of the replies."""
    n_tied: int
    """No reply is stronger than another."""
    n_long: int
    """Replies with a verdict that are too long to be compared."""
    first_weight: float
    """The weight of a win from the first place. It is under 0.5 if the meta-judge prefers that place."""
    score_drift: float | None
    """The mean score of the chosen judgments minus that of the rejected ones. Training on a drift moves all scores,
    because the meta-judge should prefer the better judgment and not the higher score."""


def meta_pairs(
    judgments: Sequence[Judgment],
    rubric: Rubric,
    meta_judge: Judge,
    store: Store[Comparison],
    options: MetaOptions,
    title: str = "meta-judging",
) -> tuple[list[Pair], MetaCounts]:
    """Return at most one pair of judgments per prompt, in the order of the prompts, and the outcomes of all prompts.

    `judgments` were made with `rubric` by --read text or structured, and several samples. `store` keeps the
    comparisons, so that an interrupted call resumes. The scores of a pair are strengths, in log-odds. Raises InputError
    if the judgments have no text, or the rubrics do not fit.
    """
    _check(judgments, rubric, meta_judge)
    by_prompt: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        by_prompt.setdefault(prompt_key(judgment), []).append(judgment)
    candidates = [_subjects(answers_of_prompt, rubric, options.max_chars) for answers_of_prompt in by_prompt.values()]
    subjects = [max(answers, key=_variance) for answers, _ in candidates if answers]  # of equal variances the first
    contests = [contest for subject in subjects for contest in subject.contests()]
    comparisons = compare_into(store, meta_judge, contests, title)
    weight = first_place_weight(comparisons)
    by_subject: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        by_subject.setdefault(content_key(comparison.prompt_id, comparison.prompt, comparison.judged), []).append(
            comparison
        )
    outcomes = [_outcome(subject, rubric, by_subject[subject.key], weight) for subject in subjects]
    made = [outcome for outcome in outcomes if isinstance(outcome, _Made)]
    return [pairing.pair for pairing in made], MetaCounts(
        n_prompts=len(by_prompt),
        n_pairs=len(made),
        n_too_few=len(by_prompt) - len(subjects),
        n_unjudged=outcomes.count("unjudged"),
        n_tied=outcomes.count("tied"),
        n_long=sum(n_long for _, n_long in candidates),
        first_weight=weight,
        score_drift=fmean(pairing.drift for pairing in made) if made else None,
    )


def first_place_weight(comparisons: Iterable[Comparison]) -> float:
    """Return w_1 = wins in the second place / all wins. A win in the second place is worth w_2 = 1 - w_1.

    The place that a judge prefers thus counts for less (section 2.2). Without any winner it is 1/2.
    """
    first = second = 0
    for comparison in comparisons:
        first += (comparison.first_order == "a") + (comparison.second_order == "b")
        second += (comparison.first_order == "b") + (comparison.second_order == "a")
    return second / (first + second) if first + second else 0.5


def wins(replies: Sequence[str], comparisons: Iterable[Comparison], weight: float) -> NDArray[np.float64]:
    """Return the weighted wins of each reply over each other one, (N, N).

    A win in the first place counts `weight`, a win in the second 1 - `weight`. B_mn = w_1 [m wins, shown
    first] + w_2 [m wins, shown second] (section 2.2). A tie, which the paper leaves open, is worth 1/4 to both: half
    of the mean weight of a win. An order without a verdict is worth nothing to either.
    """
    place = {reply: index for index, reply in enumerate(replies)}
    wins_NN = np.zeros((len(replies), len(replies)))
    for comparison in comparisons:
        a, b = place[comparison.response_a], place[comparison.response_b]
        for winner, first in ((comparison.first_order, "a"), (comparison.second_order, "b")):
            if winner == "tie":
                wins_NN[a, b] += 0.25
                wins_NN[b, a] += 0.25
            elif winner is not None:
                wins_NN[(a, b) if winner == "a" else (b, a)] += weight if winner == first else 1 - weight
    return wins_NN


def mixed(pairs: Sequence[Pair], meta: Sequence[Pair], max_share: float, seed: int) -> list[Pair]:
    """Return `pairs` followed by pairs of `meta`, drawn by the seed, up to `max_share` of all pairs.

    Raises InputError if the share is not in [0, 1).
    """
    if not 0 <= max_share < 1:
        raise InputError(f"max_share must be at least 0 and below 1, not {max_share}")
    # m of n + m pairs are at most the share s if m <= s / (1 - s) n. The small number undoes float rounding.
    limit = int(max_share / (1 - max_share) * len(pairs) + 1e-9)
    order = sorted(range(len(meta)), key=lambda index: (derived_seed("meta share", seed, meta[index].prompt_id), index))
    return [*pairs, *(meta[index] for index in sorted(order[:limit]))]  # the drawn ones in their own order again


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
    largest = max(groups, key=groups.count)  # strengths of unconnected replies do not compare
    members = [index for index, group in enumerate(groups) if group == largest]
    strengths = elo(wins_NN).tolist()
    best, worst = max(members, key=strengths.__getitem__), min(members, key=strengths.__getitem__)
    if strengths[best] - strengths[worst] < TIED:
        return "tied"
    judgment = subject.judgment
    scores = strengths[best], strengths[worst]
    pair = pair_of(
        _request(judgment, rubric),
        judgment.prompt_id,
        subject.replies[best],
        subject.replies[worst],
        scores,
        judge=comparisons[0].judge,
    )
    return _Made(pair, subject.scores[best] - subject.scores[worst])


def _subjects(judgments: Sequence[Judgment], rubric: Rubric, max_chars: int) -> tuple[list[Subject], int]:
    """Return the answers with at least two different replies, and the number of replies that are too long."""
    subjects, n_long = [], 0
    for judgment in judgments:
        how = How(rubric, "structured" if judgment.read == "structured" else "text", rubric.aggregate)
        scores: dict[str, float] = {}
        for reply in stored(judgment.replies, judgment.finish_reasons):
            if reply.reply is None or (score := score_of([reply], how).value) is None:
                continue
            if len(reply.reply) > max_chars:
                n_long += 1
            else:
                scores[reply.reply] = score
        if len(scores) >= 2:
            subjects.append(Subject(judgment, tuple(scores), tuple(scores.values())))
    return subjects, n_long


def _variance(subject: Subject) -> float:
    """Return the variance of all scores that the judge gave the answer."""
    return pvariance([score for score in subject.judgment.scores if score is not None])


def _request(judgment: Judgment, rubric: Rubric) -> list[Message]:
    """Return the judge's request. A judgment does not store it, but the rubric and the judgment determine it."""
    read: Literal["text", "structured"] = "structured" if judgment.read == "structured" else "text"
    return fill(rubric, read, {"prompt": text_of(judgment.prompt), "response": judgment.response})


def _check(judgments: Sequence[Judgment], rubric: Rubric, meta_judge: Judge) -> None:
    if "judged" not in meta_judge.rubric.placeholders:
        raise InputError(f"the rubric '{meta_judge.rubric.name}' does not compare judgments; use {META_RUBRIC}")
    if reason := missing(rubric, {"prompt": "", "response": ""}):
        raise InputError(f"{reason}: a judgment does not store it")
    for judgment in judgments:
        if judgment.rubric != rubric.name:
            raise InputError(f"judgments by the rubric '{judgment.rubric}' are not by '{rubric.name}'")
        if judgment.read not in ("text", "structured"):
            raise InputError(f"judgments read by {judgment.read or 'nothing'} have no text to compare; use --read text")
