"""The rubric that a judge's settings name, checked together with them."""

from console.errors import InputError
from console.ranges import check_ranges
from judges.options import JudgeOptions
from judges.rubrics.calibration import load_calibration
from judges.rubrics.rubric import Rubric, load_rubric


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
