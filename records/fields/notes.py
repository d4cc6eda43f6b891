"""Notes on a file that was read, beside its bad rows."""

from collections import Counter
from collections.abc import Iterator, Sequence

from console.errors import InputError
from console.progress import say
from records.fields.beyond_text import media_in, tools_in
from records.fields.messages import rendered_in
from records.fields.preferences import names_in
from records.fields.rankings import answers_in
from records.fields.values import Record, is_empty, number_in
from records.fields.wanted import WEIGHT
from records.rows import Message

SCORES = (("chosen_score", "rejected_score"), ("score_chosen", "score_rejected"))
"""Fields with the scores of a pair's two answers."""
TEXTS = ("prompt", "chosen", "rejected", "response", "responses", "response_a", "response_b", "answer")
"""Fields with texts in rows of any kind."""


class Notes:
    """Counts what is told at the end: ties, what is not learnt, rendered templates."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._counts: Counter[str] = Counter()
        self._first_mark = ""
        self._first_tool = ""

    @property
    def n_tools(self) -> int:
        """Rows that were left out because they have tools."""
        return self._counts["tools"]

    def has_tools(self, where: str, record: Record) -> bool:
        """Return and count whether a record has tools. Raises InputError if it has an image, a video or sound."""
        if medium := media_in(record):
            raise InputError(
                f"{where}: {medium}: models are trained on text here; take such rows out of the file, or train a "
                "vision-language model with TRL"
            )
        sign = tools_in(record)
        self._counts["tools"] += sign is not None
        self._first_tool = self._first_tool or (f"{where}: {sign}" if sign else "")
        return sign is not None

    def tie(self, record: Record, n_rows: int) -> None:
        """Count a good record that gave no pair: its label says that the two are equal."""
        self._counts["ties"] += n_rows == 0
        self._counts["records"] += 1
        self._counts["turned"] += _is_turned(record)

    def unweighted(self, record: Record, n_rows: int) -> None:
        """Count a good record whose weight, if it has one, is not used."""
        self.tie(record, n_rows)
        self._counts["weights"] += not is_empty(record.get(WEIGHT)) and number_in(record[WEIGHT]) != 1

    def chosen_only(self, record: Record, n_rows: int) -> None:
        """Count a record of which only the better answer is learnt, or nothing at all."""
        self._counts["records"] += 1
        if names_in(record) is not None or answers_in(record):
            self._counts["ties" if n_rows == 0 else "chosen"] += 1
        else:
            self._counts["unwanted"] += n_rows == 0

    def rendered(self, where: str, rows: Sequence[object]) -> None:
        """Count the rows in whose texts a chat template is already rendered."""
        for row in rows:
            if mark := rendered_in(_texts(row)):
                self._counts["rendered"] += 1
                self._first_mark = self._first_mark or f"{mark} in {where}"

    def say(self) -> None:
        """Say what there is to say."""
        counts, source = self._counts, self._source
        if n := counts["tools"]:
            say(f"{source}: {n} rows have tools and are left out, the first {self._first_tool}")
        if n := counts["ties"]:
            say(f"{source}: {n} of {counts['records']} rows are ties and left out")
        if n := counts["turned"]:
            say(
                f"{source}: in {n} of {counts['records']} rows the chosen answer has the lower score; the names of the "
                "two decide, and the scores are kept"
            )
        if n := counts["weights"]:
            say(f"{source}: {n} of {counts['records']} rows have a '{WEIGHT}', which is not used here: all count alike")
        if n := counts["chosen"]:
            say(f"{source}: {n} rows are pairs, of which only the chosen answers are learnt")
        if n := counts["unwanted"]:
            say(f"{source}: {n} of {counts['records']} answers are labelled False and not learnt")
        if n := counts["rendered"]:
            say(
                f"warning: {source}: {n} rows hold a rendered chat template, the first {self._first_mark}: a model "
                "would learn to write it, and a judge reads it as ordinary text; give the plain messages"
            )


def _is_turned(record: Record) -> bool:
    """Return whether the scores of a record say the reverse of its `chosen` and `rejected`."""
    scores = ([number_in(record.get(name)) for name in names] for names in SCORES)
    return "chosen" in record and any(
        chosen is not None and rejected is not None and chosen < rejected for chosen, rejected in scores
    )


def _texts(row: object) -> Iterator[str]:
    parts = [row] if isinstance(row, list) else [getattr(row, name, None) for name in TEXTS]
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, list):
            turns: list[Message | str] = part
            yield from (turn if isinstance(turn, str) else turn["content"] for turn in turns)
