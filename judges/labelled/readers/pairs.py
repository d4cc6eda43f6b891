"""Sets with two answers and a label in one record: LLMBar, JudgeBench, Auto-J, PandaLM, and this project's own."""

from dataclasses import dataclass

from console.errors import InputError
from judges.labelled.cells import models_in, winner_of
from judges.labelled.columns import Columns, check_labels
from judges.labelled.labels import LabelledPair
from judges.labelled.readers.reader import Found, Records, answers_in, each, group_of, text
from records.fields.labels import CODES, WORDS, ZERO_FIRST, Scale, by_name, majority
from records.fields.preferences import OWN_CODES, counts_from_one, counts_from_zero, sides_in
from records.fields.values import number_in
from records.files import BadRows, Record
from records.rows import Winner
from records.shapes import UNKNOWN_MODEL, prompt_of


@dataclass(frozen=True)
class Fields:
    """The fields of a format."""

    a: str
    b: str
    codes: dict[str, Winner]
    id: str | None = None
    meta: tuple[str, ...] = ()
    model: str | None = None
    """The field with the model that wrote both answers."""


LLMBAR = Fields("output_1", "output_2", {"1": "a", "2": "b"})
JUDGEBENCH = Fields("response_A", "response_B", CODES, "pair_id", ("source",), "response_model")
AUTOJ = Fields("response 1", "response 2", ZERO_FIRST, None, ("scenario",))
ANNOTATORS = ("annotator1", "annotator2", "annotator3")


def read_llmbar(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return LLMBar's pairs (arXiv 2310.07641): `input, output_1, output_2, label` 1 or 2.

    A file with 0 or -1 among its labels, or with other fields and no 2, is no more than a table with these fields.
    """
    numbers = {number for _, record in records if (number := number_in(record.get("label"))) is not None}
    known = 2 in numbers or all(counts_from_one(record) for _, record in records)
    given = columns.codes is not CODES and all(f"{number:g}" in columns.codes for number in numbers)
    if given or numbers & {0, -1} or not known:
        return read_pairs(records, bad, columns)
    return Found(each(records, bad, lambda number, record: [_pair(number, record, LLMBAR)], columns.id))


def read_judgebench(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return JudgeBench's pairs (arXiv 2410.12784): one answer is right, the other wrong. `label` is A>B or B>A."""
    rows = each(records, bad, lambda number, record: [_pair(number, record, JUDGEBENCH)], columns.id)
    return Found(rows, labeller="the right answers of the tasks")


def read_autoj(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return Auto-J's pairwise test (arXiv 2310.05470): `label` 0 the first, 1 the second, 2 a tie.

    The format follows its README and was not tried on the file.
    """

    def pair(number: str, record: Record) -> list[LabelledPair]:
        renamed = record if "prompt" in record else {**record, "prompt": record.get("query")}  # the README's own name
        return [_pair(number, renamed, AUTOJ)]

    return Found(each(records, bad, pair, columns.id))


def read_pandalm(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return PandaLM's test set (arXiv 2306.05087): three annotators, 0 a tie, 1 or 2 the better answer.

    The label is the majority's. It would be a tie if all three differed, which never happens in its 999 rows.
    """

    def pair(number: str, record: Record) -> list[LabelledPair]:
        votes = [_label(record, name, CODES) for name in ANNOTATORS]
        prompt = "\n\n".join(part for part in (_words(record, "instruction"), _words(record, "input")) if part)
        # `model1_model2`; with a _ in a name it is not known where the first one ends
        models = str(record.get("cmp_key", "")).split("_")
        model_a, model_b = models if len(models) == 2 else (UNKNOWN_MODEL, UNKNOWN_MODEL)
        return [
            LabelledPair(
                id=str(record.get("idx", number)),
                prompt=prompt,
                response_a=_words(record, "response1"),
                response_b=_words(record, "response2"),
                label=majority(votes),
                group=group_of(prompt),
                annotators=tuple(votes),
                model_a=model_a,
                model_b=model_b,
            )
        ]

    return Found(each(records, bad, pair, columns.id))


def read_pairs(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return pairs of any table with a prompt, two answers and a label, including logs with verdicts.

    Texts may be absent from a log: its verdicts are there already.
    """

    def pair(number: str, record: Record) -> list[LabelledPair]:
        name = columns.human_in(record)
        if name is None:
            raise InputError("no label: expected a column 'human' or 'label'; name it with --human-column")
        names = answers_in(record)
        label = _label(record, name, own_codes(names, columns))
        prompt = prompt_of(record).prompt if names else ""
        models = models_in(record) or (UNKNOWN_MODEL, UNKNOWN_MODEL)
        response_a, response_b = _two(record) if names else ("", "")
        return [
            LabelledPair(
                id=columns.id_of(record) or number,
                prompt=prompt,
                response_a=response_a,
                response_b=response_b,
                label=label,
                group=str(record.get("group") or record.get("prompt_id") or (group_of(prompt) if prompt else number)),
                model_a=models[0],
                model_b=models[1],
            )
        ]

    check_labels([record for _, record in records], columns)
    named = next((names for _, record in records if (names := answers_in(record))), None)
    # only the usual codes can be off by one, with 0 for the first answer
    if own_codes(named, columns) is CODES:
        scale = Scale()
        for _, record in records:
            if (name := columns.human_in(record)) is not None and not _named_in(record, name):
                scale.add([record[name]], from_zero=counts_from_zero(named), from_one=counts_from_one(record))
        scale.check("the labels")
    return Found(each(records, bad, pair, columns.id))


def _two(record: Record) -> tuple[str, str]:
    """Return the texts of the two answers, of conversations the last turns."""
    sides = sides_in(record)
    if sides is None or len(sides.first) != 1 or len(sides.second) != 1:
        raise InputError("two answers are needed, one on each side")
    return sides.first[0], sides.second[0]


def own_codes(names: tuple[str, str] | None, columns: Columns) -> dict[str, Winner]:
    """Return the meanings of labels on the answers under these names: those of --codes, else those of the set."""
    codes = OWN_CODES.get(names) if names is not None and columns.codes is CODES else None
    return columns.codes if codes is None else {**WORDS, **codes}


def _pair(number: str, record: Record, fields: Fields) -> LabelledPair:
    prompt = prompt_of(record).prompt
    model = str(record.get(fields.model or "", UNKNOWN_MODEL))
    return LabelledPair(
        id=str(record.get(fields.id or "", number)),
        prompt=prompt,
        response_a=text(record, fields.a),
        response_b=text(record, fields.b),
        label=_label(record, "label", fields.codes),
        group=group_of(prompt),
        model_a=model,
        model_b=model,
        meta={name: str(record[name]) for name in fields.meta if name in record},
    )


def _words(record: Record, name: str) -> str:
    """Return a field as text. PandaLM's file has a JSON value if a model wrote only True or a number."""
    value = record.get(name)
    if not isinstance(value, str | bool | int | float):
        raise InputError(f"'{name}' must be text, found {type(value).__name__}")
    return str(value)


def _label(record: Record, name: str, codes: dict[str, Winner]) -> Winner:
    winner = winner_of(record.get(name), codes, record)[0]
    if winner is None:
        known = "1, 2, a, b or tie, or say with --codes what it means" if codes is CODES else ", ".join(codes)
        raise InputError(f"'{name}' is {record.get(name)!r}, which is no label: expected {known}")
    return winner


def _named_in(record: Record, name: str) -> bool:
    """Return whether a label is the name of one of the two answers' fields."""
    names = answers_in(record)
    return names is not None and by_name(record[name], names) is not None
