"""Turns the records that people have into rows: which fields mean a prompt, a response, a pair."""

from collections.abc import Callable, Collection, Iterator
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import InputError, RowError
from records.disk import DiskDict
from records.fields.better import better_in
from records.fields.constraints import KEY, constraints_or_error, has_convention
from records.fields.labelled import Labels, check_codes
from records.fields.labels import Codes
from records.fields.messages import chat_in, is_conversation, text_in
from records.fields.notes import Notes
from records.fields.preferences import models_of, names_in, sides_in
from records.fields.prompts import conversation_in, has_prompt, prompt_in, request_in
from records.fields.rankings import Answer, answers_in, best_and_worst
from records.fields.values import fields_of, number_in
from records.fields.wanted import LABELS, WEIGHT, is_unwanted, numbers_of, unlearnt_turns, weight_of
from records.files import BadRows, Record, read_records
from records.finish import text_cut_off
from records.keys import content_key
from records.rows import Chat, Message, Pair, Prompt, Response, messages_of, response_key

RowT = TypeVar("RowT")
UNKNOWN_MODEL = "unknown"
ANSWERS = ("response", "completion", "output", "generation")
LESSER_ANSWER = "answer"
"""If one of the others is there, it is often the reference rather than the model's answer."""
MODELS = ("model", "generator", "model_name", "model_id")


def read_prompts(
    source: str | Path, bad: BadRows, note: Callable[[Notes, Record, int], None] | None = None
) -> Iterator[Prompt]:
    """Yield the prompts of a file: `prompt`, `instruction` (+ `input`), `messages`, `conversations`, `question`, ...

    Another prompt with an id that was there before, or the same with other constraints, gets an id of its own: answers
    and judgments are grouped by it. Conversations with tools are left out and counted, and an image is an InputError.
    `note` is that of `located`.
    """
    first: dict[str, str] = {}
    for _, row in located(source, bad, lambda record: [prompt_of(record)], note, text_only=True):
        key = content_key(row.prompt, row.system, *([row.constraints] if row.constraints else []))
        yield row if first.setdefault(row.id, key) == key else msgspec.structs.replace(row, id=f"{row.id}-{key[:8]}")


def read_responses(source: str | Path, bad: BadRows) -> Iterator[Response]:
    """Yield the responses of a file: one per record, or both sides of a pair. docs/judge.md lists the formats."""
    return (row for _, row in located_responses(source, bad))


def located_responses(source: str | Path, bad: BadRows) -> Iterator[tuple[str, Response]]:
    """Yield each response with its place, `file:line`, for messages.

    One that repeats another, but with other constraints, gets an id of its own, so that both are judged.
    """
    first: DiskDict[str] = DiskDict()
    for where, row in located(source, bad, responses_of):
        key, form = response_key(row), content_key(row.constraints or None, row.constraints_error)
        is_apart = not first.put_new(key, form) and first[key] != form
        yield where, msgspec.structs.replace(row, id=f"{row.id}-{form[:8]}") if is_apart else row


def read_pairs(
    source: str | Path,
    bad: BadRows,
    codes: Codes | None = None,
    flag: str = "--codes",
    *,
    used: Collection[str] = (WEIGHT,),
) -> Iterator[Pair]:
    """Yield the preference pairs of a file. docs/train.md lists the formats. Ties are left out and counted.

    Raises InputError if the labels are numbers that may mean either side, or of a scale that is not known, and no
    `codes` say what they mean. The message names `flag`. A pair is a bad row if an answer is empty, or one of the
    numbers that are `used` is out of range.
    """
    check_codes(source, codes, flag)
    labels = Labels(source, codes, flag)

    def rows_of(record: Record) -> list[Pair]:
        return pairs_of(labels.seen(record), codes, used)

    yield from (row for _, row in located(source, bad, rows_of, Notes.tie, text_only=True))
    labels.check()


def read_chats(source: str | Path, bad: BadRows, codes: Codes | None = None, flag: str = "--codes") -> Iterator[Chat]:
    """Yield conversations that end with an assistant turn to be learnt, of a pair the chosen one only.

    Ties, and answers that are labelled False (KTO's), are left out and counted. Raises InputError as `read_pairs` does.
    """
    check_codes(source, codes, flag)
    labels = Labels(source, codes, flag)
    rows = located(source, bad, lambda record: chats_of(labels.seen(record), codes), Notes.chosen_only, text_only=True)
    yield from (chat for _, chat in rows)
    labels.check()


def located(
    source: str | Path,
    bad: BadRows,
    rows_of: Callable[[Record], list[RowT]],
    note: Callable[[Notes, Record, int], None] | None = None,
    *,
    text_only: bool = False,
) -> Iterator[tuple[str, RowT]]:
    """Yield what `rows_of` makes of each record after its place, `file:line`.

    A record for which it raises InputError is a bad row. Raises InputError if no record is good. `note` counts
    remarkable features of the good ones, which are printed at the end unless `bad` is quiet. With `text_only` a record
    with tools is left out and counted, and one with an image raises InputError.
    """
    n_good, n_bad_before = 0, bad.n_bad
    notes = Notes(str(source))
    try:
        for where, record in read_records(source, bad):
            if text_only and notes.has_tools(where, record):
                continue
            try:
                rows = rows_of(record)
            except RowError:
                raise
            except InputError as error:
                bad.add(RowError(f"{where}: {error}"))
                continue
            n_good += 1
            bad.n_cut_off += text_cut_off(record)
            if not bad.quiet:
                notes.rendered(where, rows)
                if note is not None:
                    note(notes, record, len(rows))
            # After the counts: whoever takes only the first rows never comes back behind this line.
            yield from ((where, row) for row in rows)
    finally:
        if not bad.quiet:
            notes.say()  # also if the reader takes only the first rows
    if n_good == 0:
        reasons = [f"{notes.n_tools} with tools"] if notes.n_tools else []
        reasons += [bad.summary(n_bad_before)] if bad.n_bad > n_bad_before or not reasons else []
        raise InputError(f"{source}: no usable row: {', and '.join(reasons)}")


def prompt_of(record: Record) -> Prompt:
    """Return the prompt of one record, its system turn and history in it. Raises InputError if there is none."""
    prompt = _asked(record)
    constraints, error = constraints_or_error(record)
    return Prompt(
        id=_id(record, "id", "uid", "question_id", *_numbered(record)) or content_key("prompt", prompt),
        prompt=prompt,
        source=_optional(record, "source", "dataset"),
        reference=_optional(record, "reference"),
        constraints=constraints,
        constraints_error=error,
    )


def responses_of(record: Record) -> list[Response]:
    """Return the responses of one record, both sides' for a pair. Raises InputError if there is none."""
    if sides := sides_of(record):
        return [*sides[0], *sides[1]]
    return _several(record) or [_alone(record)]


def _asked(record: Record) -> str | list[Message]:
    try:
        sides = sides_in(record)
    except InputError:
        if not has_prompt(record):
            raise
        return prompt_in(record)  # the answers cannot be read, and are not asked for
    return request_in(record) if sides is None else sides.prompt


def sides_of(record: Record) -> tuple[list[Response], list[Response]] | None:
    """Return the answers of either side of a record with two, or None if it has none."""
    sides = sides_in(record)
    if sides is None:
        return None
    texts = [*sides.first, *sides.second]
    for name, text in _given(record).items():
        if text.strip() and text.strip() not in [other.strip() for other in texts]:
            raise InputError(
                f"'{name}' is neither '{sides.names[0]}' nor '{sides.names[1]}': keep the ones or the other"
            )
    first, second = (
        [_response(record, sides.prompt, text, models_of(name)) for text in side]
        for name, side in zip(sides.names, (sides.first, sides.second), strict=True)
    )
    return first, second


def pairs_of(
    record: Record, codes: Codes | None = None, used: Collection[str] = (), *, empty: bool = False
) -> list[Pair]:
    """Return the preference pairs of one record, nothing for a tie. Raises InputError if there is none.

    `codes` say what a label means. The default is `records.fields.labels.CODES`. Of several answers with scores or
    ranks the best is chosen against the worst. An answer that is empty is an error, unless `empty`: there is nothing in
    it to learn, but to look at. So is a number that is out of range if it is `used`.
    """
    sides = sides_in(record)
    if sides is None:
        return _ranked_pairs(record, used)
    winner = better_in(record, sides.names, codes)
    if winner == "tie":
        return []
    better, worse = (sides.first, sides.second) if winner == "a" else (sides.second, sides.first)
    names = sides.names if winner == "a" else sides.names[::-1]
    for name, texts in zip(names, (better, worse), strict=True):
        if not empty and not all(text.strip() for text in texts):
            raise InputError(f"'{name}' is empty")
    pairs = [(chosen, rejected) for chosen, rejected in product(better, worse) if chosen.strip() != rejected.strip()]
    if not pairs:
        raise InputError("the chosen and the rejected answer are the same")
    return [_pair(record, sides.prompt, chosen, rejected, used) for chosen, rejected in pairs]


def chats_of(record: Record, codes: Codes | None = None) -> list[Chat]:
    """Return the conversations of one record that are to be learnt. Raises InputError if there is none."""
    weight = weight_of(record)
    if names_in(record) is not None or several_in(record):
        pairs = pairs_of(record, codes)
        texts = dict.fromkeys(pair.chosen[0]["content"] for pair in pairs)
        return [Chat([*pairs[0].prompt, {"role": "assistant", "content": text}], weight) for text in texts]
    row = _alone(record)
    if is_unwanted(record):
        return []
    if not row.response.strip():
        raise InputError("the answer is empty")
    chat = [*messages_of(row.prompt), {"role": "assistant", "content": row.response}]
    return [Chat(chat, weight, unlearnt_turns(record))]


def _ranked_pairs(record: Record, used: Collection[str]) -> list[Pair]:
    answers = [answer for answer in several_in(record) if answer.text.strip()]
    if not answers:
        hint = "; trainer.pairs makes pairs of judgments" if {"judge", "score"} <= record.keys() else ""
        hint = hint or ("; trainer.kto learns from answers with a label" if record.keys() & {*LABELS} else "")
        raise InputError(
            "no pair: expected 'chosen' and 'rejected', or two answers such as 'output_1' and a 'label', found "
            f"{fields_of(record)}{hint}"
        )
    ends = best_and_worst(answers)
    if ends is None:
        return []
    best, worst = ends
    if best.text.strip() == worst.text.strip():
        raise InputError("the chosen and the rejected answer are the same")
    scores = {} if best.is_rank else {"chosen_score": best.score, "rejected_score": worst.score}
    return [_pair({**record, **scores}, prompt_in(record), best.text, worst.text, used)]


def _pair(record: Record, asked: str | list[Message], chosen: str, rejected: str, used: Collection[str]) -> Pair:
    prompt = messages_of(asked)
    return Pair(
        prompt=prompt,
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        prompt_id=_id(record, "prompt_id", "id") or content_key("prompt", prompt),
        judge=_optional(record, "judge"),
        evidence=_evidence(record),
        chosen_finish_reason=_optional(record, "chosen_finish_reason"),
        rejected_finish_reason=_optional(record, "rejected_finish_reason"),
        **numbers_of(record, used),
    )


def _evidence(record: Record) -> list[dict[str, Any]] | None:
    evidence = record.get("evidence")
    if not isinstance(evidence, list):
        return None
    try:
        msgspec.json.encode(evidence)
    except (UnicodeEncodeError, RecursionError, TypeError, ValueError):
        raise InputError("'evidence' holds what is no text") from None
    return evidence


def _alone(record: Record) -> Response:
    """Return the one response of a record. Raises InputError if there is none, or if two differ."""
    given, chat = _given(record), conversation_in(record)
    if len({text.strip() for text in given.values()}) > 1:
        raise InputError(f"several answers that differ: {', '.join(given)}: keep one")
    own_id = _id(record, "response_id", "id")
    if chat is not None and chat[-1]["role"] == "assistant":
        return _response(record, request_in(record), chat[-1]["content"], own_id=own_id)
    if given:
        return _response(record, prompt_in(record), next(iter(given.values())), own_id=own_id)
    # `_given` has no field that is null, and no lesser answer. Such a field is read now, or named as wrong.
    for name in (*ANSWERS, LESSER_ANSWER):
        if name in record:
            return _response(record, prompt_in(record), _answer(record[name], name), own_id=own_id)
    if chat is not None:
        raise InputError("the conversation does not end with an assistant turn")
    raise InputError(
        "no response: expected 'response', 'output', 'completion', 'messages' or a pair of answers, found "
        f"{fields_of(record)}"
    )


def _given(record: Record) -> dict[str, str]:
    """Return the answers that a record has by the names of their fields, the end of a conversation among them."""
    answers = {name: _answer(record[name], name) for name in ANSWERS if record.get(name) is not None}
    chat = conversation_in(record)
    if chat is not None and chat[-1]["role"] == "assistant":
        answers["messages"] = chat[-1]["content"]
    return answers


def several_in(record: Record) -> list[Answer]:
    """Return the answers of a list of several to one prompt. Raises InputError if another stands beside them."""
    answers = answers_in(record)
    texts = [answer.text.strip() for answer in answers]
    for name, text in (_given(record) if answers else {}).items():
        if text.strip() and text.strip() not in texts:
            raise InputError(f"'{name}' is none of the {len(answers)} answers beside it: keep the one or the others")
    return answers


def _several(record: Record) -> list[Response]:
    """Return the answers of a list of several to one prompt, or nothing if there is no such list."""
    answers = several_in(record)
    prompt = prompt_in(record) if answers else ""
    return [_response(answer.record, prompt, answer.text) for answer in answers]


def _answer(value: object, name: str) -> str:
    """Return one answer: text, or a list with one assistant message."""
    if is_conversation(value):
        chat = chat_in(value, name)
        if len(chat) != 1 or chat[0]["role"] != "assistant":
            raise InputError(f"'{name}' must be one assistant message, found {len(chat)}")
        return chat[0]["content"]
    return text_in(value, name, empty=True)


def _response(
    record: Record,
    prompt: str | list[Message],
    text: str,
    models: tuple[str, ...] = (),
    own_id: str | None = None,
) -> Response:
    model = _optional(record, *models, *MODELS) or UNKNOWN_MODEL
    constraints, error = constraints_or_error(record)
    return Response(
        id=own_id or content_key("response", prompt, text, model),
        prompt_id=_id(record, "prompt_id", "question_id", *_numbered(record)) or content_key("prompt", prompt),
        prompt=prompt,
        response=text,
        model=model,
        seed=_whole(record, "seed"),
        finish_reason=_optional(record, "finish_reason"),
        n_tokens=_whole(record, "n_tokens"),
        reference=_optional(record, "reference"),
        constraints=constraints,
        constraints_error=error,
    )


def _optional(record: Record, *names: str) -> str | None:
    for name in names:
        value = record.get(name)
        if value and isinstance(value, str):
            return text_in(value, name, empty=True)
    return None


def _id(record: Record, *names: str) -> str | None:
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int):
            return text_in(str(value), name, empty=True)
    return None


def _numbered(record: Record) -> tuple[str, ...]:
    return (KEY,) if has_convention(record) else ()


def _whole(record: Record, name: str) -> int | None:
    number = number_in(record.get(name))
    return int(number) if number is not None and number.is_integer() else None
