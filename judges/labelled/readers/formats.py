"""Recognises the format of a labelled set by its fields, and reads it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import InputError
from console.reading import naming
from judges.labelled.cells import number_of
from judges.labelled.columns import GAMES, SCORE, Columns, check_named
from judges.labelled.labels import LabelledScore, LabelledSet
from judges.labelled.readers.alpacafarm import is_vote, read_alpacafarm
from judges.labelled.readers.faireval import read_faireval, review_in
from judges.labelled.readers.mtbench import read_mtbench, read_mtbench_games, read_mtbench_scores
from judges.labelled.readers.names import FormatName
from judges.labelled.readers.pairs import own_codes, read_autoj, read_judgebench, read_llmbar, read_pairs, read_pandalm
from judges.labelled.readers.preferences import read_preferences, says_preference
from judges.labelled.readers.preferred import STYLES, read_hhh, read_prometheus, read_rewardbench, read_rmbench
from judges.labelled.readers.ranked import read_ranked_answers
from judges.labelled.readers.reader import Found, Records, answers_in, each, group_of
from judges.labelled.readers.trees import read_oasst
from records.fields.better import label_in
from records.fields.labels import CODES, WORDS, ZERO_FIRST
from records.fields.values import number_in
from records.files import BadRows, Record, read_records
from records.inputs import stem_of
from records.rows import Winner
from records.shapes import UNKNOWN_MODEL, prompt_of

TRIED = 20
"""The number of first records that may fit no format."""
Reader = Callable[[Records, BadRows, Columns], Found]


@dataclass(frozen=True)
class Format:
    """A format: a test of its records, and a reader."""

    fits: Callable[[Record, Columns], bool]
    read: Reader
    label: str | None = None
    """The column of the label, if it is always the same."""
    codes: dict[str, Winner] | None = None
    """The meanings of the set's numbers, if they are unusual."""
    is_table: bool = False
    """Whether each record is one labelled row, so that a column of verdicts may stand beside the label."""


def read_scores(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return scores of any table with an answer and a human's score, a log with a judge's scores too."""

    def score(number: str, record: Record) -> list[LabelledScore]:
        name = columns.human_in(record)
        if name is None:
            raise InputError("no label: expected a column 'human' or 'label'; name it with --human-column")
        response = record.get("response") or record.get("output") or ""
        prompt = prompt_of(record).prompt if response else ""
        group = str(record.get("group") or record.get("prompt_id") or (group_of(prompt) if prompt else number))
        row_id, model = columns.id_of(record) or number, str(record.get("model", UNKNOWN_MODEL))
        return [LabelledScore(row_id, prompt, str(response), number_of(record, name), group, model=model)]

    return Found(scores=each(records, bad, score, columns.id))


def _has(*names: str) -> Callable[[Record, Columns], bool]:
    return lambda record, _: all(name in record for name in names)


def _is_score_table(record: Record, columns: Columns) -> bool:
    single = "response" in record or "output" in record or columns.verdict_in(record) == SCORE
    return columns.human_in(record) is not None and single and answers_in(record) is None


FORMATS: dict[str, Format] = {
    # A set to which somebody added a column with verdicts keeps its other fields: it is a table of pairs. Auto-J's
    # codes are others than those of such a table, so it comes before.
    "scores": Format(_is_score_table, read_scores, is_table=True),
    "autoj": Format(_has("response 1", "response 2", "label"), read_autoj, "label", {**WORDS, **ZERO_FIRST}, True),
    "pandalm": Format(
        _has("response1", "response2", "annotator1", "annotator2", "annotator3"), read_pandalm, is_table=True
    ),
    "alpacafarm": Format(lambda r, columns: is_vote(r) and columns.human_in(r) is None, read_alpacafarm, "preference"),
    "pairs": Format(lambda record, columns: columns.has_both(record), read_pairs, is_table=True),
    "rmbench": Format(lambda r, _: _texts(r.get("chosen")) == _texts(r.get("rejected")) == len(STYLES), read_rmbench),
    "oasst": Format(lambda r, _: isinstance(r.get("prompt"), dict) and "replies" in r["prompt"], read_oasst),
    "ranked": Format(_has("prompt", "responses", "ranks"), read_ranked_answers),
    "hhh": Format(_has("chosen_instruction", "rejected_instruction"), read_hhh),
    "prometheus": Format(_has("instruction", "gpt4_score"), read_prometheus),
    "mtbench": Format(_has("question_id", "model_a", "model_b", "winner", "judge"), read_mtbench, "winner"),
    "mtbench-games": Format(_has("question_id", "model_1", "model_2", *GAMES), read_mtbench_games, GAMES[0]),
    "mtbench-scores": Format(_has("question_id", "model", "judge", "score"), read_mtbench_scores, "score"),
    "rewardbench": Format(_has("chosen", "rejected"), read_rewardbench),
    "llmbar": Format(_has("input", "output_1", "output_2", "label"), read_llmbar, "label", is_table=True),
    "judgebench": Format(
        _has("question", "response_A", "response_B", "label"), read_judgebench, "label", is_table=True
    ),
    "preferences": Format(lambda r, columns: columns.human_in(r) is None and says_preference(r), read_preferences),
}


def read_labelled(source: Path, given: FormatName | None, columns: Columns, bad: BadRows) -> LabelledSet:
    """Return the labelled set in a file or folder, in the format `given` or in the one that its first record fits.

    Raises InputError if it fits none or has no usable row.
    """
    review = review_in(source)
    if given == "faireval" or (given is None and review is not None):
        if review is None:
            raise InputError(f"{source}: no review_<model>_<model>_human.txt, or more than one; name the file")
        return _named(review, "faireval", read_faireval(review, bad), bad)
    n_before = bad.n_bad
    records = list(read_records(source, bad))
    whole = bad.n_bad == n_before
    check_named((record for _, record in records), columns)
    name = given or _recognised_in(records, columns, source)
    kind = FORMATS[name]
    with naming(source):
        labelled_set = _named(source, name, kind.read(records, bad, columns), bad)
    label = kind.label or next(
        (name_in_record for _, record in records if (name_in_record := _label_name(record, columns, name))), None
    )
    named = next((names for _, record in records if (names := answers_in(record))), None)
    usual = own_codes(named, columns) if name == "pairs" and columns.codes is CODES else CODES
    codes = kind.codes or (None if usual is CODES else usual)
    numbers = {number_in(record.get(label)) for _, record in records} if label else set()
    from_one = name in ("llmbar", "pandalm") or (codes is None and 2 in numbers)
    return replace(labelled_set, label=label, codes=codes, from_one=from_one, n_records=len(records), whole=whole)


def _recognised_in(records: Records, columns: Columns, source: Path) -> str:
    """Return the format of the first record that fits one. The very first record may be bad."""
    for _, record in records[:TRIED]:
        try:
            return recognised(record, columns, source)
        except InputError:
            continue
    return recognised(records[0][1], columns, source)


def recognised(record: Record, columns: Columns, source: Path) -> str:
    """Return the name of the format that a record fits. Raises InputError if it fits none.

    A set whose label is read from another column than usual is a table of pairs.
    """
    given = columns.human
    if given in record and answers_in(record) is not None and given not in {kind.label for kind in FORMATS.values()}:
        return "pairs"
    for name, kind in FORMATS.items():  # the first that fits: the order of FORMATS counts
        if kind.fits(record, columns):
            return name
    if columns.human_in(record) is not None and answers_in(record) is not None:
        return "pairs"
    fields = ", ".join(sorted(record)[:12])
    verdict_column = columns.verdict_in(record)
    labels = (
        f"if '{verdict_column}' is what people said, --human-column {verdict_column}"
        if verdict_column
        else "--human-column"
    )
    raise InputError(
        f"{source}: the fields {fields} match no known labelled set; name the column of labels: "
        f"{labels}, or --format (docs/audit.md has the formats)"
    )


def _label_name(record: Record, columns: Columns, name: str) -> str | None:
    return next(iter(label_in(record)), None) if name == "preferences" else columns.human_in(record)


def _named(source: Path, name: str, found: Found, bad: BadRows) -> LabelledSet:
    if not found.pairs and not found.scores:
        raise InputError(f"{source}: no usable row of the format {name}: {bad.summary()}")
    title = f"{name}-{stem_of(source)}"
    return LabelledSet(title, name, found.labeller, tuple(found.pairs), tuple(found.scores), found.ranks)


def _texts(values: object) -> int:
    """Return the number of texts of a list, or 0 if it holds anything else."""
    return len(values) if isinstance(values, list) and all(isinstance(value, str) for value in values) else 0
