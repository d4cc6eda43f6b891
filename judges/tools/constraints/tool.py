"""The tool of the agent that checks an answer's form: it gets the constraints of the prompt and has them checked."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from console.output import counted
from console.progress import say
from engines.protocol import Engine
from judges.tools.constraints.asking import (
    ASKING_VERSION,
    SAMPLING,
    Named,
    ask_for_constraints,
    asking_question,
)
from judges.tools.constraints.checking import (
    check_constraints,
    check_settings,
    checkers_version,
    describe,
    known_kinds,
)
from judges.tools.constraints.given import ConstraintFile, read_constraints
from judges.tools.constraints.rows import CheckedConstraint
from judges.tools.options import EvidenceOptions
from judges.tools.rows import ROW_UNREADABLE, ConstraintsFrom, Evidence, is_final
from records.disk import DiskSet
from records.keys import content_key
from records.rows import Constraint, Response, Usage, messages_of, request_text, text_of

SHOWN_PROBLEMS = 10
NO_ROW, NO_CONSTRAINTS = "{path} has no row on the prompt", "the row has no constraints"


@dataclass
class Problems:
    """What is wrong with the constraints that were met, told once at the end."""

    n: int = 0
    """Answers."""
    n_without: int = 0
    prompts: DiskSet = field(default_factory=DiskSet)
    wrong: list[list[Constraint]] = field(default_factory=list)
    """The constraints of prompts with a problem."""
    not_checkable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ConstraintTool:
    """Checks answers against the constraints of their prompts. `open_tool` makes it."""

    engine: Engine
    source: ConstraintsFrom
    file: ConstraintFile | None
    loose: bool
    named: dict[str, Named] = field(default_factory=dict)
    """What is known of each prompt, so that several answers to it are held against the same."""
    problems: Problems = field(default_factory=Problems)

    @property
    def identity(self) -> tuple[object, ...]:
        """Everything that changes an outcome, as plain data, without the constraints of a row."""
        how: tuple[object, ...] = (self.source, self.loose, _version())
        if self.source == "ask":
            sampling = (SAMPLING.max_new_tokens, SAMPLING.temperature, SAMPLING.top_p)
            return (*how, self.engine.digest, asking_question().identity, sampling, ASKING_VERSION)
        return how

    def given(self, response: Response) -> list[Constraint] | None:
        """Return the constraints in an answer's row or in the file, or None if there are none or the model is asked."""
        if self.source == "ask":
            return None
        return self.file.of(response) if self.file else response.constraints

    def error_in(self, response: Response) -> str | None:
        """Return why the constraints in an answer's row cannot be read, or None if they can or are not read."""
        return response.constraints_error if self.source == "row" else None

    def can_check(self, response: Response) -> bool:
        """Return whether there may be something to check: a kind that has a checker, or a model to ask."""
        if self.source == "ask":
            return True
        kinds = set(known_kinds())
        return any(constraint.kind in kinds for constraint in self.given(response) or ())

    def find(self, responses: Sequence[Response], wanted: set[int]) -> Iterator[tuple[int, Named]]:
        """Yield the constraints of each wanted response. A prompt that the model is asked about is asked once."""
        for index in sorted(wanted) if self.source != "ask" else ():
            yield index, self._noted(responses[index], self._given(responses[index]))
        if self.source == "ask":
            yield from self._asked(responses, sorted(wanted))

    def remember(self, rows: Iterable[Evidence]) -> None:
        """Note the constraints in stored rows, so that the model is not asked about their prompts again."""
        for row in rows if self.source == "ask" else ():
            if row.tool == "constraints" and is_final(row.error):
                constraints = [Constraint(kind=checked.kind, kwargs=checked.kwargs) for checked in row.constraints]
                key = content_key(messages_of(row.prompt))  # as _key makes it of a response
                # every answer to a prompt has the same list, so the first is as good as any
                self.named.setdefault(key, Named(constraints, row.reason, error=row.error))

    def fields(self, response: Response, named: Named) -> dict[str, Any]:
        """Return the fields of an answer's evidence: each constraint with its outcome, and the counts."""
        checked = check_constraints(request_text(response.prompt), response.response, named.constraints)
        self.problems.not_checkable.update(_why_not(item) for item in checked if item.strict is None)
        strict, loose = [item.strict for item in checked], [item.loose for item in checked]
        return {
            "constraints": checked,
            "constraints_from": self.source,
            "n_followed": strict.count("followed"),
            "n_broken": strict.count("broken"),
            "n_not_checkable": strict.count(None),
            "n_followed_loose": loose.count("followed"),
            "n_broken_loose": loose.count("broken"),
            "loose": self.loose,
            "reason": named.reason,
            "error": named.error,
        }

    def say_problems(self) -> None:
        """Say on stderr what was wrong with the constraints, each problem once with the number of its prompts."""
        problems = self.problems
        if problems.n_without and self.source != "ask":
            what = NO_ROW.format(path=self.file.path) if self.file else NO_CONSTRAINTS
            say(f"{problems.n_without} of {problems.n} answers: {what}")
        if self.file and (n_left := self.file.n_without_answer):
            say(f"{counted(n_left, 'prompts')} in {self.file.path} without an answer here")
        listed = check_settings(problems.wrong)
        # A checker that failed, or whose data are missing, is no problem of the settings.
        others = {what: n for what, n in problems.not_checkable.items() if what not in map(_bare, listed)}
        lines = [*listed, *(f"{what} ({counted(n, 'answers')})" for what, n in others.items())]
        for line in lines[:SHOWN_PROBLEMS]:
            say(f"constraints: {line}")
        if (n_more := len(lines) - SHOWN_PROBLEMS) > 0:
            say(f"constraints: {counted(n_more, 'more problems')}, each row gives its reason in 'evidence'")

    def _given(self, response: Response) -> Named:
        constraints = self.given(response)
        if constraints:
            return Named(constraints)
        if error := self.error_in(response):
            return Named([], error=f"{ROW_UNREADABLE}: {error}")
        return Named([], NO_ROW.format(path=self.file.path) if self.file and constraints is None else NO_CONSTRAINTS)

    def _asked(self, responses: Sequence[Response], wanted: Sequence[int]) -> Iterator[tuple[int, Named]]:
        firsts: dict[str, int] = {}
        for index in wanted:
            firsts.setdefault(_key(responses[index]), index)
        to_ask = [index for key, index in firsts.items() if key not in self.named]
        failed: dict[str, Named] = {}  # only for this call, so that a later one asks again
        for place, named in ask_for_constraints(self.engine, [text_of(responses[i].prompt) for i in to_ask]):
            response, free = responses[to_ask[place]], replace(named, usage=Usage())  # the first answer bears the cost
            (self.named if named.is_final else failed)[_key(response)] = free
            yield to_ask[place], self._noted(response, named)
        known = {**failed, **self.named}
        # answers to prompts asked about before or just now; without a cost, see `free`
        yield from ((index, known[_key(responses[index])]) for index in wanted if index not in to_ask)

    def _noted(self, response: Response, named: Named) -> Named:
        """Note what is wrong with the constraints of a prompt."""
        self.problems.n += 1
        if named.error and self.source == "row":
            self.problems.not_checkable[named.error] += 1
        else:
            self.problems.n_without += not named.constraints
        if self.problems.prompts.add(_key(response)) and check_settings([named.constraints]):
            self.problems.wrong.append(named.constraints)
        return named


def open_tool(engine: Engine, options: EvidenceOptions) -> ConstraintTool:
    """Return the tool that `options` describe. Raises InputError if a file of constraints cannot be read."""
    if options.constraints in ("row", "ask"):
        source: ConstraintsFrom = "row" if options.constraints == "row" else "ask"
        return ConstraintTool(engine, source, None, options.loose)
    return ConstraintTool(engine, "file", read_constraints(Path(options.constraints)), options.loose)


def _why_not(checked: CheckedConstraint) -> str:
    """Return why a constraint could not be checked, without its settings."""
    asked = describe(Constraint(kind=checked.kind, kwargs=checked.kwargs))
    return f"{checked.kind}: {checked.reason.removeprefix(f'{asked}: ')}"


def _bare(problem: str) -> str:
    """Return a problem without the number of its prompts."""
    return problem.rpartition(" (")[0]


@cache
def _version() -> str:
    return checkers_version()


def _key(response: Response) -> str:
    return content_key(messages_of(response.prompt))
