"""Constraints from a file, by the text of their prompt or by its id."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.errors import InputError
from records.fields.constraints import constraints_in
from records.fields.prompts import has_prompt
from records.fields.values import Record
from records.files import BadRows
from records.keys import content_key
from records.rows import Constraint, Message, Prompt, Response, messages_of, request_text
from records.shapes import located, prompt_of

IDS = ("prompt_id", "id", "key")


@dataclass(frozen=True)
class ConstraintFile:
    """The constraints of the prompts in a file. `read_constraints` makes it."""

    path: Path
    by_prompt: Mapping[str, list[Constraint]]
    by_id: Mapping[str, list[Constraint]]
    """Of the rows without a text of their prompt. Ids of two files may be about different prompts."""
    asked_for: set[str] = field(default_factory=set)
    """The keys and ids of the prompts that had an answer so far."""

    @property
    def n_without_answer(self) -> int:
        """Return how many prompts had no answer so far."""
        return len(self.by_prompt) + len(self.by_id) - len(self.asked_for)

    def of(self, response: Response) -> list[Constraint] | None:
        """Return the constraints of an answer's prompt, or None if the file has no row on it."""
        for key in _keys_of(response.prompt):
            if key in self.by_prompt:
                self.asked_for.add(key)
                return self.by_prompt[key]
        if response.prompt_id in self.by_id:
            self.asked_for.add(response.prompt_id)
        return self.by_id.get(response.prompt_id)


def read_constraints(path: Path) -> ConstraintFile:
    """Return the constraints in a file. A row without constraints, or without prompt and id, is a bad row.

    Raises InputError if no row is good, or if two rows on one prompt differ.
    """
    by_prompt: dict[str, list[Constraint]] = {}
    by_id: dict[str, list[Constraint]] = {}
    for where, (key, is_text, constraints) in located(path, BadRows(), lambda record: [_entry(record)]):
        table = by_prompt if is_text else by_id
        if table.setdefault(key, constraints) != constraints:  # the same row twice is no harm
            raise InputError(f"{where}: an earlier row on the same prompt has other constraints: keep one")
    return ConstraintFile(path, by_prompt, by_id)


def constraints_by_prompt(prompts: Iterable[Prompt], *, strict: bool = True) -> dict[str, list[Constraint] | None]:
    """Return the constraints of prompts by the key of their chat.

    Raises InputError, if `strict`, if those of a prompt cannot be read, or if two rows on one prompt differ.
    """
    by_key: dict[str, list[Constraint] | None] = {}
    for prompt in prompts:
        key = content_key(messages_of(prompt.prompt, prompt.system))
        if strict and prompt.constraints_error:
            raise InputError(f"prompt {prompt.id}: its constraints cannot be read: {prompt.constraints_error}")
        if strict and (by_key.setdefault(key, prompt.constraints) or []) != (prompt.constraints or []):
            raise InputError(f"prompt {prompt.id}: another row on the same prompt has other constraints: keep one")
        by_key[key] = prompt.constraints
    return by_key


def _entry(record: Record) -> tuple[str, bool, list[Constraint]]:
    constraints = constraints_in(record)
    if constraints is None:
        raise InputError("no constraints: expected 'instruction_id_list' and 'kwargs', or 'constraints'")
    if has_prompt(record):
        return _keys_of(prompt_of(record).prompt)[0], True, constraints
    row_id = next((record[name] for name in IDS if isinstance(record.get(name), str | int)), None)
    if row_id is None:
        raise InputError("neither a prompt nor its id, so nobody knows whose constraints these are")
    return str(row_id), False, constraints


def _keys_of(prompt: str | list[Message]) -> list[str]:
    """Return the keys of a prompt: its requests without the system turn, and the last of them."""
    # files of constraints often have the last turn alone; a set would lose the order of preference
    texts = dict.fromkeys((request_text(prompt), messages_of(prompt)[-1]["content"]))
    return [content_key(" ".join(text.split())) for text in texts]
