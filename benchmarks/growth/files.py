"""Files of any number of rows, written row by row."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow
import pyarrow.parquet

TEXT = "It depends on the pressure, since water boils when its vapour pressure equals that of the air. "
SCORES = (0.5, 1.5, 2.5, 3.5, 4.5)
Rows = Iterator[dict[str, Any]]


def responses(n: int, per_prompt: int = 4, *, apart: bool = False) -> Rows:
    """Yield `n` answers of about 500 characters. `apart` has the first answers to all prompts before the second ones.

    The final answer of each is one of a few numbers, as often as not the same.
    """
    n_prompts = max(1, n // per_prompt)
    for place in range(n):
        prompt, answer = (place % n_prompts, place // n_prompts) if apart else divmod(place, per_prompt)
        number = (7 * prompt + answer * answer) % 5
        asked = f"Question {prompt}: at which temperature does water boil on a mountain, and why is that so?"
        yield {
            "id": f"r{prompt}-{answer}",
            "prompt_id": f"p{prompt}",
            "prompt": asked,
            "response": f"{answer}. {TEXT * 4}The final answer is {number}.",
            "model": f"m{answer % 2}",
        }


def others(n: int) -> Rows:
    """Yield answers of another model to the prompts of `responses(n)`."""
    for row in responses(n):
        yield row | {"id": f"o{row['id']}", "response": f"No. {row['response']}", "model": "other"}


def contests(n: int) -> Rows:
    """Yield `n` pairs of answers to compare."""
    for row in responses(n, 1):
        yield {
            "prompt": row["prompt"],
            "response_a": row["response"],
            "response_b": f"No. {row['response']}",
            "model_a": "m0",
            "model_b": "m1",
        }


def preferences(n: int) -> Rows:
    """Yield `n` preference pairs."""
    for row in responses(n, 1):
        yield {"prompt": row["prompt"], "chosen": row["response"], "rejected": f"No. {row['response']}"}


def judgments(n: int, *, apart: bool = False) -> Rows:
    """Yield judgments of `responses(n)` as judges.score writes them."""
    for number, row in enumerate(responses(n, apart=apart)):
        score = SCORES[number * 2654435761 % 65537 % 5] if number % 97 else None
        yield {
            "id": f"j-{row['id']}",
            "response_id": row["id"],
            "prompt_id": row["prompt_id"],
            "prompt": row["prompt"],
            "response": row["response"],
            "model": row["model"],
            "score": score,
            "scores": [score],
            "replies": ['{"0":-3.1,"1":-2.9,"2":-2.5,"3":-1.2,"4":-0.7,"5":-2.2}'],
            "error": None if score is not None else "no choice has a probability",
            "spread": 0.25 + number % 3 / 8,
            "rubric": "additive",
            "judge": "0123456789abcdef",
            "usage": {"n_calls": 1, "n_prompt_tokens": 300, "n_tokens": 1},
            "read": "logprobs",
            "aggregate": "mean",
            "n_samples": 1,
            "reply_samples": [0],
            "mass": 0.99,
        }


def write(path: Path, rows: Rows) -> Path:
    """Write rows as the ending of `path` says."""
    if path.suffix == ".parquet":
        return _parquet(path, rows)
    with opened(path) as file:
        if path.suffix == ".csv":
            first = next(rows)
            table = csv.DictWriter(file, list(first))
            table.writeheader()
            table.writerow(first)
            table.writerows(rows)
        else:
            is_list = path.suffix == ".json"
            for number, row in enumerate(rows):
                before = ("[\n" if number == 0 else ",\n") if is_list else ""
                file.write(before + json.dumps(row) + ("" if is_list else "\n"))
            file.write("\n]\n" if is_list else "")
    return path


def opened(path: Path) -> IO[str]:
    """Return a file open for writing, packed if it ends in .gz."""
    if path.suffix == ".gz":
        return gzip.open(path, "wt", 1, encoding="utf-8")
    return path.open("w", encoding="utf-8")


def _parquet(path: Path, rows: Rows) -> Path:
    first = next(rows)
    schema = pyarrow.Table.from_pylist([first]).schema
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        waiting = [first]
        for row in rows:
            waiting.append(row)
            if len(waiting) == 10_000:
                writer.write_table(pyarrow.Table.from_pylist(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(pyarrow.Table.from_pylist(waiting, schema))
    return path
