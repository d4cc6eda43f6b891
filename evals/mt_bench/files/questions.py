"""Reads question.jsonl, and the answers of models and references in FastChat's format: `question_id`, `choices`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.progress import say
from evals.comparing.naming import id_in, listed, name_in
from evals.mt_bench.options import Bench
from records.fields.messages import text_in
from records.files import BadRows, Record
from records.inputs import stem_of
from records.reasoning import without_reasoning
from records.shapes import located

FAILED = "$ERROR$"
"""FastChat's text for an answer whose call failed."""
N_TURNS: dict[Bench, int] = {"mt_bench": 2, "vicuna_bench": 1}


@dataclass(frozen=True)
class Question:
    """The turns of the user, with the question's id and category."""

    id: str
    category: str
    turns: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """The answers of one model, one for each turn, None if one is null, by the ids of their questions."""

    model: str
    path: Path
    by_id: Mapping[str, tuple[str | None, ...]]


def read_questions(path: Path, bench: Bench, bad: BadRows) -> list[Question]:
    """Return the questions of a file, each once.

    Raises InputError if an id stands for two questions, or if the questions have another number of turns than the
    benchmark's.
    """
    by_id: dict[str, Question] = {}
    n_rows = 0
    for where, question in located(path, bad, lambda record: [_question(record)]):
        n_rows += 1
        if by_id.setdefault(question.id, question) != question:
            raise InputError(f"{where}: the id {question.id} stands for another question above; keep one of them")
    if n_rows > len(by_id):
        say(f"{path}: {n_rows - len(by_id)} of {n_rows} questions repeat another one and count once")
    if others := [question.id for question in by_id.values() if len(question.turns) != N_TURNS[bench]]:
        other = next((name for name, n in N_TURNS.items() if n == len(by_id[others[0]].turns)), None)
        hint = f": are they of --bench {other}?" if other else ""
        raise InputError(f"{path}: {len(others)} questions have not {N_TURNS[bench]} turns ({listed(others)}){hint}")
    return list(by_id.values())


def read_answers(path: Path, bad: BadRows) -> Answers:
    """Return the first choice of each answer of a file, without reasoning.

    Raises InputError if they are of several models, or if two answers to a question differ.
    """
    by_id: dict[str, tuple[str | None, ...]] = {}
    models: set[str] = set()
    n_rows = 0
    for where, (model, question_id, turns) in located(path, bad, lambda record: [_answer(record, path)]):
        n_rows += 1
        models.add(model)
        if by_id.setdefault(question_id, turns) != turns:
            raise InputError(f"{where}: a second answer to {question_id}, which differs from the first; keep one")
    if len(models) > 1:
        raise InputError(f"{path}: answers of {len(models)} models ({listed(sorted(models))}); give one file for each")
    if n_rows > len(by_id):
        say(f"{path}: {n_rows - len(by_id)} of {n_rows} answers repeat another one and count once")
    return Answers(models.pop(), path, by_id)


def check_answers(answers: Answers, questions: Sequence[Question], what: str) -> None:
    """Raise InputError if an answer to a turn of one of the questions is missing, null or empty.

    `what` names the model in the message.
    """
    missing = [question.id for question in questions if question.id not in answers.by_id]
    if missing:
        n = f"{len(missing)} of {len(questions)} questions"
        raise InputError(f"{answers.path}: {what} {answers.model} has no answer to {n}: {listed(missing)}")
    if empty := [question.id for question in questions if not is_whole(answers.by_id[question.id], question)]:
        n = f"{len(empty)} empty or null answers"
        raise InputError(f"{answers.path}: {what} {answers.model} has {n}: {listed(empty)}")


def is_whole(turns: Sequence[str | None], question: Question) -> bool:
    """Return whether there is an answer that is not empty to each turn."""
    return len(turns) >= len(question.turns) and all((text or "").strip() for text in turns[: len(question.turns)])


def written_id(question_id: str) -> int | str:
    """Return an id as FastChat's files have it."""
    return int(question_id) if question_id.isascii() and question_id.isdigit() else question_id


def _question(record: Record) -> Question:
    turns = record.get("turns")
    if not isinstance(turns, list) or not turns:
        raise InputError("'turns' must be a list of texts")
    texts = tuple(text_in(turn, "turns") for turn in turns)
    return Question(id_in(record, "question_id"), name_in(record, "category") or "general", texts)


def _answer(record: Record, path: Path) -> tuple[str, str, tuple[str | None, ...]]:
    choices = record.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    turns = first.get("turns") if isinstance(first, dict) else None
    if not isinstance(turns, list) or not turns:
        raise InputError("no answer: expected 'choices' with 'turns'")
    model = name_in(record, "model_id", "model") or stem_of(path)
    return model, id_in(record, "question_id"), tuple(_turn(turn) for turn in turns)


def _turn(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    if text is None or text == FAILED:
        return None
    return without_reasoning(text_in(text, "turns", empty=True))
