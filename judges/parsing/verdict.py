"""Turns judge replies, fresh or stored, into a score.

Both go the same way, so a stored reply can be read again with another parser, rubric or aggregation and without a model
(`judges.rescore`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median

import msgspec

from console.flags import spelled
from engines.advice import INSIDE, names_no_choice
from engines.protocol import Choice, Completion
from judges.options import OF_CHOICES, Aggregate, Reading
from judges.parsing.parse import Verdict, parse_reply
from judges.parsing.values import NoVerdict
from judges.rubrics.rubric import Rubric
from records.finish import at_token_limit, cut_off
from records.reasoning import answer_span
from records.rows import Judgment, Usage

ROUNDING = 1e-3
NO_MASS = ""
"""A key of a stored distribution that is no choice: the probability of all choices together is not known."""
LITTLE_MASS = 0.5
"""Below this probability of all choices together, a judge is not answering the question."""


@dataclass(frozen=True)
class Sample:
    """One sampled reply as it is stored, or the reason why there is none."""

    reply: str | None
    """The text. For log-probabilities it is a JSON object from each choice to its log-probability. The text of a reply
    that names no choice is a JSON string there."""
    finish_reason: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Score:
    """The score of several replies about one answer."""

    value: float | None
    values: list[float | None]
    """One per reply. None for a reply without a verdict."""
    spread: float | None = None
    mass: float | None = None
    criteria: dict[str, float | None] | None = None
    error: str | None = None
    missing: dict[int, str] = field(default_factory=dict)
    """Reasons why replies are missing or have no verdict, by their places."""


@dataclass
class Masses:
    """The probability that a judge gave to its choices, summed over rows."""

    n: int = 0
    total: float = 0.0
    least: float = 1.0

    def add(self, mass: float | None) -> None:
        """Count one row. None, for another reading, is not counted."""
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
    """Settings by which replies are read and combined. They are part of the judge's fingerprint, except as noted."""

    rubric: Rubric
    read: Reading
    aggregate: Aggregate
    min_mass: float = 0.0
    """The least probability that the choices must have together (log-probabilities)."""
    min_samples: int | None = None
    """The number of samples that must be answered for a verdict. None is all. It is not in the fingerprint, because it
    matters only for incomplete rows, and these are read again as soon as they are completed."""
    room: str = "--thinking-tokens or --max-new-tokens makes room for it"
    """Advice for a reply that was cut off inside its reasoning. It is not in the fingerprint."""


def score_of(samples: Sequence[Sample], how: How) -> Score:
    """Return the score of all replies about one answer. Raises nothing, whatever the replies say."""
    score = _from_distributions(samples, how) if how.read in OF_CHOICES else _from_replies(samples, how)
    if not score.missing and score.error is None:
        return score
    missing = {place: spelled(why, of_judge=True) for place, why in score.missing.items()}
    return replace(score, error=score.error and spelled(score.error, of_judge=True), missing=missing)


def _from_replies(samples: Sequence[Sample], how: How) -> Score:
    verdicts = [_read(sample, how) for sample in samples]
    values = [verdict.value for verdict in verdicts]
    known = [value for value in values if value is not None]
    missing = {place: verdict.error or "no verdict" for place, verdict in enumerate(verdicts) if verdict.value is None}
    if reason := _unanswered(samples, how):
        return Score(None, values, error=reason, missing=missing)
    if not known:
        return Score(None, values, error="; ".join(dict.fromkeys(missing.values())) or "no reply", missing=missing)
    criteria = None
    if how.rubric.criteria:
        graded = [verdict.criteria for verdict in verdicts if verdict.criteria]
        criteria = {
            name: aggregated([criteria_of[name] for criteria_of in graded], how.aggregate) for name in how.rubric.labels
        }
    return Score(
        aggregated(known, how.aggregate),
        values,
        _deviation(known),
        criteria=dict(criteria) if criteria else None,
        missing=missing,
    )


def _unanswered(samples: Sequence[Sample], how: How) -> str | None:
    """Return the reason for no score if too few samples were answered, else None."""
    failed = [sample.error or "no reply" for sample in samples if sample.reply is None]
    n = len(samples) - len(failed)
    least = len(samples) if how.min_samples is None else min(how.min_samples, len(samples))
    if n == 0 or n >= least:
        return None
    return f"only {n} of {len(samples)} samples answered, {least} are needed: {'; '.join(dict.fromkeys(failed))}"


def _read(sample: Sample, how: How) -> Verdict:
    if sample.error or sample.reply is None:
        return Verdict(None, sample.error or "no reply")
    if reason := cut_off(sample.finish_reason):
        return Verdict(None, _not_whole(sample, how, reason))
    return parse_reply(sample.reply, how.rubric, structured=how.read == "structured")


def _from_distributions(samples: Sequence[Sample], how: How) -> Score:
    means: dict[str, float] = {}
    masses: list[float] = []
    missing: dict[int, str] = {}
    variance = 0.0
    weights = {criterion.name: criterion.weight for criterion in how.rubric.criteria}
    for place, (label, sample) in enumerate(zip(how.rubric.labels, samples, strict=False)):
        expected = expected_value(sample, how)
        if isinstance(expected, NoVerdict):
            missing[place] = expected.reason
            continue
        if expected.mass is not None:
            masses.append(expected.mass)
        if what := _too_little(expected.mass, how.min_mass):
            missing[place] = f"{label}: {what}" if weights else what
        means[label] = expected.mean
        variance += weights.get(label, 1.0) ** 2 * expected.variance
    if missing:
        reasons = "; ".join(dict.fromkeys(missing.values()))
        return Score(None, [None], mass=min(masses, default=None), error=reasons, missing=missing)
    if len(means) < len(how.rubric.labels):
        return Score(None, [None], error=f"{len(means)} replies for {len(how.rubric.labels)} criteria")
    value = how.rubric.weighted(means)
    return Score(value, [value], math.sqrt(variance), min(masses, default=None), dict(means) if weights else None)


@dataclass(frozen=True)
class Expected:
    """The expected value of a judge's choice, over the distribution renormalised over the choices."""

    mean: float
    variance: float
    mass: float | None
    """The probability of all choices together, or None if it is not known."""


def expected_value(sample: Sample, how: How) -> Expected | NoVerdict:
    """Return the expected value of the choices (G-Eval, arXiv 2303.16634, section 2)."""
    if sample.error or sample.reply is None:
        return NoVerdict(sample.error or "no reply")
    try:
        logprobs = msgspec.json.decode(sample.reply, type=dict[str, float | None] | str)
    except msgspec.DecodeError:
        return NoVerdict("the stored reply is not a distribution over the choices")
    if isinstance(logprobs, str):
        reason = cut_off(sample.finish_reason)
        return NoVerdict(
            names_no_choice(logprobs) if reason is None else f"truncated: the reply was cut off ({reason})"
        )
    of_choices = [logprobs.get(choice) for choice in how.rubric.logprobs.choices]
    if all(name not in logprobs for name in how.rubric.logprobs.choices):
        return NoVerdict("the stored reply is about other choices")
    if not are_logprobs(of_choices):
        return NoVerdict("the stored reply is no distribution: a log-probability is above 0")
    weights = [0.0 if logprob is None else math.exp(logprob) for logprob in of_choices]
    mass = sum(weights)
    if mass == 0:
        return Expected(0.0, 0.0, 0.0)
    values = how.rubric.choice_values
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / mass
    variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / mass
    return Expected(mean, variance, None if NO_MASS in logprobs else mass)


def _too_little(mass: float | None, least: float) -> str | None:
    """Return why a distribution is no verdict, or None if it is one."""
    if mass is None:
        return "the server does not say what --min-mass asks for" if least > 0 else None
    return f"only {mass:.2g} of the probability is on the choices" if mass < least or mass == 0 else None


def are_logprobs(values: Sequence[float | None]) -> bool:
    """Return whether these can be log-probabilities. One a little above 0 is a rounding of 0."""
    return all(logprob is None or logprob <= ROUNDING for logprob in values)  # NaN is not


def _not_whole(sample: Sample, how: How, reason: str) -> str:
    """Return the error for a reply that was cut off, with advice if there is any."""
    if not at_token_limit(sample.finish_reason):
        return f"truncated: the reply was cut off ({reason})"
    if answer_span(sample.reply or "", how.rubric.reasoning_tags) is None:
        return f"truncated: the reply was {INSIDE} ({reason}): {how.room}"
    return f"truncated: the reply was cut off ({reason}): raise --max-new-tokens"


def is_choice(rubric: Rubric, label: str, text: str, choice: str) -> bool:
    """Return whether `text`, a reply about one label or about all criteria, gives the verdict `choice`."""
    if choice not in rubric.logprobs.choices:
        return False
    value = rubric.choice_values[rubric.logprobs.choices.index(choice)]
    if parse_reply(text, rubric.apart[label]).value == value:
        return True
    return bool(rubric.criteria) and (parse_reply(text, rubric).criteria or {}).get(label) == value


def aggregated(values: Sequence[float], aggregate: Aggregate) -> float:
    """Return one score for several. `majority` is the most common one, or the mean of equally common ones."""
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
    """Return an engine's answer in the form in which it is stored."""
    if isinstance(answer, Choice) and answer.text is not None:
        return Sample(msgspec.json.encode(answer.text).decode(), answer.finish_reason, answer.error)
    if answer.error:
        return Sample(None, None, answer.error)
    if isinstance(answer, Completion):
        return Sample(answer.text, answer.finish_reason)
    if any(math.isnan(logprob) or logprob == math.inf for logprob in answer.logprobs):
        # -inf is a choice that is not listed, and these are a model that is broken: the others' shares mean nothing
        return Sample(None, None, "broken reply: a log-probability is not a number")
    finite = {name: lp if math.isfinite(lp) else None for name, lp in zip(choices, answer.logprobs, strict=True)}
    if not answer.has_mass:
        finite[NO_MASS] = None
    return Sample(msgspec.json.encode(finite).decode(), "stop")


def stored(replies: Sequence[str], finish_reasons: Sequence[str | None]) -> list[Sample]:
    """Return the replies of a stored row. Rows without finish reasons are taken as whole."""
    reasons = finish_reasons or [None] * len(replies)
    return [Sample(reply, reason) for reply, reason in zip(replies, reasons, strict=False)]


def samples_before(row: Judgment) -> dict[int, Sample]:
    """Return the replies of a stored judgment by the number of their sample (log-probabilities: of their criterion)."""
    numbers: Sequence[int] = row.reply_samples or range(len(row.replies))
    if not row.reply_samples and row.read not in OF_CHOICES and len(row.replies) < len(row.scores):
        # Rows of earlier versions do not number their replies. A sample with a verdict has one.
        unknown = [number for number, score in enumerate(row.scores) if score is None]
        with_verdict = [number for number, score in enumerate(row.scores) if score is not None]
        numbers = sorted([*with_verdict, *unknown][: len(row.replies)])
    return dict(zip(numbers, stored(row.replies, row.finish_reasons), strict=False))


def all_samples(row: Judgment) -> list[Sample]:
    """Return every sample of a stored judgment in order, including those without a reply."""
    answered, failed = samples_before(row), {int(number): error for number, error in row.missing.items()}
    n_scores = 0 if row.read in OF_CHOICES else len(row.scores)
    n = max((n_scores, *(number + 1 for number in (*answered, *failed))))
    return [answered.get(number) or Sample(None, error=failed.get(number)) for number in range(n)]


def usage_of(answer: Completion | Choice) -> Usage:
    """Return the usage of one call."""
    return Usage(
        n_calls=answer.n_calls,
        n_failed=answer.n_failed,
        n_prompt_tokens=answer.n_prompt_tokens,
        n_cached_tokens=answer.n_cached_tokens,
        n_tokens=answer.n_tokens,
        seconds=answer.seconds,
    )
