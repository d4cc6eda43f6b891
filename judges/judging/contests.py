"""Reads the answers to compare: two files joined by their prompts, or one file of pairs."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

from console.errors import InputError
from console.progress import say
from judges.judging.pairwise import Contest
from judges.rubrics.rubric import Rubric
from records import Judgment, Response, answer_key, messages_of
from records.fields.typed import read_typed
from records.files import BadRows, Record
from records.keys import content_key
from records.shapes import located, located_responses, responses_of, sides_of
from records.store import latest

SAME_NAME = ("a", "b")


def read_contests(a: Path, b: Path | None, rubric: Rubric, *, strict: bool) -> list[Contest]:
    """Return the contests for `rubric`: the answers in `a` against those in `b`, or without `b` the pairs in `a`.

    A rubric that shows `judged` compares judgments that judges.score wrote: the replies of two judges, or in one file
    all pairs of the replies about one answer. Answers without a partner in the other file are counted on stderr.
    Raises InputError if there is nothing to compare.
    """
    alone: list[int] = []
    if "judged" in rubric.placeholders:
        contests = _of_judgments(a, b, alone, strict=strict)
    elif b is None:
        contests = (contest for _, contest in located(a, BadRows(strict=strict), contests_in))
    else:
        contests = _joined(a, b, alone, strict=strict)
    listed = list(contests)
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


def contests_in(record: Record) -> list[Contest]:
    """Return the contests of a record with two answers. Raises InputError if it has another number of them."""
    sides = sides_of(record)
    if sides is None:
        answers = responses_of(record)
        if len(answers) != 2:
            n = "one answer" if len(answers) == 1 else f"{len(answers)} answers"
            raise InputError(f"{n}, and two are compared; or give a second file")
        return [contest_of(*answers)]
    return [contest_of(first, second) for first, second in product(*sides)]


def _joined(a: Path, b: Path, alone: list[int], *, strict: bool) -> Iterator[Contest]:
    """Yield the answers to one prompt, one of each file. `alone` gets the numbers of answers left over."""
    second: dict[str, list[Response]] = defaultdict(list)
    for _, response in located_responses(b, BadRows(strict=strict)):
        second[_prompt_key(response)].append(response)
    n_alone = 0
    for _, response in located_responses(a, BadRows(strict=strict)):
        others = second[_prompt_key(response)]
        if others:
            yield contest_of(response, others.pop(0))  # each answer of the other file has one partner
        else:
            n_alone += 1
    alone += [n_alone, sum(map(len, second.values()))]


def _prompt_key(response: Response) -> str:
    return content_key(messages_of(response.prompt))


def _of_judgments(a: Path, b: Path | None, alone: list[int], *, strict: bool) -> Iterator[Contest]:
    first = latest(read_typed(a, Judgment, BadRows(strict=strict)))
    if b is None:
        for judgment in first:
            for reply, other_reply in combinations(dict.fromkeys(judgment.replies), 2):  # equal replies need no judge
                yield Contest(
                    judgment.prompt_id, judgment.prompt, reply, other_reply, *SAME_NAME, None, judgment.response
                )
        return
    others = latest(read_typed(b, Judgment, BadRows(strict=strict)))
    second = {answer_key(judgment): judgment for judgment in others if judgment.replies}
    first = [judgment for judgment in first if judgment.replies]
    partners = [second.get(answer_key(judgment)) for judgment in first]
    for judgment, partner in zip(first, partners, strict=True):
        if partner is not None:
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
    alone += [partners.count(None), len(second.keys() - set(map(answer_key, first)))]
