"""Filters generated tasks by their text alone (Self-Instruct, arXiv 2212.10560, section 2.2)."""

import re

import py3langid  # type: ignore[import-untyped]

from console.errors import InputError
from console.ranges import check_ranges
from trainer.prompts.options import ANY, FilterOptions

KEYWORD = re.compile(r"\b(?:(?:image|graph|picture|file|map)s?|draw|plot|go\s+to)\b", re.IGNORECASE)
"""Words of tasks that text alone cannot do."""
CLEARLY_NATS = 20.0
"""The log-odds at which a text counts as foreign. Short English texts with few words or many numbers reach 11."""


def check_filters(options: FilterOptions) -> None:
    """Raise InputError if a setting is out of range or the language is unknown."""
    check_ranges(options)
    if options.min_words > options.max_words:
        raise InputError(f"--min-words must be from 1 to --max-words, not {options.min_words} and {options.max_words}")
    if options.language != ANY and options.language not in _languages():
        known = ", ".join(sorted(code for code in _languages() if len(code) == 2))
        raise InputError(f"--language {options.language} is not known; give any, or one of: {known}")


def text_fault(task: str, options: FilterOptions) -> str | None:
    """Return why the text of `task` rules it out as a prompt, or None."""
    n_words = len(task.split())
    if n_words < options.min_words:
        return "too short"
    if n_words > options.max_words:
        return "too long"
    if task.endswith((":", "：")):
        return "incomplete"  # the text that the colon announces is missing
    if KEYWORD.search(task):
        return "keyword"
    if task.lower().startswith("write a program"):
        return "program"
    if not _may_open(task[0], options.language):
        return "first character"
    if options.language != ANY and is_foreign(task, options.language):
        return "language"
    return None


def _may_open(character: str, language: str) -> bool:
    if language == "en":
        return character.isascii() and character.isalnum()
    return character.isalnum() or character in "¿¡"


def is_foreign(text: str, language: str) -> bool:
    """Return whether `text` is clearly in another language, by py3langid's naive Bayes model."""
    logprobs = dict(py3langid.rank(text))
    return bool(max(logprobs.values()) - logprobs[language] > CLEARLY_NATS)


def _languages() -> set[str]:
    return {code for code, _ in py3langid.rank("")}
