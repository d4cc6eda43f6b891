"""The difficulty of instructions for any judge and baseline, from the annotations of other models.

One regression of all their preferences has a strength and an effect of length for each model, and a difficulty for
each instruction (Dubois et al., arXiv 2404.04475, section 3):

    preference = sigmoid(strength of the model + effect of length * tanh(d / s) + difficulty of the instruction)

d is the difference of the lengths and s its deviation for that model. The difficulties have a normal prior.
Shapes: R rows, M models, K instructions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from console.errors import InputError
from evals.alpaca.format import read_annotations
from evals.alpaca.rows import Annotation, each_once
from records.files import BadRows
from records.keys import content_key

Floats = npt.NDArray[np.float64]
Others = Sequence[Sequence[Annotation]]
"""The annotations of other models, a list for each model."""
LEAST_MODELS = 2
"""The difficulties of one model's annotations are that model's own luck."""
PRIOR_OF_DIFFICULTY = 1.0
PRIOR_OF_MODEL = 1e-3
"""Inverse variances. A model that always loses has no finite strength without a prior."""
MAX_STEPS = 2000


@dataclass(frozen=True)
class Measured:
    """The annotations of one model that have a preference and both outputs."""

    keys: list[str]
    """The instructions."""
    lengths: Floats
    """tanh(difference of the lengths / its deviation), the baseline's less the model's."""
    preferences: Floats
    """From 0 (the baseline's is better) to 1."""


def measured(annotations: Sequence[Annotation]) -> Measured | None:
    """Return the rows of one model that can be fitted, or None if all differences of lengths are the same."""
    rows = [row for row in annotations if None not in (row.output_1, row.output_2, row.preference)]
    longer_R = np.array([len(row.output_1 or "") - len(row.output_2 or "") for row in rows], dtype=float)
    deviation = float(np.std(longer_R, ddof=1)) if len(rows) > 1 else 0.0
    if not deviation > 0:
        return None
    preferences_R = np.array([(row.preference or 1.5) - 1 for row in rows])  # 0 is a draw, as 1.5
    return Measured([content_key(row.instruction or "") for row in rows], np.tanh(longer_R / deviation), preferences_R)


def read_others(paths: Sequence[Path], bad: BadRows) -> Others:
    """Return the annotations in each file. Raises InputError if they are too few or of one model twice."""
    if not paths:
        return []
    files = [each_once(read_annotations(path, bad), path) for path in paths]
    models = sorted({rows[0].generator_2 for rows in files})
    if len(models) < max(len(files), LEAST_MODELS):
        raise InputError(
            f"--difficulty-from needs annotations of {LEAST_MODELS} or more models, a file each, not of "
            f"{', '.join(models)} in {len(files)}"
        )
    return files


def difficulties(files: Others, of: Annotation) -> dict[str, float]:
    """Return the difficulty of each instruction by its key, for the model whose annotations have the row `of`.

    Raises InputError if a file is of this model, or has another annotator or baseline.
    """
    for rows in files:
        first = rows[0]
        if first.generator_2 == of.generator_2:
            raise InputError(
                f"--difficulty-from has annotations of {of.generator_2} itself: give those of other models, because "
                "a model's own would take its wins and losses for difficulty"
            )
        if (first.annotator, first.generator_1) != (of.annotator, of.generator_1):
            raise InputError(
                f"--difficulty-from: {first.generator_2} is judged by {first.annotator} against {first.generator_1}, "
                f"and {of.generator_2} by {of.annotator} against {of.generator_1}: difficulties are those of one judge "
                "and one baseline"
            )
    models = [rows for rows in map(measured, files) if rows is not None]
    return fitted(models) if len(models) >= LEAST_MODELS else {}


def fitted(models: Sequence[Measured]) -> dict[str, float]:
    """Return the difficulty of each instruction by its key: the most likely one. High is good for the models."""
    keys = sorted({key for rows in models for key in rows.keys})
    places = {key: place for place, key in enumerate(keys)}
    instruction_R = np.concatenate([[places[key] for key in rows.keys] for rows in models])
    model_R = np.repeat(np.arange(len(models)), [len(rows.keys) for rows in models])
    lengths_R = np.concatenate([rows.lengths for rows in models])
    preferences_R = np.concatenate([rows.preferences for rows in models])
    n_models, n = len(models), len(keys)
    prior = np.repeat([PRIOR_OF_MODEL, PRIOR_OF_DIFFICULTY], [2 * n_models, n])

    def loss(weights: Floats) -> tuple[float, Floats]:
        strength_M, slope_M, difficulty_K = np.split(weights, [n_models, 2 * n_models])
        logit_R = strength_M[model_R] + slope_M[model_R] * lengths_R + difficulty_K[instruction_R]
        likelihood = float(np.sum(preferences_R * logit_R - np.logaddexp(0, logit_R)))
        off_R = expit(logit_R) - preferences_R
        gradient = np.concatenate(
            [
                np.bincount(model_R, off_R, n_models),
                np.bincount(model_R, off_R * lengths_R, n_models),
                np.bincount(instruction_R, off_R, n),
            ]
        )
        return -likelihood + float(prior @ weights**2) / 2, gradient + prior * weights

    start = np.zeros(2 * n_models + n)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS, "ftol": 1e-12})
    return dict(zip(keys, found.x[2 * n_models :].tolist(), strict=True))
