"""Reads a task's data from the hub's Parquet files or other people's copies, as rows like the hub's."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console.errors import InputError, RowError
from evals.open_llm.ifeval import ifeval_row
from records.files import BadRows, Record, read_records

LETTERS = "ABCDE"
QUESTION = re.compile(r".*? the question: (.*)\n\n(Answer1: .*)\n\nAnswer format: .*", re.DOTALL)
SOLUTIONS = re.compile(r".*? the question: (.*)\n\nSolution1: (.*)\n\nSolution2: (.*)\n\nAnswer format: .*", re.DOTALL)
SENTENCE = re.compile(r".*? given sentence: (.*)\n\nOption1: (.*) Option2: (.*) Answer format: .*", re.DOTALL)
"""An item of WinoGrande, and above those of ARC and PIQA, as LLM-Adapters (arXiv 2304.01933) writes it in one text."""


def first_match(patterns: list[str], folder: Path) -> list[Path]:
    """Return the files in `folder` of the first pattern that matches any, or an empty list."""
    return next((files for pattern in patterns if (files := sorted(folder.glob(pattern)))), [])


def read_split(files: list[Path], kind: str, bad: BadRows) -> list[Record]:
    """Return the rows of `files` with the fields of the hub's set `kind`. A row that lacks one is bad."""
    rows = []
    for path in files:
        for where, record in read_records(path, bad):
            try:
                rows.append(ROWS[kind](record))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                bad.add(RowError(f"{where}: not a row of {kind}: {type(error).__name__}: {error}"))
    if not rows:
        raise InputError(f"{files[0]}: no row of {kind}")
    return rows


def _arc(record: Record) -> Record:
    if "choices" in record:
        return {name: record[name] for name in ("question", "choices", "answerKey")}
    question, texts = _question(record)
    choices = {"text": texts, "label": list(LETTERS[: len(texts)])}
    # answer1 is A
    return {"question": question, "choices": choices, "answerKey": choices["label"][_number(record["answer"]) - 1]}


def _openbookqa(record: Record) -> Record:
    if "question_stem" in record:
        return {name: record[name] for name in ("question_stem", "choices", "answerKey")}
    row = _arc(record)
    return {"question_stem": row["question"], "choices": row["choices"], "answerKey": row["answerKey"]}


def _siqa(record: Record) -> Record:
    if "context" in record:
        return {name: record[name] for name in ("context", "question", "answerA", "answerB", "answerC", "label")}
    text, answers = _question(record)
    # the task joins both parts with a space, so that the text is the same wherever it is parted
    context, question = text.rsplit(" ", 1)
    by_letter = {f"answer{letter}": answer for letter, answer in zip("ABC", answers, strict=True)}
    return {"context": context, "question": question, **by_letter, "label": str(_number(record["answer"]))}


def _piqa(record: Record) -> Record:
    if "goal" in record:
        return {name: record[name] for name in ("goal", "sol1", "sol2", "label")}
    goal, first, second = _parts(SOLUTIONS, record["instruction"])
    # solution1 is 0
    return {"goal": goal, "sol1": first, "sol2": second, "label": _number(record["answer"]) - 1}


def _hellaswag(record: Record) -> Record:
    fields = {name: record[name] for name in ("activity_label", "ctx_a", "ctx_b", "endings")}
    # the hub has text, and the authors' file numbers
    return fields | {"label": str(record["label"])}


def _nq_open(record: Record) -> Record:
    return {name: record[name] for name in ("question", "answer")}


def _winogrande(record: Record) -> Record:
    if "option1" in record:
        return {name: record[name] for name in ("sentence", "option1", "option2", "answer")}
    sentence, first, second = _parts(SENTENCE, record["instruction"])
    sentence.index("_")  # raises ValueError for a sentence without a blank
    return {"sentence": sentence, "option1": first, "option2": second, "answer": str(_number(record["answer"]))}


def _mmlu(record: Record) -> Record:
    return {name: record[name] for name in ("subject", "question", "choices", "answer")}


def _gsm8k(record: Record) -> Record:
    return {name: record[name] for name in ("question", "answer")}


def _truthfulqa(record: Record) -> Record:
    """Return the hub's lists of choices and labels, made from a mapping of choices to labels if need be."""
    return {"question": record["question"]} | {name: _labelled(record[name]) for name in ("mc1_targets", "mc2_targets")}


def _labelled(targets: dict[str, Any]) -> dict[str, Any]:
    if set(targets) == {"choices", "labels"}:
        return targets
    return {"choices": list(targets), "labels": list(targets.values())}


def _question(record: Record) -> tuple[str, list[str]]:
    """Return the question and the answers of an item in LLM-Adapters' wording."""
    question, listed = _parts(QUESTION, record["instruction"])
    return question, re.split(r"(?:^| )Answer\d: ", listed)[1:]  # before the first mark there is nothing


def _parts(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"unknown wording: {text[:60]!r}")
    return match.groups()


def _number(answer: str) -> int:
    """Return 3 for answer3, option3 or solution3."""
    return int(answer[-1])


ROWS: dict[str, Callable[[Record], Record]] = {
    "arc": _arc,
    "gsm8k": _gsm8k,
    "hellaswag": _hellaswag,
    "ifeval": ifeval_row,
    "mmlu": _mmlu,
    "nq_open": _nq_open,
    "openbookqa": _openbookqa,
    "piqa": _piqa,
    "siqa": _siqa,
    "truthfulqa": _truthfulqa,
    "winogrande": _winogrande,
}
