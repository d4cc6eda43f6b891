"""The language of a text, by py3langid's naive Bayes model."""

from functools import cache

import py3langid  # type: ignore[import-untyped]

CLEARLY_NATS = 20.0
"""The lead of one language over another that makes a text clearly the one's."""
NOTHING_NATS = -1e30
"""The score of every language for a text that shows none of the model's features."""
NO_LANGUAGE = "zxx"


class UnclearError(ValueError):
    """The language of a text cannot be told. The message says why."""


@cache
def languages() -> frozenset[str]:
    """Return the codes of the languages that the model knows, such as `en`, `zh` and `yue`."""
    return frozenset(code for code, _ in py3langid.rank("")) - {NO_LANGUAGE}


def language_of(text: str) -> str:
    """Return the language of a text. Raises UnclearError if it has too few letters."""
    code, nats = py3langid.rank(text)[0]
    if code == NO_LANGUAGE or nats < NOTHING_NATS:
        raise UnclearError("it has too few letters to tell its language")
    return str(code)


def is_in(text: str, language: str) -> bool:
    """Return whether a text is in a language. Raises UnclearError if another one fits only slightly better."""
    likeliest = language_of(text)
    if likeliest == language:
        return True
    nats = dict(py3langid.rank(text))
    if nats[likeliest] - nats[language] < CLEARLY_NATS:
        raise UnclearError(f"it may be in {likeliest} or in {language}")
    return False
