"""Reads the answers to compare: two files joined by their prompts, or one file of pairs."""

from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

from console.errors import InputError
from console.progress import say
from judges.judging.pairwise import Contest
from judges.rubrics.rubric import Rubric
from records import Judgment, Response, answer_key, messages_of
from records.disk import DiskDict, DiskRows, DiskSet, GroupedRows
from records.fields.typed import read_typed
from records.files import BadRows, Record
from records.keys import content_key
from records.shapes import located, located_responses, responses_of, sides_of

SAME_NAME = ("a", "b")


def read_contests(a: Path, b: Path | None, rubric: Rubric, *, strict: bool) -> DiskRows[Contest]:
    """Return the contests for `rubric`: the answers in `a` against those in `b`, or without `b` the pairs in `a`.

    A rubric that shows `judged` compares judgments that judges.score wrote: the replies of two judges, or in one file
    all pairs of the replies about one answer. Answers without a partner in the other file are counted on stderr.
    Raises InputError if there is nothing to compare.
    """
    alone: list[int] = []
    if "judged" in rubric.placeholders:
        contests = _of_judgments(a, b, alone, strict=strict)
    elif b is None:
        contests = (contest for _, contest in located(a, BadRows(strict=strict), lambda row: [*contests_in(row)]))
    else:
        contests = _joined(a, b, alone, strict=strict)
    listed = DiskRows(Contest)
    for contest in contests:
        listed.append(contest)
    if b is not None and any(alone):
        say(f"without a partner and left out: {alone[0]} of {a.name}, {alone[1]} of {b.name}")
    if not listed:
        what = "two replies about one answer" if "judged" in rubric.placeholders else "two answers to one prompt"
        raise InputError(f"{a}{f' and {b}' if b else ''}: nothing to compare: {what} are needed")
    return listed


def contest_of(first: Response, second: Response) -> Contest:
    """Return the contest of two answers to one prompt."""
    names = (first.model, second.model) if first.model != second.model else SAME_NAME
    reference = first.reference or second.reference
    return Contest(first.prompt_id, first.prompt, first.response, second.response, *names, reference)


def contests_in(record: Record) -> Iterator[Contest]:
    """Yield the contests of a record with two answers. Raises InputError if it has another number of them."""
    sides = sides_of(record)
    if sides is None:
        answers = responses_of(record)
        if len(answers) != 2:
            n = "one answer" if len(answers) == 1 else f"{len(answers)} answers"
            raise InputError(f"{n}, and two are compared; or give a second file")
        sides = answers[:1], answers[1:]
    yield from (contest_of(first, second) for first, second in product(*sides))


def _joined(a: Path, b: Path, alone: list[int], *, strict: bool) -> Iterator[Contest]:
    """Yield the answers to one prompt, one of each file. `alone` gets the numbers of answers left over."""
    second, places = DiskRows(Response), DiskDict[int]()
    turns = _Turns()
    for _, response in located_responses(b, BadRows(strict=strict)):
        places[turns.next(_prompt_key(response))] = len(second)
        second.append(response)
    n_alone = n_paired = 0
    turns = _Turns()
    for _, response in located_responses(a, BadRows(strict=strict)):
        # Each answer of the other file has one partner: the first to a prompt the first, and so on.
        place = places.get(turns.next(_prompt_key(response)))
        if place is not None:
            yield contest_of(response, second[place])
            n_paired += 1
        else:
            n_alone += 1
    alone += [n_alone, len(second) - n_paired]


class _Turns:
    """Numbers the answers to each prompt."""

    def __init__(self) -> None:
        self._n: DiskDict[int] = DiskDict()

    def next(self, prompt: str) -> str:
        """Return the key of the next answer to a prompt."""
        n = self._n.get(prompt, 0)
        self._n[prompt] = n + 1
        return f"{prompt} {n}"


def _prompt_key(response: Response) -> str:
    return content_key(messages_of(response.prompt))


def _of_judgments(a: Path, b: Path | None, alone: list[int], *, strict: bool) -> Iterator[Contest]:
    first = _latest(a, strict=strict)
    if b is None:
        for judgment in first:
            for reply, other_reply in combinations(dict.fromkeys(judgment.replies), 2):  # equal replies need no judge
                yield Contest(
                    judgment.prompt_id, judgment.prompt, reply, other_reply, *SAME_NAME, None, judgment.response
                )
        return
    second, places, paired = DiskRows(Judgment), DiskDict[int](), DiskSet()
    for judgment in _latest(b, strict=strict):
        if judgment.replies:
            places[answer_key(judgment)] = len(second)
            second.append(judgment)
    n_alone = 0
    for judgment in first:
        if not judgment.replies:
            continue
        if (place := places.get(key := answer_key(judgment))) is None:
            n_alone += 1
        else:
            paired.add(key)
            partner = second[place]
            names = (judgment.judge, partner.judge)
            yield Contest(
                judgment.prompt_id,
                judgment.prompt,
                judgment.replies[0],
                partner.replies[0],
                *names,
                None,
                judgment.response,
            )
    alone += [n_alone, len(places) - len(paired)]


def _latest(path: Path, *, strict: bool) -> GroupedRows[Judgment]:
    """Return the judgments of a file, the last one of each id."""
    judgments = GroupedRows(Judgment)
    for judgment in read_typed(path, Judgment, BadRows(strict=strict)):
        judgments.put(judgment, "", judgment.id)
    return judgments
