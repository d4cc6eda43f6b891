"""What an answer has, for the reason that stands beside an outcome."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from console.output import counted
from judges.tools.constraints.kinds import shown
from judges.tools.constraints.languages import UnclearError, language_of
from judges.tools.constraints.sentences import capital_words, sentences

Settings = dict[str, Any]


def finding(kind: str, settings: Settings, text: str) -> str | None:
    """Return what the answer has of what a constraint asks, in a few words, or None if yes or no says it all."""
    find = FINDINGS.get(kind)
    return find(settings, text) if find else None


def _count(noun: str, n: Callable[[Settings, str], int]) -> Callable[[Settings, str], str]:
    return lambda settings, text: f"it has {counted(n(settings, text), noun)}"


def _matches(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text, re.IGNORECASE))


def _missing(settings: Settings, text: str) -> str:
    missing = [word for word in settings["keywords"] if not _matches(word, text)]
    return f"it lacks {shown(missing)}" if missing else "it has all of them"


def _forbidden(settings: Settings, text: str) -> str:
    present = [word for word in settings["forbidden_words"] if _matches(rf"\b{word}\b", text)]
    return f"it has {shown(present)}" if present else "it has none"


def _language(_: Settings, text: str) -> str:
    langdetect = import_module("langdetect")  # an extra that may be missing
    try:
        return f"langdetect takes it for {langdetect.detect(text)}"
    except langdetect.LangDetectException:
        return "langdetect finds no language in it, which IFEval counts as followed"


def _case(is_right: Callable[[str], bool], other: Callable[[str], bool]) -> Callable[[Settings, str], str]:
    def find(settings: Settings, text: str) -> str:
        if is_right(text):
            return _language(settings, text)
        wrong = next((word for word in text.split() if any(map(other, word))), None)
        return f"it has {shown(wrong)}" if wrong else "it has no letters that have a case"

    return find


def _end(_: Settings, text: str) -> str:
    return f"it ends with {text.rstrip()[-40:]!r}"


def _own_language(_: Settings, text: str) -> str:
    try:
        return f"py3langid takes it for {language_of(text)}"
    except UnclearError as unclear:
        return str(unclear)


FINDINGS: dict[str, Callable[[Settings, str], str]] = {
    "keywords:existence": _missing,
    "keywords:frequency": _count("of them", lambda settings, text: _matches(settings["keyword"].strip(), text)),
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _count("of them", lambda s, text: text.lower().count(s["letter"].lower())),
    "language:response_language": _language,
    "length_constraints:number_sentences": _count("sentences", lambda _, text: len(sentences(text))),
    "length_constraints:number_words": _count("words", lambda _, text: len(re.findall(r"\w+", text))),
    "change_case:capital_word_frequency": _count("of them", lambda _, text: len(capital_words(text))),
    "change_case:english_capital": _case(str.isupper, str.islower),
    "change_case:english_lowercase": _case(str.islower, str.isupper),
    "punctuation:no_comma": _count("commas", lambda _, text: text.count(",")),
    "startend:end_checker": _end,
    "judgeloop:at_most_words": _count("words", lambda _, text: len(re.findall(r"\w+", text))),
    "judgeloop:language": _own_language,
    "judgeloop:prompt_language": _own_language,
}
