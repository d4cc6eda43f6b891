"""Reads question.jsonl: `uid`, `category`, `prompt`, or `question_id`, `turns` as in the first files of v0.1."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.progress import say
from evals.arena_hard.benchmark import other_version
from evals.arena_hard.options import Version
from evals.comparing.naming import id_in, name_in
from records.fields.messages import text_in
from records.files import BadRows, Record
from records.shapes import located

OLDEST = "arena-hard-v0.1"
"""The category of questions whose file names none."""


@dataclass(frozen=True)
class Question:
    """A prompt with its id and its category."""

    uid: str
    category: str
    prompt: str


def read_questions(path: Path, version: Version, bad: BadRows) -> list[Question]:
    """Return the questions of a file, each once.

    Raises InputError if an id stands for two prompts, or if the questions are of another version.
    """
    by_uid: dict[str, Question] = {}
    n_rows = 0
    for where, question in located(path, bad, lambda record: [_question(record)]):
        n_rows += 1
        if by_uid.setdefault(question.uid, question) != question:
            raise InputError(f"{where}: the id {question.uid} stands for another prompt above; keep one of them")
    if n_rows > len(by_uid):
        say(f"{path}: {n_rows - len(by_uid)} of {n_rows} questions repeat another one and count once")
    for category in Counter(question.category for question in by_uid.values()):
        if other := other_version(category, version):
            raise InputError(f"{path}: questions of the category {category} are of --version {other}, not {version}")
    return list(by_uid.values())


def uid_of(record: Record) -> str:
    """Return the id of a question, an answer or a judgment. Raises InputError if there is none."""
    return id_in(record, "uid", "question_id")


def _question(record: Record) -> Question:
    prompt: Any = record.get("prompt")
    turns = record.get("turns")
    if prompt is None and isinstance(turns, list) and turns:
        if len(turns) > 1:
            raise InputError(f"{len(turns)} turns; Arena-Hard's questions have one")
        prompt = turns[0]
    return Question(uid_of(record), name_in(record, "category") or OLDEST, text_in(prompt, "prompt"))
