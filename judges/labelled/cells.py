"""Reads the cells of one row: winners, scores, models and judges, by the names and codes that people use."""

from console.errors import InputError
from records.fields.labels import CODES, by_model_name, by_name, meaning_of
from records.fields.preferences import SIDES
from records.fields.values import number_in
from records.files import Record
from records.rows import Winner

BOTH_SCORES = (
    ("score_a", "score_b"),
    ("score_1", "score_2"),
    ("score_chosen", "score_rejected"),
    ("scores_chosen", "scores_rejected"),
)
MODELS = (
    ("model_a", "model_b"),
    ("model_1", "model_2"),
    ("generator_1", "generator_2"),
    ("model1", "model2"),
    ("chosen_model", "rejected_model"),
)
"""The fields with the models of the two answers of a row."""
GRADES = {1.0: 0.0, 1.5: 0.5, 2.0: 1.0, 0.0: 0.5}
"""The preference for b of the numbers that are also codes. 0 is AlpacaEval's mark for a draw."""
CHOSEN: dict[str, Winner] = {"chosen": "a", "rejected": "b"}
FASTCHAT = ("question_id", "judge")
FAILED = -1
MINUS_ONE = "-1, FastChat's mark for a reply without a score"


def is_failed(record: Record, score: float | None) -> bool:
    """Return whether a score is FastChat's -1, which stands for a reply without one."""
    # only beside FastChat's fields, because -1 is a score like any other on some scales
    return score == FAILED and all(name in record for name in FASTCHAT)


def winner_of(
    cell: object, codes: dict[str, Winner], record: Record | None = None, *, graded: bool = False
) -> tuple[Winner | None, float | None]:
    """Return the winner that a cell names, and the preference for b if it is a number between 1 and 2.

    AlpacaEval 2 writes preferences this way: 1 for the first answer, 2 for the second. In a column of such numbers
    (`graded`) 1, 2 and the two draws, 1.5 and 0, are preferences too. A cell of a `record` may also name an answer's
    field or its model. If that word also means the other side, it names none.
    """
    if cell is None:
        return None, None
    number = number_in(cell)
    # the user's codes go before the names of a row's fields
    if record is not None and (codes is CODES or meaning_of(cell, codes) is None):
        names = answers_of(record)
        if names is not None and (side := by_name(cell, names)) is not None:
            return side, None
        if (side := by_model(cell, record)) is not None:
            # a model that is called "A" and wrote b names no side
            return (side if meaning_of(cell, codes) in (None, side) else None), None
    if (winner := meaning_of(cell, codes)) is not None:
        return winner, GRADES.get(number) if graded and number is not None else None
    if codes is CODES and number is not None and 1 < number < 2:
        return ("a" if number < 1.5 else "b"), number - 1  # 1 is all for a, 2 is all for b
    return None, None


def answers_of(record: Record) -> tuple[str, str] | None:
    """Return the names of the fields with the two answers of a row, or None if it lacks them."""
    return next((names for names in SIDES if all(name in record for name in names)), None)


def number_of(record: Record, name: str) -> float:
    """Return a cell as a number. Raises InputError if it is none."""
    number = number_in(record.get(name))
    if number is None:
        raise InputError(f"'{name}' must be a number, found {record.get(name)!r}")
    return number


def models_in(record: Record) -> tuple[str, str] | None:
    """Return the models of the two answers of a row, or None unless both are named."""
    for names in MODELS:
        first, second = (record.get(name) for name in names)
        if isinstance(first, str) and isinstance(second, str) and first and second:
            return first, second
    return None


def judge_in(record: Record) -> str:
    """Return the judge that a row names, or humans. FastChat's name is followed by that of its prompt."""
    judge = record.get("judge", "human")
    return str(judge[0] if isinstance(judge, list) and judge else judge)


def by_model(cell: object, record: Record) -> Winner | None:
    """Return the side whose model a cell names, or None."""
    models = models_in(record)
    return None if models is None else by_model_name(cell, models)


def score_names(record: Record) -> list[tuple[str, str]]:
    """Return the names of two score columns that both exist, even if one cell holds no number."""
    return [
        names
        for names in BOTH_SCORES
        if all(name in record for name in names) and any(number_in(record[name]) is not None for name in names)
    ]


def two_scores(cell: object) -> tuple[float | None, float | None] | None:
    """Return the two scores of a cell that lists them, or None."""
    if isinstance(cell, list) and len(cell) == 2:
        return number_in(cell[0]), number_in(cell[1])
    return None
