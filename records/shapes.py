"""Turns the records that people have into rows: which fields mean a prompt, a response, a pair."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import InputError, RowError
from records.fields.labels import Codes, check_zero_one
from records.fields.messages import chat_in, is_conversation, text_in, with_head
from records.fields.notes import Notes
from records.fields.preferences import CHOSEN, Sides, better_in, has_own_codes, label_in, names_in, sides_in
from records.fields.prompts import conversation_in, has_prompt, prompt_in
from records.fields.values import number_in, number_or_none
from records.files import BadRows, Record, read_records
from records.finish import text_cut_off
from records.keys import content_key
from records.rows import Message, Pair, Prompt, Response, messages_of

RowT = TypeVar("RowT")
UNKNOWN_MODEL = "unknown"
ANSWERS = ("response", "completion", "output")
LESSER_ANSWER = "answer"
"""Where one of the others is there, it is often the right answer rather than the one that was given."""
SEVERAL = (("completions", "response"), ("answers", "answer"), ("responses", ""))
"""Lists of answers to one prompt: UltraFeedback's, Nectar's, this project's ranked ones; and the text's field."""
LABELLED_WITHIN = 20
"""A file whose first rows have no label is not read in advance for them."""


def read_prompts(source: str | Path, bad: BadRows) -> Iterator[Prompt]:
    """Yield the prompts of a file: `prompt`, `instruction` (+ `input`), `messages`, `conversations`, `question`, ..."""
    return (row for _, row in located(source, bad, lambda record: [prompt_of(record)]))


def read_responses(source: str | Path, bad: BadRows) -> Iterator[Response]:
    """Yield the responses of a file: one of a record, or both sides of a pair; docs/judge.md lists the formats."""
    return (row for _, row in located_responses(source, bad))


def located_responses(source: str | Path, bad: BadRows) -> Iterator[tuple[str, Response]]:
    """Yield each response with its place, `file:line`, for messages."""
    return located(source, bad, responses_of)


def read_pairs(source: str | Path, bad: BadRows, codes: Codes | None = None) -> Iterator[Pair]:
    """Yield the preference pairs of a file; docs/train.md lists the formats, and ties are left out and counted.

    Raises InputError where all labels are 0 or 1 and no `codes` say what they mean.
    """
    check_codes(source, codes)
    return (row for _, row in located(source, bad, lambda record: pairs_of(record, codes), Notes.tie))


def read_chats(source: str | Path, bad: BadRows, codes: Codes | None = None) -> Iterator[list[Message]]:
    """Yield conversations that end with an assistant turn to be learnt, of a pair the chosen one only.

    Ties, and answers that are labelled False (KTO's), are left out and counted. Raises InputError as `read_pairs` does.
    """
    check_codes(source, codes)
    return (chat for _, chat in located(source, bad, lambda record: chats_of(record, codes), Notes.chosen_only))


def located(
    source: str | Path,
    bad: BadRows,
    rows_of: Callable[[Record], list[RowT]],
    note: Callable[[Notes, Record, int], None] | None = None,
) -> Iterator[tuple[str, RowT]]:
    """Yield what `rows_of` makes of each record after its place, `file:line`.

    A record for which it raises InputError is a bad row; raises InputError where no record is good. `note` counts what
    a person should know of the good ones; it is said at the end, unless `bad` is quiet.
    """
    n_good = 0
    notes = Notes(str(source))
    try:
        for where, record in read_records(source, bad):
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
            yield from ((where, row) for row in rows)
    finally:
        notes.say()
    if n_good == 0:
        raise InputError(f"{source}: no usable row: {bad.n_bad} bad")


def check_codes(source: str | Path, codes: Codes | None) -> None:
    """Raise InputError where a file's labels are all 0 or 1, which can mean either side, and no `codes` are given."""
    if codes is not None:
        return

    def labels() -> Iterator[object]:
        n_without = 0
        for _, record in read_records(source, BadRows(quiet=True)):
            names = _names(record)
            found = label_in(record) if names and not has_own_codes(names) else {}
            n_without += not found
            if n_without == LABELLED_WITHIN:
                yield None  # not a file of labels
            yield from found.values()

    check_zero_one(labels(), source)


def prompt_of(record: Record) -> Prompt:
    """Return the prompt of one record, its system turn and history in it; raises InputError where there is none."""
    sides = None if has_prompt(record) else sides_in(record)  # the prompt may stand in them only
    prompt = prompt_in(record) if sides is None else sides.prompt
    return Prompt(
        id=_id(record, "id", "uid", "question_id") or content_key("prompt", prompt),
        prompt=prompt,
        source=_optional(record, "source", "dataset"),
        reference=_optional(record, "reference"),
    )


def responses_of(record: Record) -> list[Response]:
    """Return the responses of one record, both sides' for a pair; raises InputError where there is none."""
    if sides := sides_of(record):
        return [*sides[0], *sides[1]]
    return _several(record) or [_alone(record)]


def sides_of(record: Record) -> tuple[list[Response], list[Response]] | None:
    """Return the answers of either side of a record with two, or None where it has none."""
    sides = sides_in(record)
    if sides is None:
        return None
    texts = [*sides.first, *sides.second]
    for name, text in _given(record).items():
        if text.strip() not in [one.strip() for one in texts]:
            raise InputError(
                f"'{name}' is neither '{sides.names[0]}' nor '{sides.names[1]}': keep the ones or the other"
            )
    first, second = (
        [_response(record, sides.prompt, text, _models_of(name)) for text in side]
        for name, side in zip(sides.names, (sides.first, sides.second), strict=True)
    )
    return first, second


def pairs_of(record: Record, codes: Codes | None = None) -> list[Pair]:
    """Return the preference pairs of one record, nothing for a tie; raises InputError where there is none.

    `codes` say what a label means; the default is `records.fields.labels.CODES`.
    """
    sides = sides_in(record)
    if sides is None:
        raise InputError("no pair: expected 'chosen' and 'rejected', or two answers such as 'output_1' and a 'label'")
    winner = better_in(record, sides.names, codes)
    if winner == "tie":
        return []
    better, worse = (sides.first, sides.second) if winner == "a" else (sides.second, sides.first)
    pairs = [(chosen, rejected) for chosen, rejected in product(better, worse) if chosen != rejected]
    if not pairs:
        raise InputError("the chosen and the rejected answer are the same")
    return [_pair(record, sides, chosen, rejected) for chosen, rejected in pairs]


def chats_of(record: Record, codes: Codes | None = None) -> list[list[Message]]:
    """Return the conversations of one record that are to be learnt; raises InputError where there is none."""
    if names_in(record) is not None:
        pairs = pairs_of(record, codes)
        texts = dict.fromkeys(pair.chosen[0]["content"] for pair in pairs)
        return [[*pairs[0].prompt, {"role": "assistant", "content": text}] for text in texts]
    if _several(record):
        raise InputError("several answers, and none is said to be the best: choose one with judges.best_of")
    if record.get("label") is False:
        return []
    row = _alone(record)
    return [[*messages_of(row.prompt), {"role": "assistant", "content": row.response}]]


def _names(record: Record) -> tuple[str, str] | None:
    try:
        return names_in(record)
    except InputError:
        return None


def _pair(record: Record, sides: Sides, chosen: str, rejected: str) -> Pair:
    # A score that is no number is none: pairs are learnt from without one. A weight counts in every loss.
    scores = ("chosen_score", "rejected_score", "margin", "confidence")
    known: dict[str, Any] = {name: number_in(record.get(name)) for name in scores}
    weight = number_or_none(record, "weight")
    prompt = messages_of(sides.prompt)
    return Pair(
        prompt=prompt,
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        prompt_id=_id(record, "prompt_id", "id") or content_key("prompt", prompt),
        weight=1.0 if weight is None else weight,
        judge=_optional(record, "judge"),
        evidence=_evidence(record),
        chosen_finish_reason=_optional(record, "chosen_finish_reason"),
        rejected_finish_reason=_optional(record, "rejected_finish_reason"),
        **known,
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
    """Return the one response of a record; raises InputError where there is none, or where two differ."""
    given, chat = _given(record), conversation_in(record)
    if len({text.strip() for text in given.values()}) > 1:
        raise InputError(f"several answers that differ: {', '.join(given)}: keep one")
    own_id = _id(record, "response_id", "id")
    if chat is not None and chat[-1]["role"] == "assistant":
        _check_asked(record, chat)
        if len(chat) == 1:
            return _response(record, prompt_in(record), chat[0]["content"], own_id=own_id)
        return _response(record, with_head(record, chat[:-1]), chat[-1]["content"], own_id=own_id)
    if given:
        return _response(record, prompt_in(record), next(iter(given.values())), own_id=own_id)
    for name in (*ANSWERS, LESSER_ANSWER):
        if name in record:
            return _response(record, prompt_in(record), _answer(record[name], name), own_id=own_id)
    if chat is not None:
        raise InputError("the conversation does not end with an assistant turn")
    raise InputError("no response: expected 'response', 'output', 'completion', 'messages' or a pair of answers")


def _given(record: Record) -> dict[str, str]:
    """Return the answers that a record has by the names of their fields, the end of a conversation among them."""
    found = {name: _answer(record[name], name) for name in ANSWERS if record.get(name) is not None}
    chat = conversation_in(record)
    if chat is not None and chat[-1]["role"] == "assistant":
        found["messages"] = chat[-1]["content"]
    return found


def _check_asked(record: Record, chat: list[Message]) -> None:
    prompt = record.get("prompt")
    asked = prompt.strip() if isinstance(prompt, str) else ""
    if asked and len(chat) > 1 and asked not in [turn["content"].strip() for turn in chat]:
        raise InputError("'prompt' is no turn of the conversation beside it: keep one")


def _several(record: Record) -> list[Response]:
    """Return the answers of a list of several to one prompt, or nothing where there is no such list."""
    for name, field in SEVERAL:
        answers = record.get(name)
        if isinstance(answers, list) and answers and all(isinstance(one, dict if field else str) for one in answers):
            prompt = prompt_in(record)
            return [_one_of(record, prompt, one, field) for one in answers]
    return []


def _one_of(record: Record, prompt: str | list[Message], answer: Any, field: str) -> Response:
    text = text_in(answer.get(field) if field else answer, field or "responses", empty=True)
    return _response({**record, **answer} if field else record, prompt, text)


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
    model = _optional(record, *models, "model", "generator") or UNKNOWN_MODEL
    return Response(
        id=own_id or content_key("response", prompt, text, model),
        prompt_id=_id(record, "prompt_id", "question_id") or content_key("prompt", prompt),
        prompt=prompt,
        response=text,
        model=model,
        seed=_whole(record, "seed"),
        finish_reason=_optional(record, "finish_reason"),
        n_tokens=_whole(record, "n_tokens"),
        reference=_optional(record, "reference"),
    )


def _models_of(side: str) -> tuple[str, ...]:
    """Return where a record names the model of a side: `model_1` or `generator_1` for output_1, `chosen_model`."""
    if side in CHOSEN:
        return f"model_{side}", f"generator_{side}", f"{side}_model"
    last = side[-1].lower()
    return f"model_{last}", f"generator_{last}", f"model_{last.upper()}", f"model{last}"


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


def _whole(record: Record, name: str) -> int | None:
    number = number_in(record.get(name))
    return int(number) if number is not None and number.is_integer() else None
