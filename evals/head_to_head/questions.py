"""The prompts of a head-to-head: those of a file, of the files of answers, or the held-out prompts of a run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from console.errors import InputError
from console.progress import say
from console.visible import one_line
from evals.comparing.matching import key_of
from evals.head_to_head.sides import AnswerFile, Side
from records import Message, Prompt, Response, messages_of, text_of
from records.files import BadRows, Record, checked_file, take
from records.runs import Run
from records.shapes import located, prompt_of, read_prompts

SHOWN = 3
CATEGORIES = ("category", "dataset", "source")
"""The fields that may name a prompt's category, the first of which counts."""
LEAST_IN_CATEGORY = 2
"""Prompts in a category on average. With fewer the field is no category: an id, or an address."""


@dataclass(frozen=True)
class Question:
    """A prompt, the text by which answers to it are found, and its category if it has one."""

    prompt: Prompt
    key: str
    category: str | None = None

    @property
    def asked(self) -> str | list[Message]:
        """The prompt with its system turn."""
        prompt = self.prompt
        return prompt.prompt if prompt.system is None else messages_of(prompt.prompt, prompt.system)


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

    They are those of the file `prompts`, or those of all files of answers, or else the held-out prompts of `run`.
    Prompts without an answer in a file are counted and named on stderr. Raises InputError if none is left, or if there
    are no prompts.
    """
    files = [side for side in sides if isinstance(side, AnswerFile)]
    if prompts is None and files:
        listed = _once([question for file in files for question in _of_answers(file, strict=strict)])
        source = ", ".join(str(file.path) for file in files)
    else:
        path = prompts or _held_out(run)
        every = list(_of_prompts(checked_file(path), strict=strict))
        listed, source = _once(every), str(path)
        if len(listed) < len(every):
            say(f"{path}: {len(every) - len(listed)} of {len(every)} prompts repeat another one and count once")
    common = [question for question in listed if all(answer_in(file, question) for file in files)]
    left_out = {file.name: _say_missing(file, listed) for file in files}
    if not common:
        names = ", ".join(str(file.path) for file in files)
        raise InputError(f"no prompt of {source} has an answer in each of {names}: the prompts' texts must be the same")
    return Questions(_categorised(list(take(common, limit))), source, left_out)


def answer_in(file: AnswerFile, question: Question) -> Response | None:
    """Return the file's answer to a question. Files often lack the system turn of a prompt."""
    chat = [turn for turn in messages_of(question.prompt.prompt) if turn["role"] != "system"]
    return file.answers.get(question.key) or file.answers.get(key_of(chat))


def _held_out(run: Run | None) -> Path:
    if run is None:
        raise InputError("no prompts: give --prompts FILE, files of answers, or --run RUN for its held-out prompts")
    path = run.folder / "eval" / "prompts.jsonl"
    if not path.exists():
        raise InputError(f"{path}: no such file, so {run.folder} has no held-out prompts; give --prompts FILE")
    return path


def _of_prompts(path: Path, *, strict: bool) -> Iterable[Question]:
    categories = _categories(path)
    for prompt in read_prompts(path, BadRows(strict=strict)):
        key = key_of(prompt.prompt, prompt.system)
        yield Question(prompt, key, categories.get(key))


def _of_answers(file: AnswerFile, *, strict: bool) -> Iterable[Question]:
    categories = _categories(file.path)
    for key, answer in file.answers.items():
        prompt = Prompt(id=answer.prompt_id, prompt=answer.prompt, reference=answer.reference)
        yield Question(prompt, key, categories.get(key))


def _categories(path: Path) -> dict[str, str]:
    """Return the categories that the records of a file name, by the texts of their prompts."""
    categories: dict[str, str] = {}

    def note(record: Record) -> list[Prompt]:
        prompt = prompt_of(record)
        names = (record.get(name) for name in CATEGORIES)
        if category := next((name.strip() for name in names if isinstance(name, str) and name.strip()), None):
            categories.setdefault(key_of(prompt.prompt, prompt.system), category)
        return [prompt]

    for _ in located(path, BadRows(quiet=True), note):
        pass
    return categories


def _once(questions: Iterable[Question]) -> list[Question]:
    by_key: dict[str, Question] = {}
    for question in questions:
        by_key.setdefault(question.key, question)
    return list(by_key.values())


def _categorised(questions: Sequence[Question]) -> list[Question]:
    """Return the questions, without categories if there is only one or they are too many to be categories."""
    n_categories = len(Counter(question.category for question in questions if question.category))
    if n_categories > 1 and n_categories * LEAST_IN_CATEGORY <= len(questions):
        return list(questions)
    return [Question(question.prompt, question.key) for question in questions]


def _say_missing(file: AnswerFile, questions: Sequence[Question]) -> int:
    missing = [question for question in questions if answer_in(file, question) is None]
    if missing:
        texts = (one_line(shorten(text_of(question.prompt.prompt), 60)) for question in missing[:SHOWN])
        more = ", ..." if len(missing) > SHOWN else ""
        shown = ", ".join(f"'{text}'" for text in texts)
        say(f"left out: {file.path} has no answer to {len(missing)} of {len(questions)} prompts: {shown}{more}")
    if n_other := len(file.answers) - (len(questions) - len(missing)):
        say(f"{file.path}: {n_other} answers are to other prompts and not compared")
    return len(missing)
