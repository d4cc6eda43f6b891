"""Ranked answers as `trainer.eft` writes them: `prompt, responses, ranks`."""

import msgspec

from console.errors import InputError
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledPair, LabelledScore, from_preferred
from judges.labelled.ranked import RankedAnswers, ordered_pairs
from judges.labelled.readers.reader import Found, Records, each, group_of, with_own_key
from records.files import BadRows, Record
from records.shapes import prompt_of


def read_ranked_answers(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return every two answers that people ordered as a pair, and each answer with minus its rank as its score."""

    def of_row(number: str, record: Record) -> list[tuple[list[LabelledPair], list[LabelledScore]]]:
        ranked = _row(record)
        key, group, texts = ranked.id or number, group_of(ranked.prompt), ranked.responses
        pairs = [
            with_own_key(from_preferred(f"{key}/{i}-{j}", ranked.prompt, texts[i], texts[j], group))
            for i, j in ordered_pairs(ranked)
        ]
        scores = [
            with_own_key(LabelledScore(f"{key}/{place}", ranked.prompt, text, -float(rank), group))
            for place, (text, rank) in enumerate(zip(texts, ranked.ranks, strict=True))
        ]
        return [(pairs, scores)]

    all_rows = each(records, bad, of_row)
    pairs = [pair for row_pairs, _ in all_rows for pair in row_pairs]
    return Found(pairs, [score for _, scores in all_rows for score in scores], ranks=True)


def _row(record: Record) -> RankedAnswers:
    try:
        return msgspec.convert({**record, "prompt": prompt_of(record).prompt}, RankedAnswers)
    except msgspec.ValidationError as error:
        raise InputError(f"not a row of ranked answers: {error}") from None
