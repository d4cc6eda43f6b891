"""Style control of one category: its answers' features, the official scores and ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from console.progress import say
from evals.arena_hard.files.answers import Answer
from evals.arena_hard.options import Style, Unit
from evals.arena_hard.scoring.battles import Judged, totals
from evals.arena_hard.scoring.exact import Styled, styled_shares
from evals.arena_hard.scoring.official import Battles, Score, styled_scores
from evals.arena_hard.scoring.style import FEATURES, Floats32, differences, numbers_of, unit_of
from judges.intervals.bootstrap import resampled

AnswersOf = Mapping[str, Mapping[str, Answer]]
"""The answers of each model by the ids of their questions."""


@dataclass(frozen=True)
class Settings:
    """The settings of the scores."""

    style: tuple[Style, ...] = ()
    """The features to control for. Empty is all."""
    unit: Unit = "auto"
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Controlled:
    """Style-controlled scores by model, or the reason why there are none."""

    official: Mapping[str, Score] = field(default_factory=dict)
    exact: Mapping[str, Styled] = field(default_factory=dict)
    features: tuple[Style, ...] = ()
    unit: Unit = "auto"
    coefficients: dict[str, float] = field(default_factory=dict)
    problem: str | None = None


def controlled(scored: Sequence[Judged], answers: AnswersOf, settings: Settings) -> Controlled:
    """Return the style-controlled scores of a category from its prompts with a verdict."""
    names = {name for prompt in scored for name in (prompt.model, prompt.baseline)}
    if not scored:
        return Controlled(problem="no prompt has a verdict")
    if missing := sorted(names - answers.keys()):
        return Controlled(problem=f"there are no answers of {', '.join(missing[:3])}: give them with --answers")
    pairs = [(answers[p.model].get(p.uid), answers[p.baseline].get(p.uid)) for p in scored]
    both = [(model, baseline) for model, baseline in pairs if model is not None and baseline is not None]
    if len(both) < len(pairs):
        return Controlled(
            problem=f"{len(pairs) - len(both)} of {len(pairs)} judged answers are not in the answers' files"
        )
    unit = unit_of(settings.unit, [answer.counts for pair in both for answer in pair])
    differences_NF = differences(*([_numbers(pair[side], unit) for pair in both] for side in (0, 1)))
    features = _usable(settings.style or FEATURES, differences_NF, scored[0].category)
    if not features:
        return Controlled(problem="all answers are of one style")
    chosen_NF = differences_NF[:, [FEATURES.index(feature) for feature in features]]
    official, _ = styled_scores(_battles(scored, chosen_NF), settings.seed)
    weights_BN = resampled([prompt.uid for prompt in scored], settings.resamples, settings.seed)
    exact, coefficients = styled_shares([p.model for p in scored], totals(scored), chosen_NF, weights_BN)
    return Controlled(official, exact, features, unit, dict(zip(features, coefficients, strict=True)))


def _usable(features: Sequence[Style], differences_NF: Floats32, category: str) -> tuple[Style, ...]:
    """Return the features that differ between prompts, in the order of FEATURES. The others say nothing."""
    usable = [f for f in FEATURES if f in features and np.ptp(differences_NF[:, FEATURES.index(f)]) > 0]
    for feature in features:
        if feature not in usable:
            say(f"{category}: {feature}: the same difference in every prompt, so it is not controlled for")
    return tuple(usable)


def _numbers(answer: Answer, unit: Unit) -> list[int]:
    return numbers_of(answer.text or "", answer.counts, unit)


def _battles(scored: Sequence[Judged], differences_NF: Floats32) -> Battles:
    """Return every battle, in the order of the prompts."""
    battles = [(place, share) for place, p in enumerate(scored) for share, n in p.battles() for _ in range(n)]
    places = [place for place, _ in battles]
    shares = np.array([share for _, share in battles])
    return Battles([scored[place].model for place in places], scored[0].baseline, differences_NF[places], shares)
