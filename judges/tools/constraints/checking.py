"""Checks of an answer against its prompt's constraints, by a program.

checked = check_constraints(prompt, response, constraints)
problems = check_settings(prompt.constraints for prompt in prompts)
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from referencing.exceptions import Unresolvable

from console.errors import InputError
from console.output import counted
from judges.tools.constraints import ifeval, own
from judges.tools.constraints.contradictions import contradictions
from judges.tools.constraints.findings import finding
from judges.tools.constraints.kinds import SettingsError, describe, known_kinds, settings_of
from judges.tools.constraints.languages import UnclearError
from judges.tools.constraints.rows import CheckedConstraint
from judges.tools.constraints.sentences import splitter
from records.rows import Constraint

__all__ = ["CHECKERS_VERSION", "check_constraints", "check_settings", "checkers_version", "describe", "known_kinds"]

CHECKERS_VERSION = 4
"""The version of this room's own rules."""
LIBRARIES = ("lm-eval", "langdetect", "nltk", "py3langid", "jsonschema", "markdown-it-py", "pygments", "regex")
UNSEEN = str.maketrans({"\u200b": None, "\u2060": None, "\ufeff": None, "\u00ad": None})
"""Characters without a width that can hide a word from a checker. The joiners of Indic scripts and emoji stay."""
MESSAGE_CHARACTERS = 200


def checkers_version() -> str:
    """Return what changes an outcome: this room's version, the libraries' and whether NLTK's data are there."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{CHECKERS_VERSION}, {libraries}, {'with' if splitter() else 'without'} sentence data"


def check_constraints(prompt: str, response: str | None, constraints: Sequence[Constraint]) -> list[CheckedConstraint]:
    """Return each constraint with its strict and loose outcome on a response, in order.

    An outcome is None, with the reason, if there is no response, if the settings are wrong, or if a checker cannot
    tell. An answer without a visible character breaks every constraint, as in IFEval.
    """
    # IFEval cuts at \n alone, so that a \r would stay at the end of each line
    seen = None if response is None else response.replace("\r\n", "\n").translate(UNSEEN)
    return [_check(prompt, seen, constraint) for constraint in constraints]


def check_settings(rows: Iterable[Sequence[Constraint] | None]) -> list[str]:
    """Return what is wrong with the constraints of some prompts, before any answer is checked.

    Each item of `rows` has the constraints of one prompt. What is wrong with a kind is said once, with the number of
    prompts that have it. Two constraints of one prompt that contradict each other are said too.
    """
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    for constraints in rows:
        problems: dict[str, str] = {}
        right: list[tuple[str, dict[str, Any]]] = []
        for constraint in constraints or ():
            try:
                right.append((constraint.kind, settings_of(constraint)))
            except SettingsError as wrong:
                problems.setdefault(constraint.kind, f"{constraint.kind}: {wrong}")
        problems |= {" and ".join(kinds): reason for kinds, reason in contradictions(right)}
        for key, problem in problems.items():
            first.setdefault(key, problem)
            counts[key] = counts.get(key, 0) + 1
    return [f"{problem} ({counted(counts[key], 'prompts')})" for key, problem in first.items()]


def _check(prompt: str, response: str | None, constraint: Constraint) -> CheckedConstraint:
    try:
        settings = settings_of(constraint)
    except SettingsError as wrong:
        return _checked(constraint, None, None, str(wrong))
    asked = describe(constraint)
    if response is None:
        return _checked(constraint, None, None, f"{asked}: there is no answer")
    if not _is_visible(response):
        return _checked(constraint, False, False, f"{asked}: the answer is empty")

    def follows(text: str) -> bool:
        if constraint.kind.startswith(own.PREFIX):
            return own.follows(constraint.kind, settings, prompt, text)
        return ifeval.follows(constraint.kind, settings, text)

    try:
        strict = follows(response)
        loose = strict or any(_if_clear(follows, text) for text in variants(response))  # strict implies loose
        found = finding(constraint.kind, settings, response)
    except InputError:  # a missing package: no other answer can be checked either
        raise
    except Exception as error:  # a checker that fails on one answer must not end a run
        return _checked(constraint, None, None, f"{asked}: {_reason(error)}")
    return _checked(constraint, strict, loose, f"{asked}: {found or ('yes' if strict else 'no')}")


def variants(response: str) -> list[str]:
    """Return what is left of a response without its first line, its last line and its asterisks, as in IFEval."""
    lines = response.split("\n")
    parts = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    texts = dict.fromkeys([*parts, *(part.replace("*", "") for part in parts)])
    return [text for text in texts if text != response and _is_visible(text)]


def _is_visible(text: str) -> bool:
    return any(character.isprintable() and not character.isspace() for character in text)


def _if_clear(follows: Callable[[str], bool], text: str) -> bool:
    try:
        return follows(text)
    except UnclearError:  # a short rest of an answer in a clear language
        return False


def _reason(error: Exception) -> str:
    match error:
        case UnclearError() | LookupError():
            return str(error.args[0])
        case Unresolvable():
            return f"the schema refers to {error.ref}, which is not in it; nothing is fetched"
        case TimeoutError():
            return f"the regular expression took longer than {own.REGEX_TIMEOUT_S:g} s"
    message = " ".join(str(error).split())[:MESSAGE_CHARACTERS]
    return f"the checker failed on the answer: {type(error).__name__}: {message}"


def _checked(constraint: Constraint, strict: bool | None, loose: bool | None, reason: str) -> CheckedConstraint:
    def outcome(followed: bool | None) -> Any:
        return None if followed is None else "followed" if followed else "broken"

    return CheckedConstraint(
        kind=constraint.kind, kwargs=constraint.kwargs, strict=outcome(strict), loose=outcome(loose), reason=reason
    )
