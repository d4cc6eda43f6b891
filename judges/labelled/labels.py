"""Labels of answers and a judge's verdicts on the same answers, which an audit compares."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random
from statistics import fmean

from records.fields.rankings import places_by_text
from records.files import check_limit
from records.keys import derived_seed
from records.rows import Message, Winner, text_of
from records.shapes import UNKNOWN_MODEL

CODE: dict[Winner, int] = {"a": -1, "tie": 0, "b": 1}
ANSWER_KEYS = ("response_id", "answer_id")
"""Keys of an answer instead of a row, which several people's scores of the answer share."""
SWAPPED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True)
class LabelledPair:
    """Two answers to one prompt and the label of the better one."""

    id: str
    prompt: str | list[Message]
    response_a: str
    response_b: str
    label: Winner
    group: str
    """Rows of one group share a prompt. They are not independent, and are resampled together."""
    annotators: tuple[Winner, ...] = ()
    """One label per annotator, if the set has them."""
    model_a: str = UNKNOWN_MODEL
    model_b: str = UNKNOWN_MODEL
    meta: dict[str, str] = field(default_factory=dict)
    """Properties of the row in the set, such as its subset or category."""
    keys: dict[str, str] = field(default_factory=dict)
    """The row's keys in the file, by the name of the column."""
    place: int | None = None
    """The row's place in its file, from 0."""
    drawn: bool = False
    """Whether the sides a and b were drawn at random, because the set only names the better answer."""


@dataclass(frozen=True)
class LabelledScore:
    """One answer and its score."""

    id: str
    prompt: str | list[Message]
    response: str
    score: float
    group: str
    annotators: tuple[float, ...] = ()
    model: str = UNKNOWN_MODEL
    reference: str | None = None
    meta: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    place: int | None = None


@dataclass(frozen=True)
class LabelledSet:
    """Labelled rows of one kind, or for ranked answers both the pairs and the ranks they come from."""

    name: str
    format: str
    labeller: str
    """The source of the labels, usually humans."""
    pairs: tuple[LabelledPair, ...] = ()
    scores: tuple[LabelledScore, ...] = ()
    ranks: bool = False
    """The scores order the answers to one prompt and cannot be compared across prompts."""
    drawn: str = ""
    """The size of the sample in words, if the rows are a sample."""
    label: str | None = None
    """The column of the label."""
    codes: dict[str, Winner] | None = None
    """The meanings of the set's numbers, if they are unusual. They hold for its verdicts too."""
    from_one: bool = False
    """Whether the labels show that 1 is the first answer and 2 the second."""
    n_records: int = 0
    """The number of records of the file, bad ones included."""
    whole: bool = True
    """Whether every record of the file could be decoded."""


@dataclass(frozen=True)
class Verdict:
    """A judge's verdict on a pair, or the reason for its absence."""

    winner: Winner | None
    preference_b: float | None = None
    """The judge's probability, or share of its samples, for b."""
    margin: float | None = None
    """The score of b minus the score of a, if answers are scored one by one."""
    first_order: Winner | None = None
    """The winner with a shown first, in terms of a and b."""
    second_order: Winner | None = None
    """The winner with b shown first, in terms of a and b."""
    error: str | None = None
    mass: float | None = None
    """The probability of all choices together, the lower one of the two orders (log-probabilities)."""

    def swapped(self) -> "Verdict":
        """Return the same verdict for the pair with a and b exchanged."""
        return Verdict(
            self.winner and SWAPPED[self.winner],
            None if self.preference_b is None else 1 - self.preference_b,
            None if self.margin is None else -self.margin,
            # the orders change places too: another answer is now the first
            self.second_order and SWAPPED[self.second_order],
            self.first_order and SWAPPED[self.first_order],
            self.error,
            self.mass,
        )


@dataclass(frozen=True)
class Grade:
    """The judge's score for one answer, or the reason for its absence."""

    score: float | None
    error: str | None = None
    mass: float | None = None
    criteria: dict[str, float | None] | None = None
    """The score of each criterion, if the rubric has several."""


@dataclass(frozen=True)
class Within:
    """Two scored answers to one prompt as a pair."""

    pair: LabelledPair
    a: tuple[int, ...]
    """The places of the scores of a: several if several people scored it."""
    b: tuple[int, ...]

    def verdict(self, grades: Sequence[Grade]) -> Verdict:
        """Return the verdict of the grades, which are in the order of the scores."""
        return verdict_by_scores(*(mean_grade([grades[place] for place in places]) for places in (self.a, self.b)))


def from_preferred(pair_id: str, prompt: str | list[Message], chosen: str, rejected: str, group: str) -> LabelledPair:
    """Return a pair whose better answer is `a` or `b` by a coin seeded by the texts.

    Sets that name the better answer would otherwise have a single label, for which kappa and ECE are undefined.
    """
    if derived_seed("side", prompt, chosen, rejected) % 2:
        return LabelledPair(pair_id, prompt, rejected, chosen, "b", group, drawn=True)
    return LabelledPair(pair_id, prompt, chosen, rejected, "a", group, drawn=True)


def pairs_within(scores: Sequence[LabelledScore]) -> list[Within]:
    """Return every two answers of one group as a pair. Equal scores are ties.

    An answer that several people scored counts once, with their mean score, because no judge can order a text and
    itself.
    """
    groups: dict[str, list[int]] = {}
    for place, item in enumerate(scores):
        groups.setdefault(item.group, []).append(place)
    pairs = []
    for places in groups.values():
        # places within the group, which the next line turns into those in `scores`
        answers = places_by_text(_identity(scores[place]) for place in places)
        places_of_answers = [tuple(places[i] for i in answer) for answer in answers]
        pairs += [_pair(scores, first, second) for first, second in combinations(places_of_answers, 2)]
    return pairs


def n_distinct(scores: Sequence[LabelledScore]) -> int:
    """Return the number of distinct answers, which is lower than that of scores if several people scored one."""
    return len({(item.group, _identity(item)) for item in scores})


def _identity(item: LabelledScore) -> tuple[str, ...]:
    """Return the identity of an answer among those to its prompt: its text, or its key if it has no text."""
    if item.response.strip():
        return text_of(item.prompt), item.response.strip()
    key = next((item.keys[name] for name in ANSWER_KEYS if name in item.keys), item.id)
    return key, item.model, *(part for pair in sorted(item.meta.items()) for part in pair)


def _pair(scores: Sequence[LabelledScore], i: tuple[int, ...], j: tuple[int, ...]) -> Within:
    # sides by a coin: in a file sorted by score a would always win
    if derived_seed("side", scores[i[0]].id, scores[j[0]].id) % 2:
        i, j = j, i
    a, b = scores[i[0]], scores[j[0]]
    score_a, score_b = (fmean(scores[place].score for place in places) for places in (i, j))
    label: Winner = "tie" if score_a == score_b else "a" if score_a > score_b else "b"
    pair = LabelledPair(
        f"{a.id}/{b.id}", a.prompt, a.response, b.response, label, a.group, (), a.model, b.model, dict(a.meta)
    )
    return Within(pair, i, j)


def mean_grade(grades: Sequence[Grade]) -> Grade:
    """Return the mean of a judge's grades of one answer, as of its samples."""
    scored = [grade for grade in grades if grade.score is not None]
    if len(scored) < 2:
        return (scored or grades)[0]
    mass = min((grade.mass for grade in scored if grade.mass is not None), default=None)  # the least sure one counts
    return Grade(fmean(grade.score for grade in scored if grade.score is not None), mass=mass)


def verdict_by_scores(a: Grade, b: Grade) -> Verdict:
    """Return the verdict of two scores: the higher one wins, equal ones tie."""
    mass = min((grade.mass for grade in (a, b) if grade.mass is not None), default=None)
    if a.score is None or b.score is None:
        return Verdict(None, error=a.error or b.error or "no score", mass=mass)
    winner: Winner = "tie" if a.score == b.score else "a" if a.score > b.score else "b"
    return Verdict(winner, margin=b.score - a.score, mass=mass)


def sampled(labelled: LabelledSet, limit: int | None, seed: int) -> LabelledSet:
    """Return `limit` random rows of the set in its order, or `limit` random prompts of ranked answers."""
    check_limit(limit)
    if labelled.ranks or not labelled.pairs:
        # whole prompts, because a part of a ranking is another ranking
        groups = list(dict.fromkeys(item.group for item in labelled.scores))
        drawn_groups = _drawn(groups, limit, seed)
        if drawn_groups is None:
            return labelled
        pairs = tuple(pair for pair in labelled.pairs if pair.group in drawn_groups)
        scores = tuple(item for item in labelled.scores if item.group in drawn_groups)
        drawn = f"{len(drawn_groups)} of {len(groups)} prompts, drawn with seed {seed}"
        return replace(labelled, pairs=pairs, scores=scores, drawn=drawn)
    positions = _drawn([str(index) for index in range(len(labelled.pairs))], limit, seed)
    if positions is None:
        return labelled
    pairs = tuple(pair for index, pair in enumerate(labelled.pairs) if str(index) in positions)
    return replace(labelled, pairs=pairs, drawn=f"{len(pairs)} of {len(labelled.pairs)} pairs, drawn with seed {seed}")


def _drawn(keys: list[str], limit: int | None, seed: int) -> set[str] | None:
    if limit is None or limit >= len(keys):
        return None
    return set(Random(derived_seed(seed, "sample")).sample(keys, limit))
