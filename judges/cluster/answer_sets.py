"""Groups the answers in a file by prompt.

The file is read twice: first to count the rows of each prompt, then to put the answers on disk and take them from
there prompt by prompt. So it costs the memory of one prompt, wherever in the file its rows stand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import msgspec

from console.errors import InputError, RowError
from console.progress import say
from records import Message, Response, answer_key, prompt_key
from records.disk import DiskDict, GroupedRows
from records.fields.values import number_or_none
from records.files import BadRows, Record, check_limit, read_records
from records.shapes import responses_of


class Member(msgspec.Struct, frozen=True):
    """One answer text with all responses that have it."""

    response: str
    ids: list[str]
    """The ids of the responses with this text. Each is one vote."""
    score: float | None = None
    """Their mean reward, or None without rewards."""


@dataclass(frozen=True)
class AnswerSet:
    """The answers to one prompt, equal texts together, sorted by text."""

    prompt_id: str
    prompt: str | list[Message]
    members: tuple[Member, ...]
    n_unusable: int = 0
    """Answers without text, which are no votes."""

    @property
    def texts(self) -> list[str]:
        """The distinct texts, sorted."""
        return [member.response for member in self.members]

    @property
    def n_votes(self) -> int:
        """The answers that have text."""
        return sum(len(member.ids) for member in self.members)


@dataclass(frozen=True)
class Census:
    """The prompts and judges of a file."""

    n_rows: Mapping[str, int]
    """The number of rows by prompt key, in the order of the prompts' first rows."""
    n_scored: int
    judges: frozenset[str]
    """The fingerprints of the judges that gave the scores."""


@dataclass(frozen=True)
class Rewards:
    """The scores of a file, or of another one than that of the answers."""

    scores: Mapping[str, float | None]
    """By `answer_key`."""
    judges: frozenset[str]


@dataclass(frozen=True)
class ScoredAnswer:
    """One answer of a file, with its score."""

    response: Response
    score: float | None
    judge: str | None
    """The fingerprint of the judge that gave the score, if the row has it."""
    is_side: bool
    """Whether it is one of the two answers of a pair. The score of a pair's record belongs to neither."""
    row_id: str | None
    """The row's id, if rows of this kind have one. The same id and text again is the same answer again."""


def take_census(source: str | Path, bad: BadRows, limit: int | None = None) -> Census:
    """Count the rows of the first `limit` prompts of a file. Raises InputError if it has no usable row."""
    check_limit(limit)
    n_rows: DiskDict[int] = DiskDict()
    n_prompts, n_scored, judges = 0, 0, set[str]()
    for answer in scored_answers(source, bad):
        key = _set_key(answer.response)
        n = n_rows.get(key, 0)
        if n == 0 and n_prompts == limit:
            continue
        n_rows[key] = n + 1
        n_prompts += n == 0
        if answer.score is not None:
            n_scored += 1
            judges.add(answer.judge or "")
    if not n_prompts:
        raise InputError(f"{source}: no usable row: {bad.summary()}")
    return Census(n_rows, n_scored, frozenset(judges))


def read_answer_sets(source: str | Path, census: Census, rewards: Rewards | None = None) -> Iterator[AnswerSet]:
    """Yield the answers to each prompt of `census`, in the order of the prompts' last rows.

    The scores come from `rewards` if it is given, else from the file.
    """
    kept = GroupedRows(ScoredAnswer)
    for answer in scored_answers(source, BadRows(quiet=True)):
        key = _set_key(answer.response)
        if key in census.n_rows:
            kept.put(answer, key)
    yield from (_answer_set(answers, rewards) for answers in kept.groups(by_last=True))


def read_rewards(source: Path, bad: BadRows) -> Rewards:
    """Return the scores of a file by answer. Raises InputError without scores.

    Of rows of one judgment the last score counts, as in a file that a resumed run has added to. Other rows of an answer
    are votes, and their mean counts. A row without a score takes none away.
    """
    scores: DiskDict[float | None] = DiskDict()
    n_votes: DiskDict[int] = DiskDict()
    judges: set[str] = set()
    n_differ = 0
    for answer in scored_answers(source, bad):
        if (score := answer.score) is None:
            continue
        judges.add(answer.judge or "")
        key = answer_key(answer.response)
        if (before := scores.get(key)) is None:
            scores[key] = score
            continue
        n_differ += score != before
        n = n_votes[key] = n_votes.get(key, 1) + 1
        scores[key] = score if answer.row_id or score == before else before * (n - 1) / n + score / n
    if not scores:
        raise InputError(f"{source}: no row has a 'score'; --rewards takes what python -m judges.score writes")
    if n_differ:
        say(
            f"{source}: {n_differ} rows give an answer another score than a row before: of rows with the id of one "
            "judgment the last counts, else the mean"
        )
    return Rewards(scores, frozenset(judges))


def scored_answers(source: str | Path, bad: BadRows) -> Iterator[ScoredAnswer]:
    """Yield the answers of a file. A row without an answer, or whose score is no number, is a bad row."""
    for where, record in read_records(source, bad):
        try:
            responses = responses_of(record)
            alone = len(responses) == 1
            # of several answers in a row it is not known whose score it is
            score = number_or_none(record, "score") if alone else None
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
            continue
        judge = record.get("judge")
        for response in responses:
            row_id = answer_key(response) if alone and _has_row_id(record) else None
            yield ScoredAnswer(response, score, judge if isinstance(judge, str) else None, not alone, row_id)


def _has_row_id(record: Record) -> bool:
    # An `id` without a `prompt_id` is often the prompt's id, shared by answers that are separate votes.
    return "response_id" in record or ("id" in record and "prompt_id" in record)


def _set_key(response: Response) -> str:
    return prompt_key(response)


def _answer_set(answers: list[ScoredAnswer], rewards: Rewards | None) -> AnswerSet:
    # the last of equal ids, as in a file that a resumed run has added to
    once = {answer.row_id or f"row {number}": answer for number, answer in enumerate(answers)}
    usable = [answer for answer in once.values() if answer.response.response.strip()]
    by_text: dict[str, list[ScoredAnswer]] = {}
    for answer in usable:
        by_text.setdefault(answer.response.response, []).append(answer)
    first = answers[0].response
    members = (_member(text, by_text[text], rewards) for text in sorted(by_text))
    return AnswerSet(first.prompt_id, first.prompt, tuple(members), len(once) - len(usable))


def _member(text: str, answers: list[ScoredAnswer], rewards: Rewards | None) -> Member:
    ids = sorted(answer.response.id for answer in answers)
    scores = [
        answer.score if rewards is None else rewards.scores.get(answer_key(answer.response)) for answer in answers
    ]
    # Sorted, because the sum of floats depends on their order, and nothing may depend on the file's.
    known_scores = sorted(score for score in scores if score is not None)
    return Member(text, ids, fmean(known_scores) if known_scores else None)
