"""Two sides of a record, chosen and rejected or with a label: their prompt, their texts, and which is better."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.errors import InputError
from records.fields.labels import ONE_OR_ZERO, ZERO_FIRST, Codes, side_of
from records.fields.messages import chat_in, is_conversation, message_of, text_in, transcript_in, with_head
from records.fields.prompts import has_prompt, is_transcript, prompt_in
from records.fields.values import Record
from records.rows import Message, Winner, messages_of

CHOSEN = ("chosen", "rejected")
SIDES = (
    CHOSEN,
    ("output_1", "output_2"),
    ("response_a", "response_b"),
    ("response_A", "response_B"),
    ("response1", "response2"),
    ("response_1", "response_2"),
    ("response 1", "response 2"),
    ("answer_a", "answer_b"),
    ("completion_a", "completion_b"),
    ("conversation_a", "conversation_b"),
    ("human_ref_A", "human_ref_B"),
)
"""The names under which people keep two answers."""
OWN_CODES: dict[tuple[str, str], Codes] = {
    ("response 1", "response 2"): ZERO_FIRST,  # Auto-J
    ("human_ref_A", "human_ref_B"): ONE_OR_ZERO,  # SHP
}
LABELS = ("label", "preference", "winner", "labels")


@dataclass(frozen=True)
class Sides:
    """Two sides, each with one answer or, as in RewardBench 2, several."""

    names: tuple[str, str]
    prompt: str | list[Message]
    first: list[str]
    second: list[str]


def sides_in(record: Record) -> Sides | None:
    """Return the two sides of a record, or None where it has none.

    A side is text, a message, a list of texts, a whole conversation whose last turn is the answer, or a transcript like
    hh-rlhf's. Raises InputError where the two have no prompt or not the same one, and where there are several pairs.
    """
    named = names_in(record)
    if named is None:
        return None
    heads, texts = zip(*(_side(record[name], name) for name in named), strict=True)
    prompt = _prompt(record, named, heads)
    if is_transcript(record.get("prompt")):
        texts = tuple([text.strip() for text in side] for side in texts)
    return Sides(named, prompt, *texts)


def names_in(record: Record) -> tuple[str, str] | None:
    """Return the names of the two sides, or None; raises InputError where different answers stand under several."""
    found = [names for names in SIDES if record.get(names[0]) is not None and record.get(names[1]) is not None]
    for names in found[1:]:
        if {_plain(record[name]) for name in names} != {_plain(record[name]) for name in found[0]}:
            raise InputError(f"several pairs of answers: {', '.join(found[0])} and {', '.join(names)}: keep one")
    return found[0] if found else None


def better_in(record: Record, names: tuple[str, str], codes: Codes | None) -> Winner:
    """Return which side of a record is better, `a` for the first; raises InputError where it does not say so."""
    if names == CHOSEN:
        return "a"
    said = label_in(record)
    if not said:
        raise InputError(f"no label: which of {names[0]} and {names[1]} is better? Expected one of {', '.join(LABELS)}")
    meanings = OWN_CODES.get(names) if codes is None else codes
    winners = {name: side_of(value, meanings, name) for name, value in said.items()}
    if len(set(winners.values())) > 1:
        raise InputError(f"the labels contradict each other: {', '.join(f'{k} {v}' for k, v in winners.items())}")
    return next(iter(winners.values()))


def label_in(record: Record) -> dict[str, object]:
    """Return the labels of a record by the names of their fields."""
    return {name: record[name] for name in LABELS if record.get(name) is not None}


def has_own_codes(names: tuple[str, str]) -> bool:
    """Return whether what the labels mean is known from the format, so that 0 and 1 need no --codes."""
    return names == CHOSEN or names in OWN_CODES


def _side(value: object, name: str) -> tuple[list[Message], list[str]]:
    """Return the turns before the answer, where the side has them, and the answer or answers."""
    if isinstance(value, dict):
        return _answered([message_of(value)], name)
    if is_conversation(value):
        return _answered(chat_in(value, name), name)
    if isinstance(value, list):
        if not value or not all(isinstance(text, str) for text in value):
            raise InputError(f"'{name}' must be an answer, answers, or a conversation")
        return [], [text_in(text, name, empty=True) for text in value]
    text = text_in(value, name, empty=True)
    turns = transcript_in(text)
    return ([], [text]) if turns is None else _answered(turns, name)


def _answered(chat: list[Message], name: str) -> tuple[list[Message], list[str]]:
    if chat[-1]["role"] != "assistant":
        raise InputError(f"'{name}' does not end with an assistant turn")
    if len(chat) > 1 and all(turn["role"] == "assistant" for turn in chat):
        raise InputError(f"'{name}' must be one assistant message, found {len(chat)}")
    return chat[:-1], [chat[-1]["content"]]


def _prompt(record: Record, names: tuple[str, str], heads: Sequence[list[Message]]) -> str | list[Message]:
    given = prompt_in(record) if has_prompt(record) else None
    if not any(heads):
        if given is None:
            raise InputError(f"no prompt: '{names[0]}' and '{names[1]}' are answers alone; give it as 'prompt'")
        return given
    if heads[0] != heads[1]:
        raise InputError(f"'{names[0]}' and '{names[1]}' do not share their prompt: they part before the last answer")
    head = with_head(record, heads[0])
    if given is not None and not _opens(messages_of(given), head):
        raise InputError(f"'prompt' is not what '{names[0]}' opens with")
    return head


def _opens(given: list[Message], head: list[Message]) -> bool:
    """Return whether `given` is the head of a conversation, without its system turn perhaps, or one of its requests."""
    told, asked = ([turn for turn in chat if turn["role"] != "system"] for chat in (given, head))
    if [turn["content"].strip() for turn in told] == [turn["content"].strip() for turn in asked]:
        return True
    requests = [turn["content"].strip() for turn in asked if turn["role"] == "user"]
    return len(told) == 1 and bool(requests) and told[0]["content"].strip() in (requests[0], requests[-1])


def _plain(value: object) -> str:
    return value.strip() if isinstance(value, str) else repr(value)
