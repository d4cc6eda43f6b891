"""The models that are compared: the names that the user gives, and the files of answers among them."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

from console.errors import InputError
from console.output import counted
from console.progress import say
from console.visible import one_line
from engines.options import EngineOptions, check_engine, is_served, pinned
from evals.comparing.matching import key_of, stripped
from evals.head_to_head.options import Config
from judges.options import PAIRWISE
from judges.panels.panel import member_named
from records import Response
from records.fields.preferences import Names, names_in
from records.files import BadRows, Record, checked_file
from records.inputs import KINDS, stem_of
from records.runs import Run, find_run
from records.shapes import UNKNOWN_MODEL, located, responses_of, sides_of


@dataclass(frozen=True)
class Model:
    """A model that answers the prompts."""

    name: str
    options: EngineOptions


@dataclass(frozen=True)
class AnswerFile:
    """A file with the answers of one model."""

    name: str
    path: Path
    answers: dict[str, Response]
    """By the text of their prompt, without reasoning, in the order of the file."""


Side = Model | AnswerFile


def read_sides(config: Config) -> list[Side]:
    """Return the models and files that the flags name, with distinct names. Asks and loads no model.

    Raises InputError if there are fewer than two, if one is named twice, if a file has no answers or those of several
    models, or if a model does not exist.
    """
    words = _named(config)
    if len(words) < 2:
        only = f"there is only {one_line(words[0])}" if words else "none is named"
        raise InputError(f"two or more models or files of answers are compared, and {only}; see --help")
    for word, n in Counter(map(_identity, words)).items():
        if n > 1:
            raise InputError(f"{one_line(word)} is named {n} times: a model is not compared with itself")
    sides = [_side(word, config) for word in words]
    for side in sides:
        if isinstance(side, Model):
            check_engine(side.options)
    _say_equal([side for side in sides if isinstance(side, AnswerFile)])
    return _with_distinct_names(sides)


def is_file(word: str) -> bool:
    """Return whether a word names a file of answers: it is a file, but no TOML file, or its ending says so."""
    return (os.path.isfile(word) and not word.endswith(".toml")) or word.lower().removesuffix(".gz").endswith(KINDS)


def _named(config: Config) -> list[str]:
    words = [*config.models, *([config.engine.model] if config.engine.model else []), *config.baseline]
    if words or config.engine.run is None:
        return words
    run = find_run(config.engine.run)
    return [f"iter{number}" for number in run.iterations() if _has_model(run, number)]


def _has_model(run: Run, number: int) -> bool:
    return run.model(number).exists()


def _identity(word: str) -> str:
    return os.path.realpath(word) if os.path.isfile(word) else word


def _side(word: str, config: Config) -> Side:
    if is_file(word):
        return _read(Path(word), config)
    options, judging = member_named(word, config.engine, PAIRWISE)
    if judging != PAIRWISE:
        raise InputError(
            f"{one_line(word)}: only the settings of an engine differ by model; a judge's are --judge- flags"
        )
    if is_served(options) and config.engine.model == word:
        options = replace(options, served_as=config.engine.served_as)
    return Model(options.model, pinned(options))


def _read(path: Path, config: Config) -> AnswerFile:
    answers: dict[str, Response] = {}
    models: set[str] = set()
    several: set[str] = set()
    pairs: Counter[Names] = Counter()
    rows = located(checked_file(path), BadRows(strict=config.strict), partial(_compared, pairs=pairs))
    for response in (stripped(row) for _, row in rows):
        key = key_of(response.prompt)
        models.add(response.model)
        if answers.setdefault(key, response).response != response.response:
            several.add(key)
    if len(models) > 1:
        shown = ", ".join(sorted(models)[:3])
        raise InputError(f"{path}: answers of {len(models)} models ({shown}); give one file for each")
    for (first, second), n in pairs.items():
        say(f"{path}: {counted(n, 'rows')} with two answers: '{first}' is compared, and '{second}' is not")
    if several:
        say(f"{path}: several answers to {len(several)} of {len(answers)} prompts, of which the first is compared")
    if n_empty := sum(not response.response.strip() for response in answers.values()):
        say(f"{path}: {n_empty} of {len(answers)} answers are empty; the judge compares them as they are")
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


def _say_equal(files: Sequence[AnswerFile]) -> None:
    """Name files that hold the same answers, because the judge then compares each text with itself."""
    for one, other in combinations(files, 2):
        if {key: row.response for key, row in one.answers.items()} == {
            key: row.response for key, row in other.answers.items()
        }:
            say(f"warning: {one.path} and {other.path} hold the same answers: each is compared with itself")


def _with_distinct_names(sides: Sequence[Side]) -> list[Side]:
    """Return the sides under the names of their models, and files under their own names too if these are the same."""
    named = list(sides)
    for with_path in (False, True):
        counts = Counter(side.name for side in named)
        named = [_renamed(side, with_path) if counts[side.name] > 1 else side for side in named]
    if doubled := [name for name, n in Counter(side.name for side in named).items() if n > 1]:
        raise InputError(f"two models are called {one_line(doubled[0])}: serve them under other names, or give paths")
    return named


def _renamed(side: Side, with_path: bool) -> Side:
    if isinstance(side, Model):
        return side
    return replace(side, name=str(side.path) if with_path else f"{side.name} ({stem_of(side.path)})")
