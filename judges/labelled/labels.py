"""What an audit compares: labels that someone gave, and what a judge said about the same answers."""

from collections import Counter
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
"""Keys that name an answer rather than a row: two people's scores of it share them."""
SWAPPED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True)
class LabelledPair:
    """Two answers to one prompt and which of them is better, after those who labelled them."""

    id: str
    prompt: str | list[Message]
    response_a: str
    response_b: str
    label: Winner
    group: str
    """Rows that share it are not independent: they have one prompt, and are resampled together."""
    annotators: tuple[Winner, ...] = ()
    """One label each, where they are known apart."""
    model_a: str = UNKNOWN_MODEL
    model_b: str = UNKNOWN_MODEL
    meta: dict[str, str] = field(default_factory=dict)
    """What the set says about the row: its subset, its category."""
    keys: dict[str, str] = field(default_factory=dict)
    """What the file numbers its rows with, by the name of the column."""
    place: int | None = None
    """The row's place in its file, from 0."""
    drawn: bool = False
    """Whether a coin says which answer is a, because the set only says which is the better one."""


@dataclass(frozen=True)
class LabelledScore:
    """One answer and the score it was given."""

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
    """Who gave the labels: humans, as a rule."""
    pairs: tuple[LabelledPair, ...] = ()
    scores: tuple[LabelledScore, ...] = ()
    ranks: bool = False
    """The scores order the answers to one prompt and cannot be compared across prompts."""
    drawn: str = ""
    """How many rows of the set these are, where they are a sample."""
    label: str | None = None
    """The column of the label."""
    codes: dict[str, Winner] | None = None
    """What the set's own numbers mean, where it is not what they usually mean; its verdicts have them too."""
    from_one: bool = False
    """Whether its own labels show that 1 is the first answer and 2 the second."""
    n_records: int = 0
    """How many records the file has, bad ones too."""
    whole: bool = True
    """Whether every record of the file could be decoded."""


@dataclass(frozen=True)
class Verdict:
    """What the judge said about a pair, or why it said nothing."""

    winner: Winner | None
    preference_b: float | None = None
    """The judge's probability, or share of its samples, for b."""
    margin: float | None = None
    """The score of b less the score of a, where answers are scored one by one."""
    first_order: Winner | None = None
    """With a shown first; in terms of a and b."""
    second_order: Winner | None = None
    """With b shown first; in terms of a and b."""
    error: str | None = None
    mass: float | None = None
    """The probability of the choices together, in the order where it is less (log-probabilities)."""

    def swapped(self) -> "Verdict":
        """Return the same verdict for the pair with a and b exchanged."""
        return Verdict(
            self.winner and SWAPPED[self.winner],
            None if self.preference_b is None else 1 - self.preference_b,
            None if self.margin is None else -self.margin,
            self.second_order and SWAPPED[self.second_order],
            self.first_order and SWAPPED[self.first_order],
            self.error,
            self.mass,
        )


@dataclass(frozen=True)
class Grade:
    """The judge's score for one answer, or why there is none."""

    score: float | None
    error: str | None = None
    mass: float | None = None


@dataclass(frozen=True)
class Within:
    """Two scored answers to one prompt as a pair."""

    pair: LabelledPair
    a: tuple[int, ...]
    """The places of the scores of a: several where several people scored it."""
    b: tuple[int, ...]

    def verdict(self, grades: Sequence[Grade]) -> Verdict:
        """Return the verdict that the grades come to, which stand in the order of the scores."""
        return verdict_by_scores(*(mean_grade([grades[place] for place in places]) for places in (self.a, self.b)))


def majority(labels: Sequence[Winner]) -> Winner:
    """Return the label that most give; where no one label has the most votes it is a tie."""
    counts = Counter(labels).most_common(2)
    return "tie" if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def from_preferred(pair_id: str, prompt: str | list[Message], chosen: str, rejected: str, group: str) -> LabelledPair:
    """Return a pair whose better answer is `a` or `b` by a coin that the texts fix.

    Sets that name the better answer would otherwise have one label only, for which kappa and ECE say nothing.
    """
    if derived_seed("side", prompt, chosen, rejected) % 2:
        return LabelledPair(pair_id, prompt, rejected, chosen, "b", group, drawn=True)
    return LabelledPair(pair_id, prompt, chosen, rejected, "a", group, drawn=True)


def pairs_within(scores: Sequence[LabelledScore]) -> list[Within]:
    """Return every two answers of one group as a pair; equal scores are ties.

    An answer that several people scored is one, with the mean of their scores: no judge can order a text and itself.
    """
    groups: dict[str, list[int]] = {}
    for place, item in enumerate(scores):
        groups.setdefault(item.group, []).append(place)
    found = []
    for places in groups.values():
        answers = places_by_text(_identity(scores[place]) for place in places)
        own = [tuple(places[i] for i in answer) for answer in answers]
        found += [_pair(scores, one, other) for one, other in combinations(own, 2)]
    return found


def n_distinct(scores: Sequence[LabelledScore]) -> int:
    """Return how many answers the scores are of: fewer where several people scored one."""
    return len({(item.group, _identity(item)) for item in scores})


def _identity(item: LabelledScore) -> tuple[str, ...]:
    """Return what tells an answer from the others to its prompt: its text, or where there is none its key."""
    if item.response.strip():
        return text_of(item.prompt), item.response.strip()
    own = next((item.keys[name] for name in ANSWER_KEYS if name in item.keys), item.id)
    return own, item.model, *(part for pair in sorted(item.meta.items()) for part in pair)


def _pair(scores: Sequence[LabelledScore], i: tuple[int, ...], j: tuple[int, ...]) -> Within:
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
    """Return what a judge's grades of one answer come to: their mean, as of its samples."""
    told = [grade for grade in grades if grade.score is not None]
    if len(told) < 2:
        return (told or grades)[0]
    mass = min((grade.mass for grade in told if grade.mass is not None), default=None)
    return Grade(fmean(grade.score for grade in told if grade.score is not None), mass=mass)


def verdict_by_scores(a: Grade, b: Grade) -> Verdict:
    """Return the verdict that two scores come to: the higher is the better, equal ones tie."""
    mass = min((grade.mass for grade in (a, b) if grade.mass is not None), default=None)
    if a.score is None or b.score is None:
        return Verdict(None, error=a.error or b.error or "no score", mass=mass)
    winner: Winner = "tie" if a.score == b.score else "a" if a.score > b.score else "b"
    return Verdict(winner, margin=b.score - a.score, mass=mass)


def sampled(labelled: LabelledSet, limit: int | None, seed: int) -> LabelledSet:
    """Return `limit` random rows of the set, in its order; of ranked answers `limit` random prompts."""
    check_limit(limit)
    if labelled.ranks or not labelled.pairs:
        groups = list(dict.fromkeys(item.group for item in labelled.scores))
        kept = _drawn(groups, limit, seed)
        if kept is None:
            return labelled
        pairs = tuple(pair for pair in labelled.pairs if pair.group in kept)
        scores = tuple(item for item in labelled.scores if item.group in kept)
        drawn = f"{len(kept)} of {len(groups)} prompts, drawn with seed {seed}"
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
