"""Checks of an answer against its prompt's constraints, by a program.

checked = check_constraints(prompt, response, constraints)
problems = check_settings([prompt.constraints for prompt in prompts])
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import version

from judges.tools.constraints import ifeval
from judges.tools.constraints.kinds import SettingsError, describe, known_kinds, settings_of
from judges.tools.constraints.rows import CheckedConstraint, Outcome
from records.rows import Constraint

__all__ = ["CHECKERS_VERSION", "check_constraints", "check_settings", "checkers_version", "describe", "known_kinds"]

CHECKERS_VERSION = 1
"""The version of this room's own rules."""


def checkers_version() -> str:
    """Return what changes an outcome: this room's version, the libraries' and whether NLTK's data are there."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("lm-eval", "langdetect", "nltk"))
    return f"{CHECKERS_VERSION}, {libraries}, punkt {ifeval.has_punkt()}"


def check_constraints(prompt: str, response: str | None, constraints: Sequence[Constraint]) -> list[CheckedConstraint]:
    """Return each constraint with its strict and loose outcome on a response, in order."""
    return [_check(response, constraint) for constraint in constraints]


def check_settings(rows: Iterable[Sequence[Constraint]]) -> list[str]:
    """Return what is wrong with the constraints of some prompts, before any answer is checked.

    Each item of `rows` has the constraints of one prompt. A problem is said once, with the number of prompts that
    have it.
    """
    counts: dict[str, int] = {}
    for constraints in rows:
        for problem in {_problem(constraint) for constraint in constraints} - {None}:
            counts[str(problem)] = counts.get(str(problem), 0) + 1
    return [f"{problem} ({n} {'prompt' if n == 1 else 'prompts'})" for problem, n in counts.items()]


def _problem(constraint: Constraint) -> str | None:
    try:
        settings_of(constraint)
    except SettingsError as wrong:
        return f"{constraint.kind}: {wrong}"
    return None


def _check(response: str | None, constraint: Constraint) -> CheckedConstraint:
    try:
        settings = settings_of(constraint)
    except SettingsError as wrong:
        return _not_checkable(constraint, str(wrong))
    if response is None:
        return _not_checkable(constraint, "there is no answer")
    if reason := ifeval.why_not(constraint.kind):
        return _not_checkable(constraint, reason)
    try:
        outcomes = [ifeval.follows(constraint.kind, settings, text) for text in variants(response) if text.strip()]
    except Exception as error:  # a checker that fails on one answer must not end a run
        return _not_checkable(constraint, f"the checker failed on the answer: {type(error).__name__}: {error}")
    strict = bool(response.strip()) and outcomes[0]
    return CheckedConstraint(
        kind=constraint.kind,
        kwargs=constraint.kwargs,
        strict=_outcome(strict),
        loose=_outcome(any(outcomes)),
        reason=describe(constraint),
    )


def variants(response: str) -> list[str]:
    """Return the response and what is left without its first line, last line and asterisks, as in IFEval."""
    lines = response.split("\n")
    parts = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return list(dict.fromkeys([*parts, *(part.replace("*", "") for part in parts)]))


def _outcome(followed: bool) -> Outcome:
    return "followed" if followed else "broken"


def _not_checkable(constraint: Constraint, reason: str) -> CheckedConstraint:
    return CheckedConstraint(kind=constraint.kind, kwargs=constraint.kwargs, strict=None, loose=None, reason=reason)
