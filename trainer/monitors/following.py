"""The answers that do what their prompt asks, as far as a program can check it, and whether the judge tells them apart.

Answers to one prompt are not independent, so every interval resamples prompts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from judges.intervals.bootstrap import Estimate, estimate, means, proportion_of, resampled
from judges.tools.constraints.rows import CheckedConstraint, Outcome
from records.rows import Row

N_RESAMPLES = 2000
SAME_SCORE = 1e-4
"""Scores closer than this are a tie, because an expected score varies in its last digits."""


class CheckedAnswer(Row, frozen=True, kw_only=True):
    """An answer to a held-out prompt, and what the program found for each constraint of the prompt."""

    response_id: str
    prompt_id: str
    checks: list[CheckedConstraint]

    @property
    def follows(self) -> bool | None:
        """Return whether the answer follows all constraints as it is. None if that is not known."""
        return _all([check.strict for check in self.checks])

    @property
    def follows_loose(self) -> bool | None:
        """Return whether one of the answer's loose variants follows each constraint. None if that is not known."""
        return _all([check.loose for check in self.checks])


class Following(Row, frozen=True, kw_only=True):
    """An iteration's held-out answers against their prompts' constraints, with 95 % intervals over prompts."""

    n_prompts: int
    """The held-out prompts that have constraints."""
    n_unknown: int
    """Answers of which a constraint could not be checked. No share of answers counts them."""
    follows: Estimate
    """The share of answers that follow all constraints of their prompt."""
    follows_loose: Estimate
    """The same, if the best of an answer's eight loose variants counts (IFEval, section 2.2)."""
    follows_each: Estimate
    """The share of single constraints that are followed."""
    known_pairs: Estimate
    """The share of pairs in which the iteration's own rubric score prefers the better answer. Both answers are to one
    prompt, one follows all of its constraints and the other breaks some. A tie counts half."""
    gain: Estimate | None = None
    """`follows` minus that of iter0, on the same prompts. None for iter0."""


def following_of(
    answers: Sequence[CheckedAnswer],
    scores: Mapping[str, float],
    base: Sequence[CheckedAnswer] = (),
    seed: int = 0,
) -> Following | None:
    """Return the shares of an iteration, or None if no prompt has a constraint.

    `scores` are by the iteration's own judge without a tool, by the id of the answer. `base` are iter0's answers to the
    same prompts.
    """
    asked = [answer for answer in answers if answer.checks]
    if not asked:
        return None
    known = [answer for answer in asked if answer.follows is not None]
    single = [(answer, check) for answer in asked for check in answer.checks if check.strict is not None]
    pairs = known_pairs(asked, scores)
    return Following(
        n_prompts=len({answer.prompt_id for answer in asked}),
        n_unknown=len(asked) - len(known),
        follows=_share("follows", known, lambda answer: answer.follows is True, seed),
        follows_loose=_share(
            "follows, loose",
            [answer for answer in asked if answer.follows_loose is not None],
            lambda answer: answer.follows_loose is True,
            seed,
        ),
        follows_each=_of(
            "follows each",
            [(answer.prompt_id, float(check.strict == "followed")) for answer, check in single],
            seed,
        ),
        known_pairs=_of("right on known pairs", pairs, seed),
        gain=_gain(known, base, seed) if base else None,
    )


def known_pairs(answers: Iterable[CheckedAnswer], scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return for each pair whose better answer is known its prompt, and 1 if the scores name it, 0.5 if they tie.

    A pair of which an answer has no score is left out.
    """
    by_prompt: dict[str, list[CheckedAnswer]] = {}
    for answer in answers:
        if answer.follows is not None and answer.response_id in scores:
            by_prompt.setdefault(answer.prompt_id, []).append(answer)
    found = []
    for prompt_id, several in by_prompt.items():
        for pair in combinations(several, 2):
            # False sorts before True, so an answer that follows comes first.
            better, worse = sorted(pair, key=lambda answer: answer.follows is not True)
            if better.follows and not worse.follows:
                margin = scores[better.response_id] - scores[worse.response_id]
                found.append((prompt_id, 0.5 if abs(margin) < SAME_SCORE else float(margin > 0)))
    return found


def _all(outcomes: Sequence[Outcome | None]) -> bool | None:
    """Return whether all are followed, or None if one is unknown: its prompts would otherwise count failures alone."""
    return None if None in outcomes or not outcomes else "broken" not in outcomes


def _share(name: str, answers: Sequence[CheckedAnswer], holds: Callable[[CheckedAnswer], bool], seed: int) -> Estimate:
    return _of(name, [(answer.prompt_id, float(holds(answer))) for answer in answers], seed)


def _of(name: str, values: Sequence[tuple[str, float]], seed: int) -> Estimate:
    """Return the mean of values that each belong to a prompt."""
    weights_BN = resampled([prompt_id for prompt_id, _ in values], N_RESAMPLES, seed)
    return proportion_of(name, np.array([value for _, value in values], dtype=float), weights_BN)


def _gain(known: Sequence[CheckedAnswer], base: Sequence[CheckedAnswer], seed: int) -> Estimate:
    """Return the difference of the two shares over the prompts that both have, each prompt resampled with its answers.

    A prompt counts with its mean, so that the pairs of means are as many as the prompts.
    """
    now, before = _by_prompt(known), _by_prompt(base)
    shared = [prompt_id for prompt_id in now if prompt_id in before]
    differences_N = np.array([now[prompt_id] - before[prompt_id] for prompt_id in shared], dtype=float)
    value = float(differences_N.mean()) if shared else None
    return estimate("gain", value, means(differences_N, resampled(shared, N_RESAMPLES, seed)), len(shared))


def _by_prompt(answers: Iterable[CheckedAnswer]) -> dict[str, float]:
    outcomes: dict[str, list[bool]] = {}
    for answer in answers:
        if answer.follows is not None:
            outcomes.setdefault(answer.prompt_id, []).append(answer.follows)
    return {prompt_id: sum(several) / len(several) for prompt_id, several in outcomes.items()}
