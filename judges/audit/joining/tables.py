"""Reads the verdicts of a table on each labelled row, turned to the row's sides, and reports unmatched rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from console.progress import say
from judges.audit.joining.join import join
from judges.audit.joining.matches import Joined, Match
from judges.audit.joining.places import Places
from judges.audit.joining.several import CONTRADICTS, one_grade, one_verdict
from judges.labelled.cells import FAILED, answers_of, models_in
from judges.labelled.columns import SCORE, Columns, grade_of, names_the_chosen, says_verdict, verdict_of
from judges.labelled.labels import Grade, LabelledPair, LabelledScore, LabelledSet, Verdict, verdict_by_scores
from judges.labelled.traits import ANSWER, MODEL, Traits, of_pair, of_record, of_score, of_sides
from records.fields.labels import CODES, Scale, by_name
from records.fields.preferences import SIDES, counts_from_zero
from records.fields.values import number_in
from records.files import Record
from records.rows import Winner
from records.shapes import UNKNOWN_MODEL

SHOWN = 3
OWN = "the rows themselves"
"""The basis of matches with verdicts beside the labels, which are not reported."""


SWAPPED = {"swapped", "is_swapped", "swap", "flipped_order", "is_switched_outputs", "switched"}
"""Fields by which tables say that the answers were shown in the other order."""
SECOND_FIRST = {"ba", "b_first", "b,a", "ba_order", "reversed", "swapped"}
"""Words in a field `order` for the same."""


@dataclass(frozen=True)
class Table:
    """Rows with verdicts, and the columns of the verdicts."""

    path: Path
    records: Sequence[Record]
    columns: Columns
    own: bool
    """Whether it is the labelled file itself."""
    whole: bool
    """Whether every row could be read."""


def verdicts_in(table: Table, labelled: LabelledSet) -> list[Verdict | None]:
    """Return the table's verdict on each labelled pair, or None without a row on it.

    A table with one score per row gives a pair the verdict of its two scores. Raises InputError if nothing tells which
    rows belong together, or which side is which.
    """
    if _is_single(table):
        return _by_two_grades(table, labelled)
    check_codes(table.path, table.records, table.columns, from_one=labelled.from_one)
    entries = _entries(table, single=False)
    joined = _joined(table, labelled, [of_pair(pair) for pair in labelled.pairs], entries, labelled.pairs)

    def turned_verdict(pair: LabelledPair, match: Match) -> tuple[Verdict, bool]:
        record = table.records[match.entry]
        verdict, exchanged = verdict_of(record, table.columns), match.exchanged
        if not match.sided and not table.own and (name := _says_swapped(record)):
            raise InputError(
                f"{table.path}: '{name}' of a row says that the answers were shown the other way round, not whether "
                "its verdict was turned back: turn the verdicts to the sides of the labelled file and remove "
                f"'{name}', or add the two answers to the rows"
            )
        if verdict.winner is None and pair.model_a != pair.model_b:
            verdict = _by_model(table, record, pair, match) or verdict
        if not match.sided and pair.drawn:
            if not names_the_chosen(record, table.columns):
                raise InputError(
                    f"{table.path}: which answer is a cannot be told, because the labelled file only says which is "
                    "chosen: add the two answers to the verdicts, or write them as chosen and rejected"
                )
            exchanged = pair.label == "b"
        return verdict.swapped() if exchanged else verdict, exchanged

    all_verdicts: list[Verdict | None] = []
    doubled, contradicting = [], []
    for pair, matches in zip(labelled.pairs, joined.matches, strict=True):
        verdict, repeated = one_verdict([turned_verdict(pair, match) for match in matches])
        all_verdicts.append(verdict)
        doubled += [pair.id] * repeated  # once or, for False, not at all
        contradicting += [pair.id] * (verdict is not None and verdict.error == CONTRADICTS)
    _tell(table, joined, doubled, contradicting)
    name = table.columns.verdict or table.columns.usual
    judged = [(given, pair) for given, pair in zip(all_verdicts, labelled.pairs, strict=True) if given is not None]
    if name is not None and name == labelled.label and all(given.winner == pair.label for given, pair in judged):
        say(
            f"{table.path}: every '{name}' is that of the labelled file: if it holds the same labels, this measures "
            "nothing; name the column with a judge's verdicts with --verdict-column"
        )
    return all_verdicts


def check_codes(path: Path, records: Sequence[Record], columns: Columns, *, from_one: bool) -> None:
    """Raise InputError if the verdicts are numbers that may mean either side, and no codes define them.

    `from_one` says that 1 is known to be the first answer. A -1 beside a 2 stands for no verdict.
    """
    name = columns.verdict or columns.usual
    if columns.codes is not CODES or name in (None, SCORE):
        return
    cells = [(record[name], answers_of(record)) for record in records if record.get(name) is not None]
    is_mark = any((number_in(cell) or 0) > 1 for cell, _ in cells)
    scale = Scale()
    for cell, names in cells:
        if not (is_mark and number_in(cell) == FAILED) and not (names and by_name(cell, names)):
            scale.add([cell], from_zero=counts_from_zero(names), from_one=from_one)
    scale.check(f"{path}: the verdicts")


def _by_model(table: Table, record: Record, pair: LabelledPair, match: Match) -> Verdict | None:
    """Return the verdict of a cell that names a model of the labelled file, in the table's sides."""
    cell = record.get(table.columns.verdict_in(record) or "")
    names: dict[object, Winner] = {pair.model_a: "a", pair.model_b: "b"}
    if not isinstance(cell, str) or cell not in names or cell == UNKNOWN_MODEL:
        return None
    named = Verdict(names[cell])
    return named.swapped() if match.exchanged else named


def grades_in(table: Table, labelled: LabelledSet) -> list[Grade | None]:
    """Return the table's score for each labelled answer, or None without a row on it."""
    entries = _entries(table, single=True)
    joined = _joined(table, labelled, [of_score(item) for item in labelled.scores], entries, labelled.scores)
    return _grades(table, joined, [item.id for item in labelled.scores])


def _by_two_grades(table: Table, labelled: LabelledSet) -> list[Verdict | None]:
    sides = [side for pair in labelled.pairs for side in of_sides(pair)]
    joined = _joined(table, labelled, sides, _entries(table, single=True), None)
    names = [f"{pair.id} ({side})" for pair in labelled.pairs for side in "ab"]
    grades = _grades(table, joined, names)
    pairs = zip(grades[::2], grades[1::2], strict=True)  # `sides` has a and b of each pair in turn
    return [None if a is None or b is None else verdict_by_scores(a, b) for a, b in pairs]


def _grades(table: Table, joined: Joined, names: Sequence[str]) -> list[Grade | None]:
    name = table.columns.verdict or table.columns.usual or SCORE
    numbers = [number for record in table.records if (number := number_in(record.get(name))) is not None]
    failed = all(number >= 1 for number in numbers if number != FAILED)
    grades: list[Grade | None] = []
    doubled, contradicting = [], []
    for row_id, matches in zip(names, joined.matches, strict=True):
        row_grades = [grade_of(table.records[match.entry], table.columns, failed=failed) for match in matches]
        grade, repeated = one_grade(row_grades)
        grades.append(grade)
        doubled += [row_id] * repeated
        contradicting += [row_id] * (grade is not None and grade.error == CONTRADICTS)
    _tell(table, joined, doubled, contradicting)
    return grades


def _joined(
    table: Table,
    labelled: LabelledSet,
    traits: Sequence[Traits],
    entries: Sequence[Traits],
    placed: Sequence[LabelledPair] | Sequence[LabelledScore] | None,
) -> Joined:
    """Return the rows of the table by labelled row. Raises InputError with the file's name."""
    places = _places(traits, placed, labelled, table)
    if table.own and places.known:
        return Joined(OWN, [[Match(place, False, True)] for place in places.of_rows])
    try:
        return join(traits, entries, places, table.columns.id)
    except InputError as error:
        raise InputError(f"{table.path}: {error}") from None


def _places(
    traits: Sequence[Traits],
    placed: Sequence[LabelledPair] | Sequence[LabelledScore] | None,
    labelled: LabelledSet,
    table: Table,
) -> Places:
    whole = table.whole and labelled.whole
    known_places = [labelled_row.place for labelled_row in placed or () if labelled_row.place is not None]
    if len(known_places) == len(traits) == len(set(known_places)):
        return Places(known_places, labelled.n_records, whole, known=True)
    return Places(range(len(traits)), len(traits), whole)


def _entries(table: Table, *, single: bool) -> list[Traits]:
    return [of_record(record, table.columns.id, single=single) for record in table.records]


def _is_single(table: Table) -> bool:
    """Return whether each row scores one answer instead of comparing two."""
    name = table.columns.verdict or table.columns.usual
    if name is None or ("score" not in name and "reward" not in name and "rating" not in name):
        return False

    def is_single(record: Record) -> bool:
        two = models_in(record) or any(
            first_name in record and second_name in record for first_name, second_name in SIDES
        )
        named = any(isinstance(record.get(field), str) for field in (*MODEL, *ANSWER))
        return named and not two and number_in(record.get(name)) is not None

    plain = Columns()
    return any(map(is_single, table.records)) and not any(
        says_verdict(record, plain) and SCORE not in record for record in table.records
    )


def _tell(table: Table, joined: Joined, doubled: Sequence[str], contradicting: Sequence[str]) -> None:
    """Print on stderr the basis of the match, and the unmatched rows."""
    if (not table.own and not joined.how.startswith("'")) or "," in joined.how:
        say(f"{table.path}: the verdicts are matched with the labelled rows by {joined.how}")
    for names, what in (
        (joined.strangers, "are about no labelled row"),
        (joined.differing, "have the key of a labelled row but other prompts, answers or models"),
        (joined.ambiguous, "may be about several labelled rows that differ"),
    ):
        if names:
            say(f"{table.path}: left out: {len(names)} verdicts that {what}: {_shown(names)}")
    if doubled:
        say(f"{table.path}: {len(doubled)} labelled rows have the same verdict several times: {_shown(doubled)}")
    if contradicting:
        say(
            f"{table.path}: {len(contradicting)} labelled rows have verdicts that contradict each other, so none: "
            f"{_shown(contradicting)}"
        )


def _says_swapped(record: Record) -> str | None:
    """Return the field by which a row says that its answers were shown in the other order, or None."""
    for name, value in record.items():
        word = str(value).strip().lower()
        if (name.lower() in SWAPPED and word in ("true", "1", "yes")) or (
            name.lower() == "order" and word in SECOND_FIRST
        ):
            return name
    return None


def _shown(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:SHOWN]) + (", ..." if len(distinct) > SHOWN else "")
