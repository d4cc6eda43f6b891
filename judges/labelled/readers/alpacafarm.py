"""AlpacaFarm's human annotations (arXiv 2305.14387), as the alpaca_eval data set keeps them: one vote a record."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from console.errors import InputError
from judges.labelled.columns import Columns
from judges.labelled.labels import SWAPPED, LabelledPair
from judges.labelled.readers.reader import Found, Records, each, group_of, text
from records.fields.labels import majority
from records.fields.values import number_in, shown
from records.files import BadRows, Record
from records.rows import Message, Winner
from records.shapes import UNKNOWN_MODEL, prompt_of

VOTES: dict[float, Winner] = {1.0: "a", 2.0: "b", 1.5: "tie", 0.0: "tie"}
FIELDS = ("instruction", "output_1", "output_2", "preference")
PEOPLE = ("annotator_index", "annotator")
"""Fields with the number of a person. A judge has a name instead."""


@dataclass
class Contest:
    """All votes on one pair of answers."""

    prompt: str | list[Message]
    response_a: str
    response_b: str
    models: tuple[str, str]
    category: str
    votes: list[Winner] = field(default_factory=list)


def is_vote(record: Record) -> bool:
    """Return whether a record is a person's vote: its annotator is a number."""
    people = [record[name] for name in PEOPLE if name in record]
    is_person = any(isinstance(one, int) and not isinstance(one, bool) for one in people)
    return is_person and all(name in record for name in FIELDS)


def read_alpacafarm(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return a pair per prompt and two answers, with all votes on it and their majority: `preference` 1, 2, 0 = tie.

    Votes with the answers in the other order are swapped.
    """
    contests: dict[tuple[str, str, str], Contest] = {}

    def add(_: str, record: Record) -> Iterable[None]:
        number = number_in(record["preference"])
        vote = None if number is None else VOTES.get(number)
        if vote is None:
            raise InputError(f"'preference' must be 1, 2, or 0 for a tie, found {shown(record['preference'])}")
        prompt, first, second = prompt_of(record).prompt, text(record, "output_1"), text(record, "output_2")
        models = (_model(record, "generator_1"), _model(record, "generator_2"))
        group = group_of(prompt)
        if (group, second, first) in contests:
            first, second, vote, models = second, first, SWAPPED[vote], models[::-1]
        contest = Contest(prompt, first, second, models, str(record.get("dataset") or ""))
        contests.setdefault((group, first, second), contest).votes.append(vote)
        return []

    each(records, bad, add)  # only to count bad records: `add` makes no row of its own
    return Found([_pair(str(number), key[0], contest) for number, (key, contest) in enumerate(contests.items())])


def _pair(row_id: str, group: str, contest: Contest) -> LabelledPair:
    return LabelledPair(
        id=row_id,
        prompt=contest.prompt,
        response_a=contest.response_a,
        response_b=contest.response_b,
        label=majority(contest.votes),
        group=group,
        annotators=tuple(contest.votes),
        model_a=contest.models[0],
        model_b=contest.models[1],
        meta={"dataset": contest.category} if contest.category else {},
    )


def _model(record: Record, name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) and value else UNKNOWN_MODEL
