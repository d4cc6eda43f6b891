"""IFEval's metrics by the constraints tool."""

from collections.abc import Sequence
from typing import Any

from console.errors import InputError
from judges.tools.constraints.checking import check_constraints
from judges.tools.constraints.ifeval import checkers
from judges.tools.constraints.kinds import settings_of
from judges.tools.constraints.sentences import GET_DATA, splitter
from records.fields.constraints import constraints_in
from records.files import Record


def prepare() -> None:
    """Load lm-eval's checkers without the download that its task would start. Raises InputError if data are missing."""
    checkers()
    if splitter() is None:
        raise InputError(f"ifeval: NLTK's sentence data are missing; {GET_DATA} gets them")


def ifeval_row(record: Record) -> Record:
    """Return a row of IFEval with checked settings. Raises ValueError if it has no constraint or one is wrong."""
    constraints = constraints_in(record)
    if not constraints:
        raise ValueError("no constraints")
    return {
        "prompt": str(record["prompt"]),
        "instruction_id_list": [constraint.kind for constraint in constraints],
        # without the settings of other kinds, which Parquet gives each row as None
        "kwargs": [settings_of(constraint) for constraint in constraints],
    }


def results(doc: Record, replies: Sequence[str]) -> dict[str, Any]:
    """Return lm-eval's four metrics of a reply. A constraint that cannot be checked on it counts as broken."""
    checked = check_constraints(doc["prompt"], replies[0], constraints_in(doc) or [])
    strict = [one.strict == "followed" for one in checked]
    loose = [one.loose == "followed" for one in checked]
    return {
        "prompt_level_strict_acc": all(strict),
        "inst_level_strict_acc": strict,
        "prompt_level_loose_acc": all(loose),
        "inst_level_loose_acc": loose,
    }
