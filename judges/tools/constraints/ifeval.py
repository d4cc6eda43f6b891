"""IFEval's checkers in lm-eval, with their traps closed: nothing is downloaded, guessed or left to chance."""

import logging
import os
import threading
from functools import cache
from importlib import import_module
from typing import Any

from console.errors import InputError

GET_DATA = "python -m nltk.downloader punkt_tab"
NEED_PUNKT = frozenset({"length_constraints:number_sentences", "change_case:capital_word_frequency"})
"""Kinds that split a text into sentences with NLTK's model."""
LIBRARY = "lm_eval.tasks.ifeval.instructions"
_importing = threading.Lock()


@cache
def checkers() -> dict[str, Any]:
    """Return lm-eval's checker of each kind. It is imported here, because NLTK takes seconds to load.

    Raises InputError if a package of the extra lm-eval[ifeval] is not installed.
    """
    with _importing:
        before = os.environ.get("LOCAL_RANK")
        os.environ["LOCAL_RANK"] = "1"  # the module downloads NLTK's data when it is imported, on rank 0 alone
        try:
            registry = import_module("lm_eval.tasks.ifeval.instructions_registry")
            langdetect = import_module("langdetect")
        except ImportError as error:
            raise InputError(f"constraints cannot be checked: {error}; pip install 'lm-eval[ifeval]'") from None
        finally:
            if before is None:
                del os.environ["LOCAL_RANK"]
            else:
                os.environ["LOCAL_RANK"] = before
    langdetect.DetectorFactory.seed = 0  # otherwise a short text has another language at each call
    logging.getLogger(LIBRARY).setLevel(logging.CRITICAL)  # it prints an answer whose language it cannot tell
    return dict(registry.INSTRUCTION_DICT)


@cache
def has_punkt() -> bool:
    """Return whether NLTK's sentence model is on this machine."""
    return bool(import_module("nltk.tokenize").punkt_model_available())


def why_not(kind: str) -> str | None:
    """Return why a kind cannot be checked on this machine, or None if it can."""
    if kind in NEED_PUNKT and not has_punkt():
        return f"NLTK's sentence model punkt_tab is not installed; {GET_DATA} gets it"
    return None


def follows(kind: str, settings: dict[str, Any], text: str) -> bool:
    """Return whether `text` follows a constraint of IFEval with checked settings."""
    if kind == "keywords:letter_frequency":
        return _letters(text, **settings)
    checker = checkers()[kind](kind)
    checker.build_description(**settings)
    return bool(checker.check_following(text))


def _letters(text: str, letter: str, let_relation: str, let_frequency: int) -> bool:
    """Count any character as IFEval does. lm-eval puts a random letter in the place of a `#`."""
    n = text.lower().count(letter.lower())
    return n < let_frequency if let_relation == "less than" else n >= let_frequency
