"""The prompts of a head-to-head: those of a file, of the files of answers, or the held-out prompts of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten

import msgspec

from console.errors import InputError
from console.progress import say
from console.visible import one_line
from evals.comparing.answer_files import AnswerFile
from evals.comparing.matching import key_alone, key_of
from evals.head_to_head.categories import categories_in
from evals.head_to_head.sides import Side
from records import Message, Prompt, Response, messages_of, text_of
from records.files import BadRows, checked_file, take
from records.runs import Run
from records.shapes import read_prompts

SHOWN = 3
LEAST_IN_CATEGORY = 2
"""Prompts in a category on average. With fewer the field is no category: an id, or an address."""


@dataclass(frozen=True)
class Question:
    """A prompt, the texts by which answers to it are found, and its category if it has one."""

    prompt: Prompt
    key: str
    category: str | None = None
    key_alone: str | None = None
    """The text without the system turn, which files of answers often lack, if no other prompt has that text."""

    @property
    def asked(self) -> str | list[Message]:
        """The prompt with its system turn."""
        prompt = self.prompt
        return prompt.prompt if prompt.system is None else messages_of(prompt.prompt, prompt.system)

    @property
    def keys(self) -> list[str]:
        """The texts by which answers to it are found, the surest first."""
        return [self.key] if self.key_alone is None else [self.key, self.key_alone]


@dataclass(frozen=True)
class Questions:
    """Different prompts that every file of answers answers, and their origin in words."""

    all: list[Question]
    source: str
    n_left_out: dict[str, int]
    """By the name of a file's model the prompts that its file does not answer."""


def read_questions(
    prompts: Path | None, sides: Sequence[Side], run: Run | None, limit: int | None, *, strict: bool
) -> Questions:
    """Return the first `limit` prompts that every file among the `sides` answers.

    They are those of the file `prompts`, or those of all files of answers, or else the held-out prompts of `run`. The
    order in which the files are named changes nothing. Prompts without an answer in a file are counted and named on
    stderr. Raises InputError if none is left, or if there are no prompts.
    """
    files = sorted((side for side in sides if isinstance(side, AnswerFile)), key=lambda file: file.path)
    paths = [file.path for file in files]
    if prompts is None and files:
        listed, source = _listed(_of_answers(files)), ", ".join(map(str, paths))
    else:
        path = prompts or _held_out(run)
        listed, source = _listed(_of_prompts(checked_file(path), strict=strict)), str(path)
        paths = [path, *paths]
    common = [question for question in listed if all(answer_in(file, question) for file in files)]
    left_out = {file.name: _say_missing(file, listed) for file in files}
    if not common:
        names = ", ".join(str(file.path) for file in files)
        raise InputError(f"no prompt of {source} has an answer in each of {names}: the prompts' texts must be the same")
    return Questions(_categorised(list(take(common, limit)), categories_in(paths)), source, left_out)


def answer_in(file: AnswerFile, question: Question) -> Response | None:
    """Return the file's answer to a question."""
    return next((file.answers[key] for key in question.keys if key in file.answers), None)


def _held_out(run: Run | None) -> Path:
    if run is None:
        raise InputError("no prompts: give --prompts FILE, files of answers, or --run RUN for its held-out prompts")
    path = run.folder / "eval" / "prompts.jsonl"
    if not path.exists():
        raise InputError(f"{path}: no such file, so {run.folder} has no held-out prompts; give --prompts FILE")
    return path


def _of_prompts(path: Path, *, strict: bool) -> dict[str, Prompt]:
    every = list(read_prompts(path, BadRows(strict=strict)))
    prompts = _once((key_of(prompt.prompt, prompt.system), prompt) for prompt in every)
    if len(prompts) < len(every):
        say(f"{path}: {len(every) - len(prompts)} of {len(every)} prompts repeat another one and count once")
    return prompts


def _of_answers(files: Sequence[AnswerFile]) -> dict[str, Prompt]:
    """Return the prompts that the files answer, one with and without its system turn once."""
    prompts = _once(
        (key, Prompt(id=answer.prompt_id, prompt=answer.prompt, reference=answer.reference))
        for file in files
        for key, answer in file.answers.items()
    )
    with_system = Counter(alone for key, prompt in prompts.items() if (alone := key_alone(prompt)) != key)
    both = {
        alone
        for file in files
        for key, answer in file.answers.items()
        if (alone := key_alone(prompts[key])) != key and alone in file.answers
    }
    # no file answers both, so the one without a system turn is the other
    return {key: prompt for key, prompt in prompts.items() if with_system[key] != 1 or key in both}


def _once(prompts: Iterable[tuple[str, Prompt]]) -> dict[str, Prompt]:
    """Return the prompts by their texts: of those with one text the first, with the first reference of any."""
    by_key: dict[str, Prompt] = {}
    for key, prompt in prompts:
        first = by_key.setdefault(key, prompt)
        if first.reference is None and prompt.reference is not None:
            by_key[key] = msgspec.structs.replace(first, reference=prompt.reference)
    return by_key


def _listed(prompts: Mapping[str, Prompt]) -> list[Question]:
    alone = {key: key_alone(prompt) for key, prompt in prompts.items()}
    counts = Counter(alone.values())
    return [
        Question(prompt, key, key_alone=alone[key] if alone[key] != key and counts[alone[key]] == 1 else None)
        for key, prompt in prompts.items()
    ]


def _categorised(questions: Sequence[Question], categories: Mapping[str, str]) -> list[Question]:
    """Return the questions with their categories, or without if there is only one or too many to be categories."""
    named = [
        replace(question, category=next((categories[key] for key in question.keys if key in categories), None))
        for question in questions
    ]
    n_categories = len(Counter(question.category for question in named if question.category))
    return named if n_categories > 1 and n_categories * LEAST_IN_CATEGORY <= len(named) else list(questions)


def _say_missing(file: AnswerFile, questions: Sequence[Question]) -> int:
    missing = [question for question in questions if answer_in(file, question) is None]
    if missing:
        texts = (one_line(shorten(text_of(question.prompt.prompt), 60)) for question in missing[:SHOWN])
        more = ", ..." if len(missing) > SHOWN else ""
        shown = ", ".join(f"'{text}'" for text in texts)
        say(f"left out: {file.path} has no answer to {len(missing)} of {len(questions)} prompts: {shown}{more}")
    _say_matched_alone(file, questions)
    if n_other := len(file.answers) - (len(questions) - len(missing)):
        say(f"{file.path}: {n_other} answers are to other prompts and not compared")
    return len(missing)


def _say_matched_alone(file: AnswerFile, questions: Sequence[Question]) -> None:
    """Say how many prompts with a system turn have an answer to their text alone, and of which that is not known."""
    bare = [
        question
        for question in questions
        if question.key not in file.answers and key_alone(question.prompt) in file.answers
    ]
    n, n_found = len(questions), sum(question.key_alone is not None for question in bare)
    if n_found:
        say(f"{file.path}: matched by text alone, for lack of the system turn: {n_found} of {n} prompts")
    if n_open := len(bare) - n_found:
        why = "other prompts have the same text, and the file lacks the system turn"
        say(f"{file.path}: unanswered, because {why}: {n_open} of {n} prompts")
