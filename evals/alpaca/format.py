"""Converts between this project's rows and alpaca_eval's files, model_outputs.json and annotations.json."""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from console.errors import InputError, RowError
from console.progress import say
from console.reading import no_such_file
from evals.alpaca.rows import Annotation, alpaca_index, one_measurement
from records import Comparison, Prompt, Response, text_of
from records.fields.messages import readable
from records.fields.values import number_in, shown
from records.files import BadRows, Record, read_records
from records.inputs import stem_of
from records.store import set_aside, write_atomic

__all__ = ["Annotation", "alpaca_index", "annotation_row", "output_row", "read_annotations", "write_json"]

UNANSWERED = "the model gave no answer"
UNRECORDED = "the annotations do not say"


def output_row(prompt: Prompt, response: Response) -> Record:
    """Return one row of model_outputs.json."""
    output = {"instruction": text_of(prompt.prompt), "output": response.response, "generator": response.model}
    return output if prompt.source is None else {"dataset": prompt.source, **output}


def annotation_row(
    prompt: Prompt, baseline: Response, model: str, comparison: Comparison | None, annotator: str
) -> Annotation:
    """Return one row of annotations.json. `comparison` is None if the model did not answer the prompt."""
    instruction = text_of(prompt.prompt)
    preference = comparison.preference_b if comparison else None
    return Annotation(
        instruction=instruction,
        output_1=baseline.response,
        generator_1=baseline.model,
        output_2=comparison.response_b if comparison else None,
        generator_2=model,
        dataset=prompt.source,
        annotator=annotator,
        preference=None if preference is None else 1 + preference,  # alpaca_eval's scale: 1 is output_1, 2 is output_2
        raw_completion=comparison.replies if comparison else None,
        error=comparison.error if comparison else UNANSWERED,
        flipped=comparison.flipped if comparison else None,
        index=alpaca_index(instruction),
    )


def read_annotations(path: Path, bad: BadRows, annotator: str | None = None) -> list[Annotation]:
    """Return the annotations in a file of alpaca_eval's, version 1 or 2, JSON or any other kind that `records` reads.

    If `annotator` is given, only its rows. A row with an invalid preference is reported as bad and gets null. Raises
    InputError if no row has a preference, if the preferences are on another scale, or if the rows have several
    annotators or models.
    """
    if not path.exists():
        raise InputError(no_such_file(path))
    records = list(read_records(path, bad))
    if not any("preference" in record for _, record in records):
        raise InputError(f"{path}: not annotations: no row has a 'preference'")
    _check_scale([record.get("preference") for _, record in records], path)
    rows = [_annotation_of(where, record, bad, path) for where, record in records]
    return one_measurement(rows, path, annotator)


def keep_apart(path: Path, **names: str) -> bool:
    """Set aside the file if its rows have other `names` (another model, baseline or judge). Return whether it was."""
    try:
        first = msgspec.json.decode(path.read_bytes(), type=list[Record])[0]
    except FileNotFoundError:
        return False
    # a broken or empty file is nobody's, so it is set aside too
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        first = {}
    other = {name: first.get(name) for name in names if first.get(name) != names[name]}
    if other:
        set_aside(path)
        say(f"{path}: set aside, because it is of {', '.join(map(str, other.values()))}")
    return bool(other)


def write_json(path: Path, rows: Sequence[Annotation] | Sequence[Record]) -> None:
    """Write rows as alpaca_eval does: one indented JSON list, complete or not at all."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")


def _check_scale(preferences: Sequence[object], path: Path) -> None:
    """Raise InputError if no number is above 1 and one is below it, because 0 and 1 may be codes or probabilities."""
    numbers = [number for value in preferences if (number := number_in(value)) is not None]
    if numbers and max(numbers) <= 1 and min(numbers) < 1:
        raise InputError(
            f"{path}: the preferences are numbers from {min(numbers):g} to {max(numbers):g}, and which answer they are "
            "for cannot be told: 1 is for output_1, the baseline's, and 2 for output_2, the model's; write each as 1 "
            "plus the preference for the model's answer, a draw as 1.5"
        )


def _annotation_of(where: str, record: Record, bad: BadRows, path: Path) -> Annotation:
    preference, error = None, None
    try:
        preference = _preference(record)
    except InputError as problem:
        error = str(problem)
        bad.add(RowError(f"{where}: {error}"))
    if preference is None:
        error = error or _text(record, "error") or UNRECORDED
    index, flipped = record.get("index"), record.get("flipped")
    return Annotation(
        instruction=_text(record, "instruction"),
        output_1=_text(record, "output_1"),
        generator_1=_text(record, "generator_1") or "baseline",
        output_2=_text(record, "output_2"),
        generator_2=_text(record, "generator_2") or stem_of(path),
        dataset=_text(record, "dataset"),
        annotator=_annotator(record),
        preference=preference,
        raw_completion=record.get("raw_completion"),
        error=error,
        flipped=flipped if isinstance(flipped, bool) else None,
        index=index if isinstance(index, int) and not isinstance(index, bool) else None,
    )


def _preference(record: Record) -> float | None:
    if "preference" not in record:
        raise InputError("no 'preference'")
    value = record["preference"]
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None:
        raise InputError(f"'preference' must be a number or null, found {shown(value)}")
    if math.isnan(number):  # pandas writes NaN for a missing one
        return None
    if number != 0 and not 1 <= number <= 2:
        raise InputError(f"'preference' must be 0 (draw) or from 1 to 2, found {number:g}")
    return number


def _annotator(record: Record) -> str:
    """Return the annotator of a row. People have a number, which is `annotator_index` in AlpacaFarm's files."""
    for name in ("annotator", "annotator_index"):
        value = record.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return "unknown"


def _text(record: Record, name: str) -> str | None:
    value = record.get(name)
    return readable(value) if isinstance(value, str) else None
