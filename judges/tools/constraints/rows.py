"""The outcome of one constraint on one answer, as it is stored in the evidence."""

from typing import Any, Literal

import msgspec

from records.rows import Row

Outcome = Literal["followed", "broken"]


class CheckedConstraint(Row, frozen=True, kw_only=True):
    """One constraint of a prompt, and whether an answer follows it."""

    kind: str
    """As in `records.rows.Constraint`."""
    kwargs: dict[str, Any] = msgspec.field(default_factory=dict)
    strict: Outcome | None
    """The outcome on the answer as it is. None if the constraint cannot be checked."""
    loose: Outcome | None
    """The outcome on the best of eight variants of the answer (IFEval, section 2.2): without its first line, its last
    line, or its asterisks. None if the constraint cannot be checked."""
    reason: str
    """What was asked and what the answer has, or why the constraint cannot be checked."""
