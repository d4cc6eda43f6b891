"""Reads any other file of preferences that trainer.dpo accepts as a labelled set."""

from dataclasses import replace

from console.errors import InputError
from judges.labelled.columns import VERDICT, Columns
from judges.labelled.labels import LabelledPair, from_preferred
from judges.labelled.readers.reader import HUMANS, Found, Records, each, group_of
from records.fields.better import better_in, says_which
from records.fields.labelled import Labels
from records.fields.labels import CODES
from records.fields.preferences import Sides, says_better, sides_in
from records.fields.rankings import answers_in, ordered_places
from records.files import BadRows, Record
from records.rows import Winner
from records.shapes import prompt_of, responses_of, sides_of

OWN = "first_order"
"""A field of this project's comparisons, whose verdicts are no labels."""


def says_preference(record: Record) -> bool:
    """Return whether a record labels the better of its answers, in a form that is rarely a judge's verdict.

    A `winner` or `preference` may be either. It is a label only if --human-column names it.
    """
    try:
        sides = sides_in(record)
        if sides is None:
            return sum(answer.score is not None for answer in answers_in(record)) > 1
    except InputError:
        return False
    # a column such as `winner` may be a judge's verdict, so the rest must say which is better
    plain = {name: value for name, value in record.items() if name not in VERDICT}
    return OWN not in record and says_which(plain, sides.names)


def read_preferences(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return the pairs of preference data: HelpSteer's, PKU-SafeRLHF's, the Chatbot Arena's, ranked answers and more.

    Ranked answers give every two that are not tied. Raises InputError if labels may mean either side.
    """
    codes: dict[str, Winner] | None = None if columns.codes is CODES else columns.codes
    labels = Labels("the labels", codes)

    def pairs(number: str, record: Record) -> list[LabelledPair]:
        sides = sides_in(labels.seen(record))
        row_id = columns.id_of(record) or number
        return _ranked(row_id, record) if sides is None else _labelled(row_id, record, sides, codes)

    rows = each(records, bad, pairs, columns.id)
    labels.check()
    named = {str(record["annotator"]): None for _, record in records if record.get("annotator")}
    return Found(rows, labeller=", ".join(named) or HUMANS)


def _labelled(row_id: str, record: Record, sides: Sides, codes: "dict[str, Winner] | None") -> list[LabelledPair]:
    label, both = better_in(record, sides.names, codes), sides_of(record)
    assert both is not None
    sides_of_pairs = [(first, second) for first in both[0] for second in both[1]]
    pairs = []
    for place, (first, second) in enumerate(sides_of_pairs):
        one_id = row_id if len(sides_of_pairs) == 1 else f"{row_id}-{place}"  # a key must name one pair
        # by the text, because from_preferred may exchange the sides
        models = {first.response: first.model, second.response: second.model}
        if says_better(sides.names):
            pair = from_preferred(one_id, sides.prompt, first.response, second.response, group_of(sides.prompt))
        else:
            texts = first.response, second.response
            pair = LabelledPair(one_id, sides.prompt, *texts, label, group_of(sides.prompt))
        pairs.append(replace(pair, model_a=models[pair.response_a], model_b=models[pair.response_b]))
    return pairs


def _ranked(row_id: str, record: Record) -> list[LabelledPair]:
    answers = answers_in(record)
    if not answers:
        raise InputError("neither a pair nor several answers with scores")
    prompt, rows = prompt_of(record).prompt, responses_of(record)
    pairs = []
    known = [(place, answer.text, answer.score) for place, answer in enumerate(answers) if answer.score is not None]
    for i, j in ordered_places([text for _, text, _ in known], [score for _, _, score in known]):
        better, worse = known[i][0], known[j][0]
        texts = answers[better].text, answers[worse].text
        pair = from_preferred(f"{row_id}-{better}-{worse}", prompt, *texts, group_of(prompt))
        models = rows[better].model, rows[worse].model
        models = models if pair.label == "a" else models[::-1]  # as from_preferred put the better one
        pairs.append(replace(pair, model_a=models[0], model_b=models[1]))
    return pairs
