"""Reads ranked answers from OASST, HelpSteer, UltraFeedback and this project's rows."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from console.errors import InputError, RowError
from console.output import counted
from console.progress import say
from judges.labelled.cells import MINUS_ONE, is_failed, number_of
from judges.labelled.columns import Columns
from judges.labelled.ranked import RankedAnswers, ordered_pairs
from judges.labelled.readers.reader import UNEXPECTED, text
from judges.labelled.readers.trees import read_oasst
from records import Message
from records.fields.notes import Notes
from records.fields.rankings import answers_in
from records.files import BadRows, Record, read_records
from records.keys import content_key
from records.shapes import prompt_of

Located = tuple[str, Record]
HUMAN_SCORES = ("helpfulness", "quality", "score")
"""The score fields of a table with one row per answer. HelpSteer's overall score is its helpfulness."""


def read_ranked(source: str | Path, bad: BadRows) -> list[RankedAnswers]:
    """Return the ranked answers of a file or hub data set, in its order.

    Known are OASST trees, OASST's flat table of messages, rows with `prompt, responses, ranks`, a table with a scored
    answer per row (HelpSteer, grouped by prompt), UltraFeedback, Nectar and distilabel. OASST trees in other languages
    than English are left out. A prompt with one answer only, or whose answers are all tied, is a bad row. Raises
    InputError if the first record is none of these, or no prompt is usable.
    """
    records = list(read_records(source, bad))
    reader = _reader_for(records[0][1], source)
    notes, all_ranked = Notes(str(source)), list[RankedAnswers]()
    known, n_repeats = set[str](), 0
    for where, ranked in reader(records, bad):
        if not _is_usable(where, ranked, bad):
            continue
        try:
            key = content_key(ranked.prompt, sorted(zip(ranked.responses, ranked.ranks, strict=True)))
        except UnicodeEncodeError as error:
            bad.add(RowError(f"{where}: not a row of ranked answers: a text is not valid Unicode: {error.reason}"))
            continue
        if key in known:
            n_repeats += 1
            continue
        known.add(key)
        all_ranked.append(ranked)
        notes.rendered(where, [ranked])
    if n_repeats:
        say(f"{source}: {counted(n_repeats, 'repeats')} of another row's answers and ranks, not counted")
    if not bad.quiet:
        notes.say()
    if not all_ranked:
        raise InputError(f"{source}: no prompt with ranked answers: {bad.summary()}")
    return all_ranked


Reader = Callable[[Sequence[Located], BadRows], Iterator[tuple[str, RankedAnswers]]]


def _reader_for(record: Record, source: str | Path) -> Reader:
    if isinstance(record.get("prompt"), dict):
        return _trees
    if {"message_id", "parent_id", "text"} <= record.keys():
        return _messages
    if "responses" in record:
        return _each(_ranked_row)
    if any(isinstance(record.get(name), list) for name in ("completions", "answers", "generations")):
        return _each(_several)
    if "response" in record and _score_name(record, HUMAN_SCORES):
        return _scored_answers
    raise InputError(
        f"{source}: no ranked answers: the fields {', '.join(sorted(record)[:12])} are neither OASST's, nor 'prompt', "
        "'responses' and 'ranks', nor 'prompt', 'response' and 'helpfulness', nor UltraFeedback's, "
        "Nectar's or distilabel's; python -m judges.calibrate measures a judge on labelled pairs"
    )


def _is_usable(where: str, ranked: RankedAnswers, bad: BadRows) -> bool:
    if ordered_pairs(ranked):
        return True
    n, n_texts = len(ranked.responses), len(set(ranked.responses))
    why = f"all {n} answers are tied" if n_texts > 1 else f"all {n} answers are one text: nothing to rank"
    bad.add(RowError(f"{where}: {why if n > 1 else 'one answer only: nothing to rank'}"))
    return False


def _each(ranked_of: Callable[[Record], RankedAnswers]) -> Reader:
    def read(records: Sequence[Located], bad: BadRows) -> Iterator[tuple[str, RankedAnswers]]:
        for where, record in records:
            try:
                yield where, ranked_of(record)
            except InputError as error:
                bad.add(RowError(f"{where}: not a row of ranked answers: {error}"))
            except UNEXPECTED as error:
                bad.add(RowError(f"{where}: not a row of ranked answers: {type(error).__name__}: {error}"))

    return read


def _ranked_row(record: Record) -> RankedAnswers:
    if record.get("ranks") is None:
        raise InputError("no ranks: 'ranks' is missing")
    ranks = msgspec.convert(record["ranks"], list[float])
    more = {name: record.get(name) for name in ("scores", "rationales")}
    return _made(prompt_of(record).prompt, record["responses"], ranks, row_id=record.get("id"), **more)


def _several(record: Record) -> RankedAnswers:
    """Return one row of UltraFeedback, Nectar or distilabel. Answers without a score or rank are skipped."""
    answers = answers_in(record)
    scored = [(answer.text, answer.score) for answer in answers if answer.score is not None]
    prompt = prompt_of(record).prompt
    if any(answer.is_rank for answer in answers):
        return _made(prompt, [text for text, _ in scored], [-score for _, score in scored])
    return _by_scores(prompt, scored)


def _scored_answers(records: Sequence[Located], bad: BadRows) -> Iterator[tuple[str, RankedAnswers]]:
    """Yield the answers that share a prompt together, at the place of the first of them."""
    prompts: dict[str, tuple[str, str | list[Message], list[tuple[str, float]]]] = {}
    for where, record in records:
        try:
            name = _score_name(record, HUMAN_SCORES)
            if name is None:
                raise InputError(f"no score: expected one of {', '.join(HUMAN_SCORES)}")
            prompt = prompt_of(record).prompt
            answer = text(record, "response"), number_of(record, name)
            if is_failed(record, answer[1]):
                raise InputError(f"no score: {MINUS_ONE}")
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
            continue
        prompts.setdefault(content_key(prompt), (where, prompt, []))[2].append(answer)
    yield from ((where, _by_scores(prompt, answers)) for where, prompt, answers in prompts.values())


def _trees(records: Sequence[Located], bad: BadRows) -> Iterator[tuple[str, RankedAnswers]]:
    n_foreign = 0
    for where, record in records:
        try:
            if not str(record["prompt"].get("lang") or "en").startswith("en"):
                n_foreign += 1
                continue
            ranked_replies = list(_of_tree((where, record)))
        except RowError as error:
            bad.add(error)
            continue
        except UNEXPECTED as error:
            bad.add(RowError(f"{where}: not a tree of messages: {type(error).__name__}: {error}"))
            continue
        if not ranked_replies:
            bad.add(RowError(f"{where}: no ranks: no message of the tree has two ranked replies"))
        yield from ((f"{where}: message {ranked.id}", ranked) for ranked in ranked_replies)
    if n_foreign:
        say(f"left out: {n_foreign} of {len(records)} trees are not in English")


def _of_tree(located: Located) -> Iterator[RankedAnswers]:
    """Yield the ranked replies to each message of one tree."""
    scores = read_oasst([located], BadRows(strict=True), Columns()).scores
    for group in dict.fromkeys(item.group for item in scores):
        items = [item for item in scores if item.group == group]
        # read_oasst makes scores of the ranks, higher is better
        yield _made(items[0].prompt, [item.response for item in items], [-item.score for item in items], row_id=group)


def _messages(records: Sequence[Located], bad: BadRows) -> Iterator[tuple[str, RankedAnswers]]:
    """Yield the ranked replies of OASST's table of messages (oasst1, oasst2 on the hub), whose rows have any order."""
    replies: dict[str, list[Record]] = {}
    roots: list[Located] = []
    places: dict[str, str] = {}
    for where, record in records:
        try:
            message = {**record, "rank": _rank_of(record), "text": text(record, "text")}
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
            continue
        places[str(record.get("message_id"))] = where
        if _is_empty(parent := record.get("parent_id")):
            roots.append((where, message))
        else:
            replies.setdefault(str(parent), []).append(message)
    # below no root, so that they would vanish without a word
    for parent in sorted(replies.keys() - places.keys()):
        where = places[str(replies[parent][0].get("message_id"))]
        bad.add(RowError(f"{where}: replies to message {parent}, which is not in the table"))
    yield from _trees([(where, {"prompt": _nested(root, replies)}) for where, root in roots], bad)


def _nested(message: Record, replies: Mapping[str, Sequence[Record]]) -> Record:
    """Return the message with everything below it, as OASST's trees nest it."""
    below = [_nested(reply, replies) for reply in replies.get(str(message.get("message_id")), ())]
    return {**message, "replies": below}


def _rank_of(message: Record) -> float | None:
    return None if _is_empty(message.get("rank")) else number_of(message, "rank")


def _is_empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _score_name(record: Record, names: Sequence[str]) -> str | None:
    return next((name for name in names if not _is_empty(record.get(name))), None)


def _by_scores(prompt: str | list[Message], answers: Sequence[tuple[str, float]]) -> RankedAnswers:
    scores = [score for _, score in answers]
    return _made(prompt, [answer for answer, _ in answers], [-score for score in scores], scores=scores)


def _made(
    prompt: str | list[Message], responses: list[str], order: Sequence[float], *, row_id: object = None, **more: object
) -> RankedAnswers:
    """Return the row whose ranks 0, 1, 2... follow from `order`, in which less is better."""
    # of distinct values: equal ones share a rank, and none is skipped
    levels = {value: rank for rank, value in enumerate(sorted(set(order)))}
    key = content_key("ranked", prompt, responses) if row_id in (None, "") else str(row_id)
    fields = {"id": key, "prompt": prompt, "responses": responses, "ranks": [levels[value] for value in order]}
    return msgspec.convert({**fields, **more}, RankedAnswers)
