"""The categories of the prompts: what files of prompts and of answers say about them."""

from collections.abc import Iterable
from pathlib import Path

from evals.comparing.matching import key_of
from records import Prompt
from records.files import BadRows, Record
from records.shapes import located, prompt_of

FIELDS = ("category", "dataset", "source")
"""The fields that may name a prompt's category, the first of which counts."""


def categories_in(paths: Iterable[Path]) -> dict[str, str]:
    """Return the first category that a record of the files names for each prompt, by the prompts' texts."""
    categories: dict[str, str] = {}

    def note(record: Record) -> list[Prompt]:
        prompt = prompt_of(record)
        names = (record.get(name) for name in FIELDS)
        if category := next((name.strip() for name in names if isinstance(name, str) and name.strip()), None):
            categories.setdefault(key_of(prompt.prompt, prompt.system), category)
        return [prompt]

    for path in paths:
        for _ in located(path, BadRows(quiet=True), note):
            pass
    return categories
