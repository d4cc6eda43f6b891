"""Finds the columns of verdicts and labels of a table by their usual names, and reads the verdicts of its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from console.errors import InputError
from judges.labelled.cells import (
    BOTH_SCORES,
    CHOSEN,
    FAILED,
    MINUS_ONE,
    by_model,
    is_failed,
    score_names,
    two_scores,
    winner_of,
)
from judges.labelled.labels import SWAPPED, Grade, Verdict, verdict_by_scores
from records.fields.labels import CODES, key_of, parse_codes
from records.fields.values import is_empty, number_in
from records.files import Record
from records.rows import Winner

VERDICT = ("verdict", "winner", "preference", "prediction", "judge_verdict", "gpt_result", "pandalm_result", "score")
RESULT = "_result"
"""PandaLM's files name the column with verdicts after the judge: `gpt_result`, `pandalm_result`."""
SCORE = "score"
"""On a pair this is a verdict only if it holds two scores, as in FairEval and FastChat's first reviews."""
HUMAN = ("human", "human_label", "label", "gold", "human_score")
ID = ("pair_id", "id", "idx", "uid")
GAMES = ("g1_winner", "g2_winner")
"""FastChat's two games of a pair, both already in terms of model_1 and model_2."""
JUDGMENTS = "judgments"
"""JudgeBench's two decisions on a pair, the second of them on the answers exchanged."""


@dataclass(frozen=True)
class Columns:
    """The columns to read and the meanings of their cells."""

    verdict: str | None = None
    human: str | None = None
    id: str | None = None
    codes: dict[str, Winner] = field(default_factory=lambda: CODES)
    usual: str | None = None
    """The column of verdicts that `settled` found by its name, if none was given."""
    graded: bool = False
    """Whether its numbers are preferences from 1 to 2, as `settled` finds. A whole 1 then means P(b) = 0."""

    def verdict_in(self, record: Record) -> str | None:
        """Return the name of the column with the verdict, or None. The label's column is never a verdict."""
        if (name := self.verdict or self.usual) is not None:
            return name if name in record else None
        label = self.human_in(record)  # with --human-column, it may have a usual name of verdicts
        known = [name for name in VERDICT if name in record and name != label]
        others = [name for name in record if name.endswith(RESULT) and name not in VERDICT]
        return next(iter(known or others), None)

    def human_in(self, record: Record) -> str | None:
        """Return the name of the column with the label, or None."""
        return _present(record, self.human, HUMAN)

    def id_of(self, record: Record) -> str | None:
        """Return the row's own id, or None."""
        name = _present(record, self.id, ID)
        return None if name is None or is_empty(record[name]) else str(record[name])

    def has_both(self, record: Record) -> bool:
        """Return whether a record about a pair has a verdict beside a label."""
        return self.human_in(record) is not None and says_verdict(record, self)

    def settled(self, records: Sequence[Record], label: str | None) -> "Columns":
        """Return the columns with one column of verdicts for the whole table. `label` is the label's column elsewhere.

        Raises InputError if a named column does not exist, or if two columns may hold the verdicts.
        """
        names = dict.fromkeys(name for record in records for name in record)
        if self.verdict is not None:
            _check_there("--verdict-column", self.verdict, names)
            return replace(self, graded=self._is_graded(records, self.verdict))
        known = [name for name in VERDICT if name in names]
        results = [name for name in names if name.endswith(RESULT) and name not in VERDICT]
        # the label's name last, because in this file it may be the column of verdicts
        first = next((name for name in known if name != label), next(iter(results or known), None))
        if first in results and len(results) > 1:
            raise InputError(f"several columns may hold the verdicts: {', '.join(results)}; give --verdict-column")
        for other in (*known, *results):
            if first is not None and other not in (first, label, SCORE) and first != SCORE:
                _check_agree(records, first, other, self.codes)
        return replace(self, usual=first, graded=self._is_graded(records, first))

    def _is_graded(self, records: Sequence[Record], name: str | None) -> bool:
        """Return whether a cell of the column lies between two codes. 1.5 is also the code of a tie."""
        return self.codes is CODES and any(
            1 < number < 2 and number != 1.5
            for record in records
            if name is not None and (number := number_in(record.get(name))) is not None
        )


def columns_of(verdict: str | None, human: str | None, row_id: str | None, codes: str | None) -> Columns:
    """Return the columns that the flags name. `codes` is like `0=a,1=b,2=tie` and replaces the usual meanings.

    Raises InputError if `codes` has another form.
    """
    if codes is None:
        return Columns(verdict, human, row_id)
    meanings = parse_codes(codes)
    return Columns(verdict, human, row_id, meanings)


def check_named(records: Iterable[Record], columns: Columns) -> None:
    """Raise InputError if the labelled file lacks the column of --human-column."""
    if columns.human is not None:
        _check_there("--human-column", columns.human, dict.fromkeys(name for record in records for name in record))


def has_verdicts(records: Sequence[Record], columns: Columns, *, pairs: bool) -> bool:
    """Return whether a labelled file's own records have verdicts beside their labels, on pairs or on single answers.

    Raises InputError if no record has the column of --verdict-column.
    """
    if columns.verdict is not None:
        _check_there("--verdict-column", columns.verdict, dict.fromkeys(name for record in records for name in record))
        return True
    if pairs:
        return any(says_verdict(record, columns) for record in records)
    return any(columns.verdict_in(record) is not None for record in records)


def says_verdict(record: Record, columns: Columns) -> bool:
    """Return whether a record about a pair has a verdict, in a column or in two games, decisions or scores."""
    if columns.verdict is not None:
        return columns.verdict in record
    if record.keys() & {*GAMES, JUDGMENTS} or score_names(record):
        return True
    name = columns.verdict_in(record)
    return name is not None and (name != SCORE or two_scores(record[name]) is not None)


def verdict_of(record: Record, columns: Columns) -> Verdict:
    """Return the verdict of a row of a log on its pair. A cell that is not understood is no verdict, never a tie."""
    if columns.verdict is None and (both := _by_two(record)) is not None:
        return both
    name = columns.verdict_in(record)
    if name is None:
        if (expected := columns.verdict or columns.usual) is not None:
            return Verdict(None, error=f"no '{expected}' in the row")
        if any(name in record for names in BOTH_SCORES for name in names) or record.keys() & {*GAMES, JUDGMENTS}:
            return Verdict(None, error="no score or no verdict on both answers in the row")
        raise InputError(
            f"no verdict: expected a column {', '.join(VERDICT)} with what the judge said; name it with "
            "--verdict-column, or leave out --verdicts to ask a judge"
        )
    cell = record[name]
    if (scores := two_scores(cell)) is not None:
        if FAILED in scores:  # FastChat's mark, on either side
            return Verdict(None, error=MINUS_ONE)
        return verdict_by_scores(*map(Grade, scores))
    winner, preference = winner_of(cell, columns.codes, record, graded=columns.graded)
    if winner is None:
        winner = CHOSEN.get(key_of(cell))
    if winner is None:
        return Verdict(None, error=str(record.get("error") or f"no verdict in {cell!r}"))
    stated = number_in(record.get("preference_b"))  # this project's own comparisons have it
    orders = [winner_of(record.get(order), columns.codes)[0] for order in ("first_order", "second_order")]
    return Verdict(winner, preference if stated is None else stated, None, orders[0], orders[1])


def names_the_chosen(record: Record, columns: Columns) -> bool:
    """Return whether a verdict is in terms of the chosen and the rejected answer, rather than of a and b."""
    name = columns.verdict_in(record)
    if name is not None and key_of(record[name]) in CHOSEN:
        return True
    return any(names in (BOTH_SCORES[2], BOTH_SCORES[3]) for names in score_names(record))


def grade_of(record: Record, columns: Columns, *, failed: bool = False) -> Grade:
    """Return the score of a row of a log. With `failed`, -1 stands for a missing score."""
    name = columns.verdict_in(record)
    if name is None:
        if (expected := columns.verdict or columns.usual) is not None:
            return Grade(None, f"no '{expected}' in the row")
        raise InputError("no score: expected a column 'score'; name it with --verdict-column")
    score = number_in(record[name])
    if is_failed(record, score) or (failed and score == FAILED):
        return Grade(None, MINUS_ONE)
    return Grade(score, None if score is not None else str(record.get("error") or f"no score in {record[name]!r}"))


def _by_two(record: Record) -> Verdict | None:
    """Return the verdict of two games, two decisions or two scores, or None without two of them."""
    if all(name in record for name in GAMES):
        return _by_orders(*(winner_of(record[name], CODES)[0] or by_model(record[name], record) for name in GAMES))
    decisions = record.get(JUDGMENTS)
    if isinstance(decisions, list) and len(decisions) == 2:
        first, second = (
            winner_of(decision.get("decision"), CODES)[0] if isinstance(decision, dict) else None
            for decision in decisions
        )
        return _by_orders(first, second and SWAPPED[second])  # back to the order of the row
    for names in score_names(record):
        return verdict_by_scores(*(Grade(number_in(record[name])) for name in names))
    return None


def _by_orders(first: Winner | None, second: Winner | None) -> Verdict:
    """Return the verdict of two orders: a tie if they disagree, and none if one is missing."""
    if first is None or second is None:
        missing = [str(game) for game, winner in enumerate((first, second), start=1) if winner is None]
        return Verdict(None, None, None, first, second, f"no verdict in game {' and '.join(missing)}")
    return Verdict(first if first == second else "tie", None, None, first, second)


def _check_there(flag: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise InputError(f"{flag} {name}: there is no such column; there are {', '.join(sorted(names)[:12])}")


def check_labels(records: Sequence[Record], columns: Columns) -> None:
    """Raise InputError if two columns that may hold the labels of pairs name different winners of a row."""
    names = dict.fromkeys(name for record in records for name in record)
    known = [name for name in HUMAN if name in names]
    for other in known[1:] if columns.human is None else ():
        _check_agree(records, known[0], other, columns.codes, "the labels; give --human-column")


def _check_agree(
    records: Sequence[Record],
    first: str,
    other: str,
    codes: dict[str, Winner],
    what: str = "the verdicts; give --verdict-column",
) -> None:
    """Raise InputError if two columns that may hold the same thing name different winners of a row."""
    for record in records:
        first_winner, other_winner = (winner_of(record.get(name), codes, record)[0] for name in (first, other))
        if {first_winner, other_winner} == {"a", "b"}:
            raise InputError(
                f"the columns '{first}' and '{other}' contradict each other ({record[first]!r} and {record[other]!r} "
                f"in one row), and either may hold {what}"
            )


def _present(record: Record, given: str | None, usual: Sequence[str]) -> str | None:
    if given is not None:
        return given if given in record else None
    return next((name for name in usual if name in record), None)
