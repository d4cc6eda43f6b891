"""The models that are compared: the names that the user gives, and the files of answers among them."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from console.errors import InputError
from console.progress import say
from console.visible import one_line
from engines.options import EngineOptions, check_engine, is_served, pinned
from evals.comparing.answer_files import AnswerFile, is_file, read_answer_file
from evals.head_to_head.options import Config
from judges.options import PAIRWISE
from judges.panels.panel import member_named
from records.inputs import stem_of
from records.runs import Run, find_run


@dataclass(frozen=True)
class Model:
    """A model that answers the prompts."""

    name: str
    options: EngineOptions


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
        return read_answer_file(Path(word), strict=config.strict)
    options, judging = member_named(word, config.engine, PAIRWISE)
    if judging != PAIRWISE:
        raise InputError(
            f"{one_line(word)}: only the settings of an engine differ by model; a judge's are --judge- flags"
        )
    if is_served(options) and config.engine.model == word:
        options = replace(options, served_as=config.engine.served_as)
    return Model(options.model, pinned(options))


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
