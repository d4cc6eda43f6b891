"""Writes a rubric as a TOML file with its prompt beside it."""

from pathlib import Path

import msgspec
import tomli_w

from judges.rubrics.rubric import Rubric, load_rubric
from records.store import write_atomic


def write_rubric(path: Path, rubric: Rubric) -> None:
    """Write a rubric to `path` and its prompt to a .txt beside it. What is written can be read again."""
    prompt = path.with_suffix(".txt")
    write_atomic(prompt, rubric.prompt + "\n")
    fields = msgspec.to_builtins(rubric).items()
    table = {name: value for name, value in fields if value or isinstance(value, bool)}
    if not rubric.values:
        table |= {"low": rubric.low, "high": rubric.high}
    else:
        table = {name: value for name, value in table.items() if name not in ("low", "high")}
    write_atomic(path, tomli_w.dumps({**table, "prompt": prompt.name}))
    load_rubric(str(path))
