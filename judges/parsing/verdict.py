"""From what the judge said to a score: the only way, for a reply that just came and for one that was stored.

A stored reply can therefore be read again with another parser, rubric or aggregation, and no model (`judges.rescore`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median

import msgspec

from console.flags import spelled
from engines.advice import INSIDE
from engines.protocol import Choice, Completion
from judges.options import Aggregate, Reading
from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import Rubric
from records.finish import at_token_limit, cut_off
from records.reasoning import answer_span
from records.rows import Judgment, Usage

ROUNDING = 1e-3
LITTLE_MASS = 0.5
"""Under this probability on all choices together, a judge is not answering the question."""


@dataclass(frozen=True)
class Sample:
    """One reply as it is stored, or the reason why there is none."""

    reply: str | None
    """The text; for log-probabilities a JSON object from each choice to its log-probability."""
    finish_reason: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Score:
    """What several replies about one thing come to."""

    value: float | None
    values: list[float | None]
    """One per reply; None where it has no verdict."""
    spread: float | None = None
    mass: float | None = None
    criteria: dict[str, float | None] | None = None
    error: str | None = None
    missing: dict[int, str] = field(default_factory=dict)
    """Why a reply is none or has no verdict, by its place."""


@dataclass
class Masses:
    """How much probability a judge gave to its choices, added up over rows."""

    n: int = 0
    total: float = 0.0
    least: float = 1.0

    def add(self, mass: float | None) -> None:
        """Count one row; None, for another reading, counts nothing."""
        if mass is not None:
            self.n, self.total, self.least = self.n + 1, self.total + mass, min(self.least, mass)

    def as_dict(self) -> dict[str, float | None]:
        """Return mean and minimum as plain data."""
        return {"mean": self.total / self.n, "least": self.least} if self.n else {"mean": None, "least": None}

    def __str__(self) -> str:
        mean = self.total / self.n
        warning = "" if mean >= LITTLE_MASS else ": it would rather say something else, and its verdicts mean little"
        return f"probability that the judge gives to the choices: {mean:.3f}, at least {self.least:.3f}{warning}"


@dataclass(frozen=True)
class How:
    """How replies are read and put together; all of it is part of the judge's fingerprint."""

    rubric: Rubric
    read: Reading
    aggregate: Aggregate
    min_mass: float = 0.0
    """The least probability that the choices must have together (log-probabilities)."""
    min_samples: int | None = None
    """How many samples must be answered for a verdict; None is all. Not in the fingerprint: it has a say only in a row
    that is not complete, and such a row is read again as soon as it is completed."""
    room: str = "--thinking-tokens or --max-new-tokens makes room for it"
    """What helps where a reply was cut off inside its reasoning; not in the fingerprint."""


def score_of(said: Sequence[Sample], how: How) -> Score:
    """Return the score of all replies about one answer; raises nothing, whatever they say."""
    score = _from_distributions(said, how) if how.read == "logprobs" else _from_replies(said, how)
    if not score.missing and score.error is None:
        return score
    missing = {place: spelled(why, of_judge=True) for place, why in score.missing.items()}
    return replace(score, error=score.error and spelled(score.error, of_judge=True), missing=missing)


def _from_replies(said: Sequence[Sample], how: How) -> Score:
    verdicts = [_read(one, how) for one in said]
    values = [score for score, _, _ in verdicts]
    known = [value for value in values if value is not None]
    missing = {place: error or "no verdict" for place, (value, error, _) in enumerate(verdicts) if value is None}
    if reason := _unanswered(said, how):
        return Score(None, values, error=reason, missing=missing)
    if not known:
        return Score(None, values, error="; ".join(dict.fromkeys(missing.values())) or "no reply", missing=missing)
    criteria = None
    if how.rubric.criteria:
        graded = [each for _, _, each in verdicts if each]
        criteria = {name: aggregated([each[name] for each in graded], how.aggregate) for name in how.rubric.labels}
    return Score(
        aggregated(known, how.aggregate),
        values,
        _deviation(known),
        criteria=dict(criteria) if criteria else None,
        missing=missing,
    )


def _unanswered(said: Sequence[Sample], how: How) -> str | None:
    """Return why there is no score where too few of several samples were answered, else None."""
    failed = [one.error or "no reply" for one in said if one.reply is None]
    n = len(said) - len(failed)
    least = len(said) if how.min_samples is None else min(how.min_samples, len(said))
    if n == 0 or n >= least:
        return None
    return f"only {n} of {len(said)} samples answered, {least} are needed: {'; '.join(dict.fromkeys(failed))}"


def _read(said: Sample, how: How) -> tuple[float | None, str | None, dict[str, float] | None]:
    if said.error or said.reply is None:
        return None, said.error or "no reply", None
    if reason := cut_off(said.finish_reason):
        return None, _not_whole(said, how, reason), None
    verdict = parse_reply(said.reply, how.rubric, structured=how.read == "structured")
    return verdict.value, verdict.error, verdict.criteria


def _from_distributions(said: Sequence[Sample], how: How) -> Score:
    means: dict[str, float] = {}
    masses: list[float] = []
    missing: dict[int, str] = {}
    variance = 0.0
    weights = {criterion.name: criterion.weight for criterion in how.rubric.criteria}
    for place, (label, one) in enumerate(zip(how.rubric.labels, said, strict=False)):
        expected = expected_value(one, how)
        if isinstance(expected, str):
            missing[place] = expected
            continue
        mean, var, mass = expected
        masses.append(mass)
        if mass < how.min_mass or mass == 0:
            what = f"only {mass:.2g} of the probability is on the choices"
            missing[place] = f"{label}: {what}" if weights else what
        means[label] = mean
        variance += weights.get(label, 1.0) ** 2 * var
    if missing:
        reasons = "; ".join(dict.fromkeys(missing.values()))
        return Score(None, [None], mass=min(masses, default=None), error=reasons, missing=missing)
    if len(means) < len(how.rubric.labels):
        return Score(None, [None], error=f"{len(means)} replies for {len(how.rubric.labels)} criteria")
    value = how.rubric.weighted(means)
    return Score(value, [value], math.sqrt(variance), min(masses), dict(means) if weights else None)


def expected_value(said: Sample, how: How) -> tuple[float, float, float] | str:
    """Return mean and variance of the choices' values under their probabilities, and the probability of all of them.

    Mean and variance are of the distribution renormalised over the choices (G-Eval, arXiv 2303.16634, section 2).
    Returns the reason where there is none.
    """
    if said.error or said.reply is None:
        return said.error or "no reply"
    try:
        logprobs = msgspec.json.decode(said.reply, type=dict[str, float | None])
    except msgspec.DecodeError:
        return "the stored reply is not a distribution over the choices"
    found = [logprobs.get(choice) for choice in how.rubric.logprobs.choices]
    if all(name not in logprobs for name in how.rubric.logprobs.choices):
        return "the stored reply is about other choices"
    if not are_logprobs(found):
        return "the stored reply is no distribution: a log-probability is above 0"
    weights = [0.0 if logprob is None else math.exp(logprob) for logprob in found]
    mass = sum(weights)
    if mass == 0:
        return 0.0, 0.0, 0.0
    values = how.rubric.choice_values
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / mass
    variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / mass
    return mean, variance, mass


def are_logprobs(found: Sequence[float | None]) -> bool:
    """Return whether `found` can be log-probabilities; one a little above 0 is a rounding of 0."""
    return all(logprob is None or logprob <= ROUNDING for logprob in found)  # NaN is not


def _not_whole(said: Sample, how: How, reason: str) -> str:
    """Return in words that a reply is not whole, with what helps where something does."""
    if not at_token_limit(said.finish_reason):
        return f"truncated: the reply was cut off ({reason})"
    if answer_span(said.reply or "", how.rubric.reasoning_tags) is None:
        return f"truncated: the reply was {INSIDE} ({reason}): {how.room}"
    return f"truncated: the reply was cut off ({reason}): raise --max-new-tokens"


def is_choice(rubric: Rubric, label: str, text: str, choice: str) -> bool:
    """Return whether `text`, a reply about one label or about all criteria, gives the verdict that `choice` is."""
    if choice not in rubric.logprobs.choices:
        return False
    value = rubric.choice_values[rubric.logprobs.choices.index(choice)]
    if parse_reply(text, rubric.apart[label]).value == value:
        return True
    return bool(rubric.criteria) and (parse_reply(text, rubric).criteria or {}).get(label) == value


def aggregated(values: Sequence[float], aggregate: Aggregate) -> float:
    """Return one score for several; `majority` is the commonest one, or the mean of those that are equally common."""
    match aggregate:
        case "median":
            return median(values)
        case "max":
            return max(values)
        case "min":
            return min(values)
        case "majority":
            counts = Counter(values)
            most = max(counts.values())
            return fmean(value for value, count in counts.items() if count == most)
    return fmean(values)


def _deviation(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def sample_of(answer: Completion | Choice, choices: Sequence[str]) -> Sample:
    """Return what an engine gave in the form in which it is stored."""
    if answer.error:
        return Sample(None, None, answer.error)
    if isinstance(answer, Completion):
        return Sample(answer.text, answer.finish_reason)
    finite = {name: lp if math.isfinite(lp) else None for name, lp in zip(choices, answer.logprobs, strict=True)}
    return Sample(msgspec.json.encode(finite).decode(), "stop")


def stored(replies: Sequence[str], finish_reasons: Sequence[str | None]) -> list[Sample]:
    """Return the replies of a stored row; rows without finish reasons are taken as whole."""
    reasons = finish_reasons or [None] * len(replies)
    return [Sample(reply, reason) for reply, reason in zip(replies, reasons, strict=False)]


def samples_before(row: Judgment) -> dict[int, Sample]:
    """Return the replies of a stored judgment by the number of their sample (log-probabilities: of their criterion)."""
    numbers: Sequence[int] = row.reply_samples or range(len(row.replies))
    if not row.reply_samples and row.read != "logprobs" and len(row.replies) < len(row.scores):
        # Rows of earlier versions do not say whose the replies are: a sample with a verdict has one.
        unknown = [number for number, score in enumerate(row.scores) if score is None]
        with_verdict = [number for number, score in enumerate(row.scores) if score is not None]
        numbers = sorted([*with_verdict, *unknown][: len(row.replies)])
    return dict(zip(numbers, stored(row.replies, row.finish_reasons), strict=False))


def all_samples(row: Judgment) -> list[Sample]:
    """Return every sample of a stored judgment in order, those without a reply too."""
    found, failed = samples_before(row), {int(number): error for number, error in row.missing.items()}
    n_scores = 0 if row.read == "logprobs" else len(row.scores)
    n = max((n_scores, *(number + 1 for number in (*found, *failed))))
    return [found.get(number) or Sample(None, error=failed.get(number)) for number in range(n)]


def usage_of(answer: Completion | Choice) -> Usage:
    """Return what one call cost."""
    return Usage(
        n_calls=answer.n_calls,
        n_failed=answer.n_failed,
        n_prompt_tokens=answer.n_prompt_tokens,
        n_tokens=answer.n_tokens,
        seconds=answer.seconds,
    )
