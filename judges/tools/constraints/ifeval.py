"""IFEval's checkers in lm-eval, with their traps closed: nothing is downloaded, guessed or left to chance."""

import logging
import os
import re
import threading
from functools import cache
from importlib import import_module
from typing import Any

from console.errors import InputError
from judges.tools.constraints.sentences import capital_words, sentences

LIBRARY = "lm_eval.tasks.ifeval.instructions"
MOST_STEPS = 10_000_000
"""Steps of a regular expression, about a second."""
_importing = threading.Lock()


@cache
def checkers() -> dict[str, Any]:
    """Return lm-eval's checker of each kind. It is imported here, because NLTK takes seconds to load.

    Raises InputError if a package of the extra lm-eval[ifeval] is not installed.
    """
    with _importing:  # a second thread would take the 1 set below for the user's own value
        before = os.environ.get("LOCAL_RANK")
        os.environ["LOCAL_RANK"] = "1"  # the module downloads NLTK's data when it is imported, on rank 0 alone
        try:
            registry = import_module("lm_eval.tasks.ifeval.instructions_registry")
            langdetect = import_module("langdetect")
        except ImportError as error:
            raise InputError(f"constraints cannot be checked: {error}; pip install 'lm-eval[ifeval]'") from None
        finally:
            os.environ.pop("LOCAL_RANK")
            os.environ.update({"LOCAL_RANK": before} if before is not None else {})
    langdetect.DetectorFactory.seed = 0  # otherwise a short text has another language at each call
    logging.getLogger(LIBRARY).setLevel(logging.CRITICAL)  # it prints an answer whose language it cannot tell
    return dict(registry.INSTRUCTION_DICT)


def follows(kind: str, settings: dict[str, Any], text: str) -> bool:
    """Return whether `text` follows a constraint of IFEval with checked settings.

    Raises LookupError if NLTK's data are missing, ValueError if the text would take the checker too long, and whatever
    the checker raises.
    """
    match kind:
        case "keywords:letter_frequency":  # lm-eval puts a random letter in the place of a sign such as #
            n = text.lower().count(settings["letter"].lower())
            return _holds(n, settings["let_relation"], settings["let_frequency"])
        case "length_constraints:number_sentences":
            return _holds(len(sentences(text)), settings["relation"], settings["num_sentences"])
        case "change_case:capital_word_frequency":
            return _holds(len(capital_words(text)), settings["capital_relation"], settings["capital_frequency"])
    if (steps := _steps(kind, text)) > MOST_STEPS:
        raise ValueError(f"the checker would take {steps:,} steps")
    checker = checkers()[kind](kind)
    checker.build_description(**settings)  # stores the settings in the checker; its text is not used
    return bool(checker.check_following(text))


def _holds(n: int, relation: str, limit: int) -> bool:
    return n < limit if relation == "less than" else n >= limit


def _steps(kind: str, text: str) -> int:
    """Return how many steps the checkers take whose regular expressions need the square of a text's length."""
    match kind:
        case "detectable_content:number_placeholders":  # each [ looks for its ] up to the end of the line
            return max(line.count("[") * len(line) for line in text.split("\n"))
        case "detectable_format:title":
            return max(line.count("<<") * len(line) for line in text.split("\n"))
        case "detectable_format:number_bullet_lists" | "detectable_content:postscript":  # a line looks over all blanks
            return sum(len(blanks) ** 2 for blanks in re.findall(r"\s+", text))
    return 0
