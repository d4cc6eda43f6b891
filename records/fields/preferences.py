"""Two sides of a record, chosen and rejected or with a label: their prompt, their texts, and which is better."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from console.errors import InputError
from records.fields.labels import ONE_OR_ZERO, ZERO_FIRST, Codes
from records.fields.messages import chat_in, is_conversation, message_of, text_in, transcript_in, with_head
from records.fields.prompts import CONVERSATIONS, conversation_in, has_prompt, head_after, is_transcript, prompt_in
from records.fields.values import Record, is_empty
from records.rows import Message, messages_of

Names = tuple[str, str]
BETTER_FIRST: tuple[Names, ...] = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("preferred_output", "non_preferred_output"),
    ("response_chosen", "response_rejected"),
    ("response_j", "response_k"),
)
"""The names of two sides that say which is better: TRL's, Argilla's, OpenAI's, OpenRLHF's, StackExchange's."""
ONLY_REJECTED = ("rejected_response", "rejected_messages")
"""ms-swift's, beside the answer that is better: the end of the messages, or `response`."""
TALKS = ("conversation_a", "conversation_b")
SIDES: tuple[Names, ...] = (
    *BETTER_FIRST,
    ("output_1", "output_2"),
    ("response_a", "response_b"),
    ("response_A", "response_B"),
    ("response1", "response2"),
    ("response_0", "response_1"),
    ("response_1", "response_2"),
    ("response 1", "response 2"),
    ("answer_a", "answer_b"),
    ("completion_a", "completion_b"),
    TALKS,
    ("human_ref_A", "human_ref_B"),
)
"""The names under which people keep two answers."""
OWN_CODES: dict[Names, Codes] = {
    ("response 1", "response 2"): ZERO_FIRST,  # Auto-J
    ("human_ref_A", "human_ref_B"): ONE_OR_ZERO,  # SHP
}
PRINTED_TEXTS = re.compile(r"""\s*\[\s*(['"]).*(['"]|None)\s*\]\s*""", re.DOTALL)
PANDALM = ("response1", "response2")
THIRD = {"1": "2", "2": "3", "b": "c", "B": "C"}
"""The ending of a third answer's name, by that of the second's."""


@dataclass(frozen=True)
class Sides:
    """Two sides, each with one answer or, as in RewardBench 2, several."""

    names: Names
    prompt: str | list[Message]
    first: list[str]
    second: list[str]


def sides_in(record: Record) -> Sides | None:
    """Return the two sides of a record, or None if it has none.

    A side is text, a message, a list of texts, a whole conversation whose last turn is the answer, or a transcript like
    hh-rlhf's. Raises InputError if the two have no prompt or not the same one, or if there are several pairs.
    """
    named = names_in(record)
    if named is None:
        return None
    if talks := _talks_as_text(record, named):
        record, values = {**record, "prompt": None}, talks
    else:
        values = (record[named[0]], record[named[1]])
    heads, texts = zip(*(_side(record, value, name) for value, name in zip(values, named, strict=True)), strict=True)
    if named[1] in ONLY_REJECTED and heads[0] and not heads[1]:
        heads = heads[0], heads[0]  # the rejected answer is a bare text, and shares the turns before the other
    prompt = _prompt(record, named, heads, [*texts[0], *texts[1]])
    if is_transcript(record.get("prompt")):
        # An answer after "Assistant:" begins with a space.
        texts = tuple([text.strip() for text in side] for side in texts)
    return Sides(named, prompt, *texts)


def names_in(record: Record) -> Names | None:
    """Return the names of the two sides, or None. Raises InputError if different answers stand under several.

    Two fields that are both empty do not count, because a table has a column for each kind of row.
    """
    candidates = [names for names in SIDES if names[1] in record and _has(record, names)]
    if not candidates:
        return _with_rejected(record)
    for names in candidates:
        # For a name such as `rejected` there is no third, and this only takes its last letter away.
        third = names[1][:-1] + THIRD.get(names[1][-1], "")
        if third != names[1][:-1] and not is_empty(record.get(third)):
            raise InputError(f"three answers or more: {', '.join(names)}, {third}: keep two")
    for names in candidates[1:]:
        if {_plain(record[name]) for name in names} != {_plain(record[name]) for name in candidates[0]}:
            raise InputError(f"several pairs of answers: {', '.join(candidates[0])} and {', '.join(names)}: keep one")
    return candidates[0]


def says_better(names: Names) -> bool:
    """Return whether the names of two sides mark the first as the better one."""
    return names in BETTER_FIRST or names[1] in ONLY_REJECTED


def has_own_codes(names: Names) -> bool:
    """Return whether the format fixes the meaning of the labels, so that 0 and 1 need no --codes."""
    return says_better(names) or names in OWN_CODES


def counts_from_zero(names: Names | None) -> bool:
    """Return whether the two answers are numbered 0 and 1, so that the answer 1 is the second."""
    return names is not None and names[0].endswith("0")


def counts_from_one(record: Record) -> bool:
    """Return whether a record's format says that 1 is the first answer, as AlpacaEval's annotations and LLMBar's do."""
    if record.keys() >= {"annotator", "generator_1", "generator_2", "output_1", "output_2", "preference"}:
        return True
    return record.keys() >= {"input", "output_1", "output_2", "label"} and not record.keys() & {"instruction", "prompt"}


def models_of(side: str) -> tuple[str, ...]:
    """Return the fields with the model of a side, such as `model_1` or `generator_1` for output_1."""
    for better, worse in (("chosen", "rejected"), ("preferred", "non_preferred")):
        if side.startswith((better, worse)):
            which = better if side.startswith(better) else worse
            return f"model_{which}", f"generator_{which}", f"{which}_model", f"{which}-model"
    last = side[-1].lower()
    return f"model_{last}", f"generator_{last}", f"model_{last.upper()}", f"model{last}"


def until_turn(record: Record, chat: list[Message]) -> list[Message]:
    """Return a conversation up to the answer that a row of MT-Bench is about: its `turn`, 1 or 2, of both."""
    turn = record.get("turn")
    requests = [place for place, message in enumerate(chat) if message["role"] == "user"]
    if isinstance(turn, int) and not isinstance(turn, bool) and 1 <= turn < len(requests):
        return chat[: requests[turn]]
    return chat


def _has(record: Record, names: Names) -> bool:
    first, second = record.get(names[0]), record.get(names[1])
    return first is not None and second is not None and not (is_empty(first) and is_empty(second))


def _with_rejected(record: Record) -> Names | None:
    worse = next((name for name in ONLY_REJECTED if not is_empty(record.get(name))), None)
    better = next((name for name in ("response", *CONVERSATIONS) if not is_empty(record.get(name))), None)
    return None if better is None or worse is None else (better, worse)


def _side(record: Record, value: object, name: str) -> tuple[list[Message], list[str]]:
    """Return the turns before the answer, if the side has them, and the answer or answers."""
    if isinstance(value, dict):
        return _answered([message_of(value)], name)
    if is_conversation(value) or (name in CONVERSATIONS and isinstance(value, list)):
        chat = chat_in(value, name)
        return _answered(until_turn(record, chat) if name in TALKS else chat, name)
    if isinstance(value, list):
        if not value or not all(isinstance(text, str) for text in value):
            raise InputError(f"'{name}' must be an answer, answers, or a conversation")
        return [], [text_in(text, name, empty=True) for text in value]
    # Only for PandaLM: elsewhere a number in the place of an answer is a mistake.
    if name in PANDALM and isinstance(value, bool | int | float) and "annotator1" in record:
        value = str(value)  # if a model wrote only True or a number, PandaLM's file has a JSON value
    text = text_in(value, name, empty=True)
    turns = transcript_in(text)
    return ([], [text]) if turns is None else _answered(turns, name)


def _answered(chat: list[Message], name: str) -> tuple[list[Message], list[str]]:
    if chat[-1]["role"] != "assistant":
        raise InputError(f"'{name}' does not end with an assistant turn")
    if len(chat) > 1 and all(turn["role"] == "assistant" for turn in chat):
        raise InputError(f"'{name}' must be one assistant message, found {len(chat)}")
    return chat[:-1], [chat[-1]["content"]]


def _prompt(record: Record, names: Names, heads: Sequence[list[Message]], texts: Sequence[str]) -> str | list[Message]:
    given = prompt_in(record) if has_prompt(record) else None
    if not any(heads):
        if given is None:
            given = _before_answer(record, texts)
        if given is None:
            raise InputError(f"no prompt: '{names[0]}' and '{names[1]}' are answers alone; give it as 'prompt'")
        return given
    if heads[0] != heads[1]:
        raise InputError(f"'{names[0]}' and '{names[1]}' do not share their prompt: they part before the last answer")
    head = with_head(record, heads[0])
    return head if given is None else head_after(messages_of(given), head, f"'{names[0]}'")


def _before_answer(record: Record, texts: Sequence[str]) -> list[Message] | None:
    """Return the turns before the end of the record's conversation, if that end is one of the two answers."""
    chat = conversation_in(record)
    if chat is None or len(chat) == 1 or chat[-1]["content"].strip() not in [text.strip() for text in texts]:
        return None
    return with_head(record, chat[:-1])


def _talks_as_text(record: Record, names: Names) -> tuple[list[Message], list[Message]] | None:
    """Return the two conversations of a row of the Chatbot Arena's table, in whose cells all turns are a JSON list."""
    questions, first, second = (_turns(record.get(name)) for name in ("prompt", *names))
    if first is None and all(_is_printed(record.get(name)) for name in ("prompt", *names)):
        raise InputError("the turns are lists that are written as text, and not as JSON; save the rows as JSON lines")
    if questions is None or first is None or second is None or not len(questions) == len(first) == len(second):
        return None
    talks = [
        [
            {"role": role, "content": text_in(text, name, empty=True)}
            for question, answer in zip(questions, answers, strict=True)
            for role, text in (("user", question), ("assistant", answer))
        ]
        for name, answers in zip(names, (first, second), strict=True)
    ]
    return talks[0], talks[1]


def _is_printed(cell: object) -> bool:
    """Return whether a cell may be a list of texts as Python prints it."""
    return isinstance(cell, str) and PRINTED_TEXTS.fullmatch(cell) is not None


def _turns(cell: object) -> list[object] | None:
    """Return the turns that a cell has as a JSON list of texts, null for an empty turn, or None."""
    if not isinstance(cell, str) or not cell.startswith("["):
        return None
    try:
        turns = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    if not isinstance(turns, list) or not turns or not all(turn is None or isinstance(turn, str) for turn in turns):
        return None
    return turns


def _plain(value: object) -> str:
    return value.strip() if isinstance(value, str) else repr(value)
