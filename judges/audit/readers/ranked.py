"""Ranked answers as `trainer.eft` writes them: `prompt, responses, ranks`."""

import msgspec

from console.errors import InputError
from judges.audit.columns import Columns
from judges.audit.labels import LabelledPair, LabelledScore, from_preferred
from judges.audit.readers.found import Found, Records, each, group_of
from judges.ranked import RankedAnswers, ordered_pairs
from records.files import BadRows, Record


def read_ranked_answers(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return every two answers that people ordered as a pair, and each answer with minus its rank as its score."""

    def pairs(number: str, record: Record) -> list[LabelledPair]:
        row, texts = _row(record), record["responses"]
        key = row.id or number
        return [
            from_preferred(f"{key}/{i}-{j}", row.prompt, texts[i], texts[j], group_of(row.prompt))
            for i, j in ordered_pairs(row)
        ]

    def scores(number: str, record: Record) -> list[LabelledScore]:
        row = _row(record)
        key, group = row.id or number, group_of(row.prompt)
        return [
            LabelledScore(f"{key}/{place}", row.prompt, text, -float(rank), group)
            for place, (text, rank) in enumerate(zip(row.responses, row.ranks, strict=True))
        ]

    good = [(where, record) for where, record in records if _is_good(where, record, bad)]
    return Found(each(good, bad, pairs), each(good, bad, scores), ranks=True)


def _is_good(where: str, record: Record, bad: BadRows) -> bool:
    return bool(each([(where, record)], bad, lambda _, one: [_row(one)]))


def _row(record: Record) -> RankedAnswers:
    try:
        return msgspec.convert(record, RankedAnswers)
    except msgspec.ValidationError as error:
        raise InputError(f"not a row of ranked answers: {error}") from None
