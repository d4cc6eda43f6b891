"""A file with the answers of one model, as it is compared with other models or checked."""

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from console.errors import InputError
from console.output import counted
from console.progress import say
from evals.comparing.matching import key_of, stripped
from records import Response
from records.fields.preferences import Names, names_in
from records.files import BadRows, Record, checked_file
from records.inputs import KINDS, stem_of
from records.shapes import UNKNOWN_MODEL, located, responses_of, sides_of


@dataclass(frozen=True)
class AnswerFile:
    """A file with the answers of one model."""

    name: str
    path: Path
    answers: dict[str, Response]
    """By the text of their prompt, without reasoning, in the order of the file."""


def is_file(word: str) -> bool:
    """Return whether a word names a file of answers: it is a file, but no TOML file, or its ending says so."""
    return (os.path.isfile(word) and not word.endswith(".toml")) or word.lower().removesuffix(".gz").endswith(KINDS)


def read_answer_file(path: Path, *, strict: bool) -> AnswerFile:
    """Return the answers in a file of any shape that `records` reads, the first to each prompt.

    Of rows with two answers the first side is read. Raises InputError for answers of several models, or if all are
    empty.
    """
    answers: dict[str, Response] = {}
    models: set[str] = set()
    several: set[str] = set()
    pairs: Counter[Names] = Counter()
    rows = located(checked_file(path), BadRows(strict=strict), partial(_compared, pairs=pairs))
    for response in (stripped(row) for _, row in rows):
        key = key_of(response.prompt)
        models.add(response.model)
        if answers.setdefault(key, response).response != response.response:
            several.add(key)
    if len(models) > 1:
        shown = ", ".join(sorted(models)[:3])
        raise InputError(f"{path}: answers of {len(models)} models ({shown}); give one file for each")
    for (first, second), n in pairs.items():
        say(f"{path}: {counted(n, 'rows')} with two answers: '{first}' is taken, and '{second}' is not")
    if several:
        say(f"{path}: several answers to {len(several)} of {len(answers)} prompts, of which the first is taken")
    if n_empty := sum(not response.response.strip() for response in answers.values()):
        say(f"{path}: {n_empty} of {len(answers)} answers are empty; they count as they are")
    if n_empty == len(answers):
        raise InputError(f"{path}: all answers are empty")
    (model,) = models
    return AnswerFile(stem_of(path) if model == UNKNOWN_MODEL else model, path, answers)


def _compared(record: Record, pairs: Counter[Names]) -> list[Response]:
    """Return the answers of a record, of two by one model the first. `pairs` counts these by the names of their sides.

    Two by different models are both returned: such a file is refused.
    """
    sides, names = sides_of(record), names_in(record)
    if sides is None or names is None:
        return responses_of(record)
    first, second = sides
    if {response.model for response in first} != {response.model for response in second}:
        return [*first, *second]
    pairs[names] += 1
    return first
