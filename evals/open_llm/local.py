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
SENTENCE = re.compile(r".*? given sentence: (.*)\n\nOption1: (.*) Option2: (.*) Answer format: .*", re.DOTALL)
"""An item of WinoGrande, and above one of ARC, as LLM-Adapters (arXiv 2304.01933) writes it in one text."""


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
    question, listed = _parts(QUESTION, record["instruction"])
    texts = re.split(r"(?:^| )Answer\d: ", listed)[1:]  # before the first mark there is nothing
    choices = {"text": texts, "label": list(LETTERS[: len(texts)])}
    # answer1 is A
    return {"question": question, "choices": choices, "answerKey": choices["label"][_number(record["answer"]) - 1]}


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


def _parts(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"unknown wording: {text[:60]!r}")
    return match.groups()


def _number(answer: str) -> int:
    """Return 3 for answer3 or option3."""
    return int(answer[-1])


ROWS: dict[str, Callable[[Record], Record]] = {
    "arc": _arc,
    "gsm8k": _gsm8k,
    "ifeval": ifeval_row,
    "mmlu": _mmlu,
    "truthfulqa": _truthfulqa,
    "winogrande": _winogrande,
}
