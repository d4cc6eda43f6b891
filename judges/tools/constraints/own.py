"""Checkers of the kinds that IFEval lacks."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import regex
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend, validator_for
from markdown_it import MarkdownIt
from pygments.lexers import find_lexer_class_by_name
from pygments.util import ClassNotFound
from referencing import Registry

from judges.tools.constraints.languages import UnclearError, is_in, language_of

PREFIX = "judgeloop:"
REGEX_TIMEOUT_S = 1.0
"""The time for a user's regular expression on one text: some would take longer than the universe is old."""
MOST_JSON = 200_000
"""Characters of JSON that are held against a schema."""
NO_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
FENCED_JSON = re.compile(r"\A```(?:json)?(.*?)(?:```)?\Z", re.DOTALL | re.IGNORECASE)


def follows(kind: str, settings: dict[str, Any], prompt: str, text: str) -> bool:
    """Return whether `text` follows a constraint with checked settings.

    Raises TimeoutError, UnclearError and other errors if that cannot be told.
    """
    match kind:
        case "judgeloop:at_most_words":
            return _n_words(text) <= int(settings["num_words"])
        case "judgeloop:contains":
            return str(settings["text"]) in text
        case "judgeloop:regex":
            return _matches(settings["pattern"], text)
        case "judgeloop:json_schema":
            return _fits(settings["schema"], text)
        case "judgeloop:code_fence":
            wanted = settings.get("code_language", "").lower()
            return any(not wanted or wanted in _also_named(language) for language in _fenced_languages(text))
        case "judgeloop:language":
            return is_in(text, settings["language"])
        case "judgeloop:prompt_language":
            return is_in(text, language_of(prompt))
    raise NotImplementedError(kind)


def _n_words(text: str) -> int:
    if NO_SPACES.search(text):
        raise UnclearError("its script does not separate words by spaces")
    return len(re.findall(r"\w+", text))


def _matches(pattern: str, text: str) -> bool:
    return bool(regex.search(pattern, text, timeout=REGEX_TIMEOUT_S))


def _fits(schema: dict[str, Any], text: str) -> bool:
    if len(text) > MOST_JSON:
        raise ValueError(f"it has {len(text):,} characters; JSON of more than {MOST_JSON:,} is not checked")
    try:
        value = json.loads(FENCED_JSON.sub(r"\1", text.strip()), parse_constant=_refuse)
    except ValueError:
        return False
    checker = validator_for(schema)
    # the schema's own patterns get the timeout too; jsonschema searches with re, which has none
    timed = extend(checker, {"pattern": _pattern, "patternProperties": _pattern_properties})
    return bool(timed(schema, registry=Registry()).is_valid(value))  # an empty registry fetches nothing


def _refuse(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON lacks."""
    raise ValueError(f"{name} is not JSON")


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError(f"does not match {pattern}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], value: Any, _: Any) -> Iterator[ValidationError]:
    for pattern, schema in patterns.items() if isinstance(value, dict) else ():
        for name, item in value.items():
            if _matches(pattern, name):
                yield from validator.descend(item, schema, path=name, schema_path=pattern)


def _also_named(language: str) -> set[str]:
    """Return the name of a programming language with the others that Pygments has for it: `python` and `py`."""
    try:
        return {language, *find_lexer_class_by_name(language).aliases}
    except ClassNotFound:
        return {language}


@cache
def _blocks() -> MarkdownIt:
    return MarkdownIt("commonmark").disable("inline")  # only blocks are looked at


def _fenced_languages(text: str) -> Iterable[str]:
    """Yield the language of each closed block of code, as its first fence names it, or an empty text."""
    for token in _blocks().parse(text):
        if token.type == "fence" and token.map is not None:
            first, end = token.map
            n_lines = len(token.content.removesuffix("\n").split("\n")) if token.content else 0
            if n_lines == end - first - 2:  # a block that is never closed has one line fewer
                yield next(iter(token.info.split()), "").lower()
