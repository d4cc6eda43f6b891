"""A calibration: what `judges.calibrate --fit` learned from labels about one judge with one rubric.

It has weights for the rubric's criteria, a temperature and a band of ties. A judge that has one is another judge: its
fingerprint covers the calibration.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import tomli_w

from console.errors import InputError
from console.reading import read_toml
from judges.rubrics.rubric import Rubric
from records.keys import content_key
from records.rows import Winner
from records.store import write_atomic

LEAST = 1e-6
"""The probabilities of a judge that is sure are cut to this and to 1 less this, because their log-odds are infinite."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights, temperature and band of ties of one judge, whose fingerprints it carries."""

    judge: str
    """The fingerprint of the judge without the calibration."""
    rubric: str
    rubric_digest: str
    kind: Literal["score", "pair"]
    labels: str
    """The labels that it was learned from, in words."""
    temperature: float
    """P(b is better) is the logistic function of this part of the evidence for b: a difference of scores (score), or
    the log-odds of the mean preference of both orders (pair)."""
    tie: float = 0.0
    """A pair is a tie if P(b is better) is no farther than this from 0.5."""
    weights: dict[str, float] = {}
    """The learned weight of each criterion. Empty if the rubric has none."""

    def reweighted(self, rubric: Rubric) -> Rubric:
        """Return `rubric` with the learned weights, by which verdicts become a score. The judge is never shown it."""
        if not self.weights:
            return rubric
        criteria = [
            msgspec.structs.replace(criterion, weight=self.weights[criterion.name]) for criterion in rubric.criteria
        ]
        return msgspec.structs.replace(rubric, criteria=criteria)

    def preference(self, evidence: float) -> float:
        """Return P(b is better) by the evidence for b."""
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, evidence / self.temperature))))

    def winner(self, preference: float) -> Winner:
        """Return the winner by P(b is better)."""
        if abs(preference - 0.5) <= self.tie:
            return "tie"
        return "b" if preference > 0.5 else "a"

    @property
    def identity(self) -> tuple[object, ...]:
        """The parts that change a verdict."""
        return (self.temperature, self.tie, *sorted(self.weights.items()))


def log_odds(preference: float) -> float:
    """Return the log-odds of a preference."""
    cut = min(max(preference, LEAST), 1 - LEAST)
    return math.log(cut / (1 - cut))


def rubric_digest(rubric: Rubric) -> str:
    """Return 16 hex digits of all that changes a verdict in a rubric."""
    return content_key("rubric", rubric.identity)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as TOML."""
    write_atomic(path, tomli_w.dumps(msgspec.to_builtins(calibration)))


def load_calibration(path: Path, rubric: Rubric) -> Calibration:
    """Return the calibration in a file. Raises InputError if it is broken or was learned for another rubric."""
    try:
        calibration = msgspec.convert(read_toml(path), Calibration)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not a calibration of judges.calibrate --fit: {error}") from None
    numbers = (calibration.temperature, calibration.tie, *calibration.weights.values())
    if not all(map(math.isfinite, numbers)) or calibration.temperature <= 0 or min(numbers) < 0:
        raise InputError(f"{path}: 'temperature' must be above 0, 'tie' and 'weights' at least 0")
    names = [criterion.name for criterion in rubric.criteria]
    if calibration.rubric_digest != rubric_digest(rubric) or (
        calibration.weights and set(names) != set(calibration.weights)
    ):
        raise InputError(
            f"{path}: learned for the rubric '{calibration.rubric}' ({calibration.rubric_digest}), and this one is "
            f"'{rubric.name}' ({rubric_digest(rubric)}); run judges.calibrate --fit with this rubric"
        )
    return calibration


def check_learned_for(calibration: Calibration, path: Path, fingerprints: Sequence[str]) -> None:
    """Raise InputError unless a calibration was learned for a judge with one of these fingerprints, its own first."""
    if calibration.judge not in fingerprints:
        raise InputError(
            f"{path}: learned for the judge {calibration.judge}, and this one is {fingerprints[0]}: another model, "
            "reading or sampling; run judges.calibrate --fit with this judge"
        )
