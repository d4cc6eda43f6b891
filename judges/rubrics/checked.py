"""The rubric that a judge's settings name, checked together with them."""

from functools import cache

import msgspec

from console.errors import InputError
from console.ranges import check_ranges
from judges.options import JudgeOptions
from judges.rubrics.calibration import load_calibration
from judges.rubrics.rubric import Rubric, load_rubric, rubric_names
from records import Judgment


def checked_rubric(options: JudgeOptions) -> Rubric:
    """Return the rubric. Raises InputError if it or a setting is wrong, before any model is loaded."""
    check_ranges(options)
    if options.min_samples is not None and not 1 <= options.min_samples <= options.samples:
        raise InputError(f"--min-samples must be from 1 to --samples, {options.samples}, not {options.min_samples}")
    rubric = load_rubric(options.rubric)
    if options.read != "decisions" and not getattr(rubric.closing, options.read):
        raise InputError(f"the rubric '{rubric.name}' says nothing on --read {options.read}: it has no such closing")
    if options.calibration is not None:
        load_calibration(options.calibration, rubric)
    return rubric


@cache
def _scale_of(name: str) -> tuple[float, float] | None:
    """Return the scale of one of this project's rubrics that scores, or None for another name."""
    if name not in rubric_names() or (rubric := load_rubric(name)).kind != "score":
        return None
    return rubric.scale


def on_scale(row: Judgment) -> Judgment:
    """Return a stored judgment without its score if that is outside its rubric's scale, with the reason.

    A rubric from a user's file is not known by its name, and evidence may give scores of its own.
    """
    scale = None if row.evidence is not None else _scale_of(row.rubric)
    if scale is None or row.score is None or scale[0] <= row.score <= scale[1]:
        return row
    reason = f"{row.score:g} is outside {scale[0]:g} to {scale[1]:g}"
    return msgspec.structs.replace(row, score=None, error=reason)
