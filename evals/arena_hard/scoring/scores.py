"""The scores of each category: the official ones, ours over prompts, and both with style control."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from evals.arena_hard.options import Style, Unit
from evals.arena_hard.scoring.battles import WEIGHT, Judged, totals
from evals.arena_hard.scoring.controlled import AnswersOf, Settings, controlled
from evals.arena_hard.scoring.exact import Styled, share_of
from evals.arena_hard.scoring.official import Score, plain_scores
from judges.intervals.bootstrap import Estimate, resampled

VERDICTS = {
    (1.0, WEIGHT): "much better",
    (1.0, 1): "better",
    (0.5, 1): "as good",
    (0.0, 1): "worse",
    (0.0, WEIGHT): "much worse",
}
"""The verdict on the model's answer by the share and the number of its battles."""


@dataclass(frozen=True)
class ModelScores:
    """The scores of a model in a category, from 0 to 1."""

    model: str
    n: int
    """Prompts, of which `n_scored` have a verdict in both games."""
    n_scored: int
    n_null: int
    """Games without a verdict."""
    n_flipped: int
    """Prompts whose games name different winners."""
    verdicts: dict[str, int]
    """How often the model's answer was much better, better, as good, worse, much worse, in both games together."""
    reasons: dict[str, int]
    score: Score | None
    over_prompts: Estimate
    styled: Score | None = None
    styled_over_prompts: Styled | None = None


@dataclass(frozen=True)
class CategoryScores:
    """The scores of all models in a category."""

    category: str
    baseline: str
    models: list[ModelScores]
    features: tuple[Style, ...] = ()
    """The style features that are controlled for. Empty without style control."""
    unit: Unit = "auto"
    coefficients: dict[str, float] = field(default_factory=dict)
    """Of the features with unit deviation: the log-odds that one deviation more adds."""
    no_style: str | None = None
    """Why there is no style control."""


def scores_of(judged: Sequence[Judged], answers: AnswersOf, settings: Settings) -> list[CategoryScores]:
    """Return the scores of each category, which are separate measurements with separate baselines."""
    categories = list(dict.fromkeys(prompt.category for prompt in judged))
    return [_category([p for p in judged if p.category == name], answers, settings) for name in categories]


def _category(judged: Sequence[Judged], answers: AnswersOf, settings: Settings) -> CategoryScores:
    scored = [prompt for prompt in judged if prompt.is_scored]
    by_model = {name: [p for p in judged if p.model == name] for name in sorted({p.model for p in judged})}
    plain = plain_scores(_shares(scored), settings.seed)
    style = controlled(scored, answers, settings)
    models = []
    for name, of_model in by_model.items():
        known = [prompt for prompt in of_model if prompt.is_scored]
        weights_BN = resampled([prompt.uid for prompt in known], settings.resamples, settings.seed)
        games = [game for prompt in of_model for game in prompt.games]
        models.append(
            ModelScores(
                model=name,
                n=len(of_model),
                n_scored=len(known),
                n_null=sum(game.verdict is None for game in games),
                n_flipped=sum(prompt.is_flipped or False for prompt in known),
                verdicts=_verdicts(known),
                reasons=dict(Counter(game.reason or "unknown" for game in games if game.verdict is None)),
                score=plain.get(name),
                over_prompts=share_of(name, totals(known), weights_BN),
                styled=style.official.get(name),
                styled_over_prompts=style.exact.get(name),
            )
        )
    first = judged[0]
    return CategoryScores(
        first.category, first.baseline, models, style.features, style.unit, style.coefficients, style.problem
    )


def _shares(scored: Sequence[Judged]) -> dict[str, list[float]]:
    """Return the outcome of every battle by model, in the order of the judgments."""
    shares: dict[str, list[float]] = {}
    for prompt in scored:
        for share, n in prompt.battles():
            shares.setdefault(prompt.model, []).extend([share] * n)
    return shares


def _verdicts(scored: Sequence[Judged]) -> dict[str, int]:
    counts = Counter(VERDICTS[battle] for prompt in scored for battle in prompt.battles())
    return {name: counts[name] for name in VERDICTS.values()}
