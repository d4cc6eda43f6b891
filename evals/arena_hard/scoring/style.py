"""The style of an answer: its length, and the headers, list items and bold texts outside of code.

The features are those of arena-hard-auto's style control: the difference of two lengths over their sum, and of the
other counts per length, the difference of the two densities over their sum plus one.

Shapes: N answers, F features.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken
from numpy.typing import NDArray

from console.errors import InputError
from evals.arena_hard.options import Style, Unit
from records.fields.values import number_in

FEATURES: tuple[Style, ...] = ("length", "headers", "lists", "bold")
ENCODING = "o200k_base"
ENCODING_URL = f"https://openaipublic.blob.core.windows.net/encodings/{ENCODING}.tiktoken"
CODE = re.compile(r"```([^`]*)```")
HEADERS = {f"h{n}": re.compile(rf"^#{{{n}}}\s", re.MULTILINE) for n in range(1, 7)}
LISTS = {
    "ordered": re.compile(r"^\s*\d+\.\s", re.MULTILINE),
    "unordered": re.compile(r"^\s*[-*+]\s", re.MULTILINE),
}
BOLD = {"**": re.compile(r"\*\*[^*\n]+\*\*"), "__": re.compile(r"__[^_\n]+__")}
Floats32 = NDArray[np.float32]
Metadata = dict[str, int | dict[str, int]]
"""What arena-hard-auto's files say of an answer: `token_len`, `header_count`, `list_count` and `bold_count`."""


@dataclass(frozen=True)
class Counts:
    """The markdown of an answer, counted, and its length in tokens if that is known."""

    headers: int
    lists: int
    bold: int
    tokens: int | None = None


def markdown_of(text: str) -> Metadata:
    """Return the counts of an answer as arena-hard-auto's files have them, code blocks left out."""
    prose = text
    for code in CODE.findall(text):
        prose = prose.replace(code, "")  # without its fences and wherever it stands, as arena-hard-auto does
    kinds = {"header_count": HEADERS, "list_count": LISTS, "bold_count": BOLD}
    return {
        name: {kind: len(pattern.findall(prose)) for kind, pattern in patterns.items()}
        for name, patterns in kinds.items()
    }


def counts_of(text: str, metadata: object) -> Counts:
    """Return the counts of an answer: those of its file's `metadata` if it has all of them, or else counted here."""
    given = metadata if isinstance(metadata, dict) else {}
    numbers = [_total(given.get(name)) for name in ("header_count", "list_count", "bold_count")]
    if any(number is None for number in numbers):
        markdown = markdown_of(text)
        numbers = [_total(markdown[name]) for name in ("header_count", "list_count", "bold_count")]
    headers, lists, bold = (number or 0 for number in numbers)
    return Counts(headers, lists, bold, _total(given.get("token_len")))


def unit_of(asked_unit: Unit, counts: Sequence[Counts]) -> Unit:
    """Return the unit in which all lengths are taken: tokens if every answer's are known or can be counted.

    Raises InputError if tokens are asked for and cannot be counted.
    """
    if asked_unit == "characters" or all(count.tokens is not None for count in counts):
        return "characters" if asked_unit == "characters" else "tokens"
    if is_at_hand():
        return "tokens"
    if asked_unit == "auto":
        return "characters"
    raise InputError(
        f"--style-length tokens: {sum(count.tokens is None for count in counts)} answers have no token_len, and "
        f"tiktoken's {ENCODING} is not in its cache; set TIKTOKEN_CACHE_DIR to a folder with it, or give "
        "--style-length characters"
    )


def length_of(text: str, counts: Counts, unit: Unit) -> int:
    """Return the length of an answer in `unit`, tokens or characters."""
    if unit == "characters":
        return len(text)
    return counts.tokens if counts.tokens is not None else len(encoder().encode(text, disallowed_special=()))


def is_at_hand() -> bool:
    """Return whether tiktoken has the vocabulary of gpt-4o in its cache, so that it needs no network."""
    name = hashlib.sha1(ENCODING_URL.encode()).hexdigest()
    usual = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", usual))
    return folder != "" and (Path(folder) / name).exists()  # an empty name turns the cache off


@cache
def encoder() -> tiktoken.Encoding:
    """Return the tokenizer of gpt-4o, with which arena-hard-auto measures lengths."""
    return tiktoken.get_encoding(ENCODING)


def numbers_of(text: str, counts: Counts, unit: Unit) -> list[int]:
    """Return the four numbers of an answer, in the order of FEATURES."""
    return [length_of(text, counts, unit), counts.headers, counts.lists, counts.bold]


def differences(model: Sequence[Sequence[int]], baseline: Sequence[Sequence[int]]) -> Floats32:
    """Return by how much the style of the model's answers differs from the baseline's, (N, F), each from -1 to 1.

    Both are the four numbers of each answer. Two empty answers have one length. Single precision is arena-hard-auto's,
    whose fits depend on it.
    """
    model_NF, baseline_NF = (np.array(numbers, dtype=np.float32) for numbers in (model, baseline))
    longer_N = model_NF[:, 0] - baseline_NF[:, 0]
    length_N = longer_N / np.maximum(model_NF[:, 0] + baseline_NF[:, 0], 1)
    per_length_NF, of_baseline_NF = (numbers[:, 1:] / (numbers[:, :1] + 1) for numbers in (model_NF, baseline_NF))
    densities_NF = (per_length_NF - of_baseline_NF) / (per_length_NF + of_baseline_NF + 1)
    differences_NF: Floats32 = np.column_stack([length_N, densities_NF])
    return differences_NF


def _total(value: Any) -> int | None:
    """Return a count, or the sum of the counts of several kinds, or None if it is neither."""
    if isinstance(value, Mapping):
        numbers = [number_in(number) for number in value.values()]
        return None if None in numbers or not numbers else int(sum(number or 0 for number in numbers))
    number = number_in(value)
    return None if number is None else int(number)
