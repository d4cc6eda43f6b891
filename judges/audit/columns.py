"""Reads a judge's verdict and a label from a table's columns, by the names and codes that people use."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from console.errors import InputError
from judges.audit.labels import Grade, Verdict, verdict_by_scores
from records.fields.labels import CODES, key_of, parse_codes
from records.fields.values import number_in
from records.files import Record
from records.rows import Winner

VERDICT = ("verdict", "winner", "preference", "prediction", "judge_verdict", "gpt_result", "score")
HUMAN = ("human", "human_label", "label", "gold", "human_score")
ID = ("pair_id", "id", "idx", "uid")


@dataclass(frozen=True)
class Columns:
    """Which columns to read and what their cells mean."""

    verdict: str | None = None
    human: str | None = None
    id: str | None = None
    codes: dict[str, Winner] = field(default_factory=lambda: CODES)

    def verdict_in(self, record: Record) -> str | None:
        """Return the name of the column with the verdict, or None."""
        return _present(record, self.verdict, VERDICT)

    def human_in(self, record: Record) -> str | None:
        """Return the name of the column with the label, or None."""
        return _present(record, self.human, HUMAN)

    def id_of(self, record: Record) -> str | None:
        """Return the row's own id, or None."""
        name = _present(record, self.id, ID)
        return None if name is None else str(record[name])

    def has_both(self, record: Record) -> bool:
        """Return whether a record has a verdict beside a label."""
        return self.verdict_in(record) is not None and self.human_in(record) is not None


def columns_of(verdict: str | None, human: str | None, row_id: str | None, codes: str | None) -> Columns:
    """Return the columns that the flags name; `codes` is like `0=a,1=b,2=tie` and replaces the usual meanings.

    Raises InputError where `codes` is of another form.
    """
    if codes is None:
        return Columns(verdict, human, row_id)
    meanings = parse_codes(codes)
    return Columns(verdict, human, row_id, meanings)


def verdict_of(record: Record, columns: Columns) -> Verdict:
    """Return what a row of a log says about its pair; a cell that is not understood is no verdict, never a tie."""
    if number_in(record.get("score_a")) is not None and number_in(record.get("score_b")) is not None:
        return verdict_by_scores(Grade(number_in(record["score_a"])), Grade(number_in(record["score_b"])))
    name = columns.verdict_in(record)
    if name is None:
        raise InputError(f"no verdict: expected a column {', '.join(VERDICT)}; name it with --verdict-column")
    cell = record[name]
    winner, preference = winner_of(cell, columns.codes)
    if winner is None:
        return Verdict(None, error=str(record.get("error") or f"no verdict in {cell!r}"))
    stated = number_in(record.get("preference_b"))
    orders = [winner_of(record.get(order), columns.codes)[0] for order in ("first_order", "second_order")]
    return Verdict(winner, preference if stated is None else stated, None, orders[0], orders[1])


def grade_of(record: Record, columns: Columns) -> Grade:
    """Return the score that a row of a log gives its answer."""
    name = columns.verdict_in(record)
    if name is None:
        raise InputError("no score: expected a column 'score'; name it with --verdict-column")
    score = number_in(record[name])
    return Grade(score, None if score is not None else str(record.get("error") or f"no score in {record[name]!r}"))


def winner_of(cell: object, codes: dict[str, Winner]) -> tuple[Winner | None, float | None]:
    """Return the winner that a cell names and, where it is a number between 1 and 2, the preference for b.

    That is how AlpacaEval 2 writes a preference: 1 for the first answer, 2 for the second.
    """
    if cell is None:
        return None, None
    text, number = key_of(cell), number_in(cell)
    if text in codes:
        return codes[text], None
    if codes is CODES and number is not None and 1 < number < 2:
        return ("a" if number < 1.5 else "b"), number - 1
    return None, None


def number_of(record: Record, name: str) -> float:
    """Return a cell as a number; raises InputError where it is none."""
    number = number_in(record.get(name))
    if number is None:
        raise InputError(f"'{name}' must be a number, found {record.get(name)!r}")
    return number


def _present(record: Record, given: str | None, usual: Sequence[str]) -> str | None:
    if given is not None:
        return given if given in record else None
    return next((name for name in usual if name in record), None)
