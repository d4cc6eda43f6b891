"""Reads model_answer/<model>.jsonl: with `uid`, `model`, `messages` and `metadata`, or with v0.1's `choices`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.progress import say
from evals.arena_hard.files.questions import Question, uid_of
from evals.arena_hard.scoring.style import Counts, counts_of
from evals.comparing.naming import listed, name_in
from records.fields.messages import text_in
from records.files import BadRows, Record
from records.inputs import stem_of
from records.reasoning import without_reasoning
from records.shapes import located

ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Answer:
    """The answer of a model to a question, without reasoning, or None if its output is null."""

    uid: str
    model: str
    text: str | None
    counts: Counts
    asked_text: str | None = None
    """The prompt that it answers, if its file has it."""


@dataclass(frozen=True)
class Answers:
    """The answers of one model by the ids of their questions."""

    model: str
    path: Path
    by_uid: dict[str, Answer]


def read_answers(path: Path, bad: BadRows) -> Answers:
    """Return the answers of a file.

    Raises InputError if they are of several models, or if two answers to a question differ.
    """
    by_uid: dict[str, Answer] = {}
    models: set[str] = set()
    n_rows = 0
    for where, answer in located(path, bad, lambda record: [_answer(record, path)]):
        n_rows += 1
        models.add(answer.model)
        if by_uid.setdefault(answer.uid, answer).text != answer.text:
            raise InputError(f"{where}: a second answer to {answer.uid}, which differs from the first; keep one")
    if len(models) > 1:
        raise InputError(f"{path}: answers of {len(models)} models ({listed(sorted(models))}); give one file for each")
    if n_rows > len(by_uid):
        say(f"{path}: {n_rows - len(by_uid)} of {n_rows} answers repeat another one and count once")
    return Answers(models.pop(), path, by_uid)


def files_in(places: Iterable[Path]) -> list[Path]:
    """Return the files among `places`, and those in the folders among them, in the order of their names.

    Raises InputError if a place does not exist or a folder has none.
    """
    files: list[Path] = []
    for place in places:
        if not place.is_dir():
            files.append(place)
            continue
        inside = sorted(path for path in place.iterdir() if path.name.endswith(ENDINGS))
        if not inside:
            deeper = next((path.parent for path in sorted(place.glob("*/*")) if path.name.endswith(ENDINGS)), None)
            raise InputError(f"{place}: no .jsonl file in this folder{f'; did you mean {deeper}?' if deeper else ''}")
        files += inside
    return files


def check_answers(answers: Answers, questions: Sequence[Question], what: str) -> None:
    """Raise InputError if an answer to one of the questions is missing, null, empty, or to another prompt.

    `what` names the model in the message.
    """
    missing = [question.uid for question in questions if question.uid not in answers.by_uid]
    if missing:
        n = f"{len(missing)} of {len(questions)} questions"
        raise InputError(f"{answers.path}: {what} {answers.model} has no answer to {n}: {listed(missing)}")
    check_prompts(answers, questions)
    texts = {question.uid: answers.by_uid[question.uid].text for question in questions}
    if empty := [uid for uid, text in texts.items() if not (text or "").strip()]:
        raise InputError(
            f"{answers.path}: {what} {answers.model} has {len(empty)} empty or null answers: {listed(empty)}"
        )


def check_prompts(answers: Answers, questions: Sequence[Question]) -> None:
    """Raise InputError if an answer is to another prompt than the question of its id."""
    for question in questions:
        answer = answers.by_uid.get(question.uid)
        if answer and answer.asked_text is not None and answer.asked_text.strip() != question.prompt.strip():
            raise InputError(f"{answers.path}: the answer to {question.uid} is to another prompt than the question's")


def _answer(record: Record, path: Path) -> Answer:
    asked_text, output = _turns(record)
    text = None if output is None else without_reasoning(text_in(output, "answer", empty=True))
    model = name_in(record, "model", "model_id") or stem_of(path)
    return Answer(uid_of(record), model, text, counts_of(text or "", record.get("metadata")), asked_text)


def _turns(record: Record) -> tuple[str | None, Any]:
    """Return the prompt and the output of a record, as its file has it: `{"answer": ...}`, text or null."""
    messages = record.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(turn, dict) for turn in messages):
        *before, last = messages
        if last.get("role") != "assistant":
            raise InputError("'messages' does not end with an assistant turn")
        users = [turn.get("content") for turn in before if turn.get("role") == "user"]
        asked_text = users[0] if len(users) == 1 and isinstance(users[0], str) else None
        return asked_text, _content(last.get("content"))
    choices = record.get("choices")
    turns = choices[0].get("turns") if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if isinstance(turns, list) and len(turns) == 1:
        turn = turns[0]
        return None, _content(turn.get("content") if isinstance(turn, dict) else turn)
    raise InputError("no answer: expected 'messages' that end with an assistant turn, or 'choices' with one turn")


def _content(value: Any) -> Any:
    return value.get("answer") if isinstance(value, dict) and "answer" in value else value
