"""Turns the records that people have into rows: which fields mean a prompt, a response, a pair."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import InputError, RowError
from records.files import BadRows, Record, read_records
from records.keys import content_key
from records.rows import Message, Pair, Prompt, Response, messages_of
from records.values import number_in, number_or_none

RowT = TypeVar("RowT")
UNREADABLE = re.compile("[\x00\ud800-\udfff]")  # NUL and lone surrogates: no tokenizer and few files can hold them
UNKNOWN_MODEL = "unknown"


def read_prompts(source: str | Path, bad: BadRows) -> Iterator[Prompt]:
    """Yield the prompts of a file: `prompt`, `instruction` (+ `input`), `messages`, `turns`, `question`, OASST tree.

    Another prompt with an id that was there before gets an id of its own: answers and judgments are grouped by it.
    """
    first: dict[str, str] = {}
    for _, row in located(source, bad, lambda record: [prompt_of(record)]):
        key = content_key(row.prompt, row.system)
        yield row if first.setdefault(row.id, key) == key else msgspec.structs.replace(row, id=f"{row.id}-{key[:8]}")


def read_responses(source: str | Path, bad: BadRows) -> Iterator[Response]:
    """Yield the responses of a file: ours, alpaca_eval outputs, TRL conversations, or both sides of labelled pairs."""
    return (row for _, row in located_responses(source, bad))


def located_responses(source: str | Path, bad: BadRows) -> Iterator[tuple[str, Response]]:
    """Yield each response with its place, `file:line`, for messages."""
    return located(source, bad, responses_of)


def read_pairs(source: str | Path, bad: BadRows) -> Iterator[Pair]:
    """Yield the preference pairs of a file: TRL's formats, or two outputs with a label (ties left out)."""
    return (row for _, row in located(source, bad, pairs_of))


def read_chats(source: str | Path, bad: BadRows) -> Iterator[list[Message]]:
    """Yield conversations that end with an assistant turn, from any file that has responses."""
    for row in read_responses(source, bad):
        yield [*messages_of(row.prompt), {"role": "assistant", "content": row.response}]


def located(source: str | Path, bad: BadRows, rows_of: Callable[[Record], list[RowT]]) -> Iterator[tuple[str, RowT]]:
    """Yield what `rows_of` makes of each record after its place, `file:line`.

    A record for which it raises InputError is a bad row; raises InputError where no record is good.
    """
    n_good = 0
    for where, record in read_records(source, bad):
        try:
            rows = rows_of(record)
        except RowError:
            raise
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
            continue
        n_good += 1
        yield from ((where, row) for row in rows)
    if n_good == 0:
        raise InputError(f"{source}: no usable row: {bad.n_bad} bad")


def prompt_of(record: Record) -> Prompt:
    """Return the prompt of one record; raises InputError where there is none."""
    prompt = _prompt_field(record)
    return Prompt(
        id=_id(record, "id", "uid", "question_id") or content_key("prompt", prompt),
        prompt=prompt,
        system=_optional(record, "system"),
        source=_optional(record, "source", "dataset"),
        reference=_optional(record, "reference"),
    )


def responses_of(record: Record) -> list[Response]:
    """Return the responses of one record (two for a pair); raises InputError where there is none."""
    if "messages" in record:
        *head, last = _chat(record, "messages")
        if last["role"] != "assistant":
            raise InputError("'messages' does not end with an assistant turn")
        return [_response(record, head, last["content"])]
    for name in ("response", "completion", "output", "answer"):
        if name in record:
            return [_response(record, _prompt_field(record), _answer(record, name))]
    for first, second in (("chosen", "rejected"), ("output_1", "output_2"), ("response_a", "response_b")):
        if first in record and second in record:
            return [_side(record, first), _side(record, second)]
    raise InputError("no response: expected 'response', 'output', 'completion', 'messages' or a pair of answers")


def pairs_of(record: Record) -> list[Pair]:
    """Return the preference pair of one record, or nothing for a tie; raises InputError where there is none."""
    if "chosen" in record and "rejected" in record:
        prompt, chosen, rejected = _explicit(record)
    elif "output_1" in record and "output_2" in record:
        label = record.get("label", record.get("preference"))
        if label not in (1, 2, "1", "2"):
            return []
        first, second = ("output_1", "output_2") if int(label) == 1 else ("output_2", "output_1")
        prompt = messages_of(_prompt_field(record))
        chosen, rejected = _answer(record, first), _answer(record, second)
    else:
        raise InputError("no pair: expected 'chosen' and 'rejected', or 'output_1', 'output_2' and 'label'")
    if chosen == rejected:
        raise InputError("the chosen and the rejected answer are the same")
    # A score that is no number is none: pairs are learnt from without one. A weight counts in every loss.
    known = {name: number_in(record.get(name)) for name in ("chosen_score", "rejected_score", "margin", "confidence")}
    weight = number_or_none(record, "weight")
    return [
        Pair(
            prompt=prompt,
            chosen=[{"role": "assistant", "content": chosen}],
            rejected=[{"role": "assistant", "content": rejected}],
            prompt_id=_id(record, "prompt_id", "id") or content_key("prompt", prompt),
            weight=1.0 if weight is None else weight,
            judge=_optional(record, "judge"),
            evidence=record.get("evidence"),
            **known,
        )
    ]


def _explicit(record: Record) -> tuple[list[Message], str, str]:
    """Return prompt, chosen, rejected; where there is no prompt, it is what both conversations open with."""
    if "prompt" in record:
        return messages_of(_prompt_field(record)), _answer(record, "chosen"), _answer(record, "rejected")
    *head, chosen = _chat(record, "chosen")
    *other, rejected = _chat(record, "rejected")
    if head != other or not head:
        raise InputError("'chosen' and 'rejected' do not share their prompt; give it as 'prompt'")
    return head, chosen["content"], rejected["content"]


def _response(record: Record, prompt: str | list[Message], text: str, side: str = "") -> Response:
    model = _optional(record, f"model{side}", f"generator{side}", "model", "generator") or UNKNOWN_MODEL
    own_id = None if side else _id(record, "response_id", "id")
    return Response(
        id=own_id or content_key("response", prompt, text, model),
        prompt_id=_id(record, "prompt_id", "question_id") or content_key("prompt", prompt),
        prompt=prompt,
        response=text,
        model=model,
        seed=_whole(record, "seed"),
        finish_reason=_optional(record, "finish_reason"),
        n_tokens=_whole(record, "n_tokens"),
        end=record["end"] if isinstance(record.get("end"), str) else None,
        reference=_optional(record, "reference"),
    )


def _side(record: Record, name: str) -> Response:
    side = name[-2:] if name[-2:] in ("_1", "_2", "_a", "_b") else ""
    if name in ("chosen", "rejected"):
        prompt, chosen, rejected = _explicit(record)
        return _response(record, prompt, chosen if name == "chosen" else rejected, f"_{name}")
    return _response(record, _prompt_field(record), _answer(record, name), side)


def _prompt_field(record: Record) -> str | list[Message]:
    if isinstance(record.get("prompt"), list):
        return _chat(record, "prompt")
    if isinstance(record.get("prompt"), dict):  # the root of an OASST tree
        return _text(record["prompt"], "text")
    if "prompt" in record:
        return _text(record, "prompt")
    if "instruction" in record:
        text, extra = _text(record, "instruction"), record.get("input")
        return f"{text}\n\n{extra}" if isinstance(extra, str) and extra.strip() else text
    if "messages" in record:
        chat = _chat(record, "messages")
        return chat[:-1] if chat[-1]["role"] == "assistant" else chat
    if isinstance(record.get("turns"), list) and record["turns"]:
        first = record["turns"][0]
        return _text({"turns": first["content"] if isinstance(first, dict) else first}, "turns")
    for name in ("question", "input"):
        if name in record:
            return _text(record, name)
    raise InputError("no prompt: expected 'prompt', 'instruction', 'messages', 'turns' or 'question'")


def _chat(record: Record, name: str) -> list[Message]:
    turns = record[name]
    if not isinstance(turns, list) or not turns:
        raise InputError(f"'{name}' must be a list of messages")
    return [{"role": _text(turn, "role"), "content": _text(turn, "content", empty=True)} for turn in turns]


def _answer(record: Record, name: str) -> str:
    value = record[name]
    if isinstance(value, list):
        if len(value) != 1:
            raise InputError(f"'{name}' must be one assistant message, found {len(value)}")
        return _chat(record, name)[0]["content"]
    return _text(record, name, empty=True)


def _text(record: Any, name: str, *, empty: bool = False) -> str:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, str):
        raise InputError(f"'{name}' must be text, found {type(value).__name__}")
    if not empty and not value.strip():
        raise InputError(f"'{name}' is empty")
    if value.isascii() and "\0" not in value:  # nearly always, and several times faster than the search
        return value
    if found := UNREADABLE.search(value):
        raise InputError(f"'{name}' holds U+{ord(found.group()):04X} at character {found.start()}, which is not text")
    return value


def _optional(record: Record, *names: str) -> str | None:
    for name in names:
        value = record.get(name)
        if value and isinstance(value, str):
            return value
    return None


def _id(record: Record, *names: str) -> str | None:
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int):
            return str(value)
    return None


def _whole(record: Record, name: str) -> int | None:
    value = record.get(name)
    return value if isinstance(value, int) else None
