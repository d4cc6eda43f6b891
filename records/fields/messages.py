"""One way from other people's conversations to messages: roles, contents, what stands before the last turn."""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

from console.errors import InputError
from records.fields.values import Record, is_empty
from records.rows import Message

Completion = str | list[Message]
"""A completion as TRL gives it."""

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
    "chatbot": "assistant", "ai": "assistant", "bing": "assistant", "bard": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool", "tool_response": "tool",
    "function_response": "tool",
}  # fmt: skip
"""Names of the turns, in lower case. Upper case is read too."""
ROLE_FIELDS, CONTENT_FIELDS = ("role", "from"), ("content", "value", "text", "parts")
CALLS = ("tool_calls", "function_call")
TEXT_PARTS, UNSAID_PARTS = ("text", "input_text", "output_text"), ("thinking", "reasoning", "redacted_thinking")
TEXT_FIELDS = ("answer", "text", "content", "parts")
SYSTEM_FIELDS = ("system", "system_prompt", "system_message", "systemInstruction", "system_instruction")
SPOKEN_IN_TURN = ("conversations", "conversation")
"""Fields in which a list of texts is LIMA's conversation."""
PRINTED = re.compile(r"\s*(?:array\(\s*)?\[\s*\{\s*'(?:role|from|content|value)'\s*:")
"""Turns as Python and numpy print them, which pandas writes into a CSV file."""
UNREADABLE = re.compile("[\x00\ud800-\udfff]")  # NUL and lone surrogates: no tokenizer and few files can hold them
REPLACEMENT = "\ufffd"
"""Replaces such a character in a text that a model wrote, as for bytes that are not UTF-8."""
TRANSCRIPT = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
RENDERED = re.compile(
    r"<\|(?:im_start|im_end|im_sep|start_header_id|end_header_id|eot_id|begin_of_text|end_of_text|endoftext|user|"
    r"assistant|system|end|start|return|turn|START_OF_TURN_TOKEN|END_OF_TURN_TOKEN|end_of_turn)\|?>"
    r"|\[/?INST\]|<</?SYS>>|</?start_of_turn>|<end_of_turn>|<｜(?:User|Assistant|begin▁of▁sentence|end▁of▁sentence)｜>"
    r"|\[\|(?:user|assistant|system|endofturn)\|\]|<extra_id_[01]>|</s>\s*\Z"
)

MARKS = ("<|", "INST]", "SYS>", "_of_turn", "<｜", "[|", "<extra_id_", "</s>")
"""Marks of a rendered template."""


def readable(text: str) -> str:
    """Return a text that a model wrote without what no reader of rows takes: a byte of 0 is a token like any other."""
    return UNREADABLE.sub(REPLACEMENT, text)


def text_in(value: object, name: str, *, empty: bool = False) -> str:
    """Return a content as text: text itself, or the text parts of OpenAI's and Anthropic's lists joined by line breaks.

    Raises InputError if it holds anything else, for example an image or a character that is no text, or if it is
    empty without `empty`.
    """
    if isinstance(value, dict):  # Arena-Hard's answers, OASST's messages, Gemini's system instruction
        value = next((value[field] for field in TEXT_FIELDS if value.get(field) is not None), None)
    if isinstance(value, list):
        texts = [text for part in value if (text := _part(part, name)) is not None]
        value = "\n".join(texts) if texts else None
    if not isinstance(value, str):
        raise InputError(f"'{name}' must be text, found {type(value).__name__}")
    if not empty and not value.strip():
        raise InputError(f"'{name}' is empty")
    return check_text(value, name)


def check_text(value: str, name: str) -> str:
    """Return a text. Raises InputError if it holds a character that is no text."""
    if value.isascii() and "\0" not in value:  # nearly always, and several times faster than the search
        return value
    if match := UNREADABLE.search(value):
        raise InputError(f"'{name}' holds U+{ord(match.group()):04X} at character {match.start()}, which is not text")
    return value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def chat_in(value: object, name: str) -> list[Message]:
    """Return a list of turns as messages with the roles system, user, assistant and tool.

    Raises InputError for any other role, and for a turn that is not text.
    """
    turns = _listed(value, name)
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        if (
            isinstance(turns, list)
            and turns
            and name in SPOKEN_IN_TURN
            and all(isinstance(turn, str) for turn in turns)
        ):
            return _in_turn(turns, name)
        raise InputError(f"'{name}' must be a list of messages")
    if all(turn.keys() >= {"input", "output"} and not turn.keys() & {*ROLE_FIELDS} for turn in turns):
        return _in_turn([text for turn in turns for text in (turn["input"], turn["output"])], name)  # Capybara
    return [message_of(turn) for turn in turns]


def _in_turn(texts: Sequence[object], name: str) -> list[Message]:
    """Return texts of which the user says the first, the assistant the next, and so on (LIMA, Capybara)."""
    roles = cycle(("user", "assistant"))
    return [
        {"role": role, "content": text_in(text, name, empty=True)} for role, text in zip(roles, texts, strict=False)
    ]


def message_of(turn: Record) -> Message:
    """Return one turn as a message. Raises InputError if its role is not known or it is not text."""
    if any(turn.get(name) for name in CALLS):
        raise InputError("a turn calls a tool: only turns of text are read")
    name, content = _only(turn, CONTENT_FIELDS) or ("content", None)
    return {"role": role_of(turn), "content": text_in(content, name, empty=True)}


def role_of(turn: Record) -> str:
    """Return a turn's role as this project names it. Raises InputError if it cannot be placed."""
    name, role = _only(turn, ROLE_FIELDS) or ("role", None)
    if isinstance(role, str) and not role.strip():
        raise InputError(f"'{name}' is empty")
    if not isinstance(role, str):
        raise InputError(f"'{name}' must be text, found {type(role).__name__}")
    known = ROLES.get(role.strip().casefold())
    if known is None:
        raise InputError(f"a turn has the role {role[:40]!r}, which cannot be placed: expected user, assistant, system")
    return known


def with_head(record: Record, chat: list[Message]) -> list[Message]:
    """Return `chat` after the record's own system turn and `history`. Raises InputError if they contradict it."""
    system, history = _system(record), _history(record)
    system_turn = [turn for turn in chat[:1] if turn["role"] == "system"]
    if system is not None and system_turn and system_turn[0]["content"].strip() != system.strip():
        raise InputError("two different system turns: one in a field of its own, one in the conversation")
    if history and history[0]["role"] == "system" and (system_turn or system is not None):
        raise InputError("two system turns: 'history' has one of its own")
    first = system_turn or ([] if system is None else [{"role": "system", "content": system}])
    whole = [*first, *history, *chat[len(system_turn) :]]
    if whole and whole[-1]["role"] == "user" and not whole[-1]["content"].strip():
        raise InputError("the request is empty: the user's last turn says nothing")
    return whole


def is_conversation(value: object) -> bool:
    """Return whether a field holds turns, as a list or written as text.

    Turns as Python prints them, in the cell of a table, count too, because `chat_in` then refuses them. Otherwise a
    text that nobody wrote would be judged or learnt.
    """
    if isinstance(value, str) and PRINTED.match(value) and value.rstrip().endswith(("]", ")")):
        return True
    turns = json_list(value) if isinstance(value, str) else value
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        return False
    return any(name in turn for turn in turns for name in ROLE_FIELDS)


def transcript_in(text: str) -> list[Message] | None:
    """Return the turns of a text like hh-rlhf's, with Human: and Assistant: before them, or None if it is none."""
    marks = list(TRANSCRIPT.finditer(text)) if "Human:" in text else []  # nearly no text has it: the search is saved
    if len(marks) < 2 or text[: marks[0].start()].strip() or marks[0][1] != "Human":
        return None
    if all(mark[1] != "Assistant" for mark in marks):
        return None
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [
        {"role": ROLES[mark[1].casefold()], "content": text[mark.end() : end].strip()}
        for mark, end in zip(marks, ends, strict=True)
    ]


def rendered_in(texts: Iterable[str]) -> str | None:
    """Return the first mark of a rendered chat template in `texts`, such as <|im_end|>, or None."""
    likely = (text for text in texts if any(mark in text for mark in MARKS))  # several times faster than the search
    return next((match.group().strip() for text in likely if (match := RENDERED.search(text))), None)


def _system(record: Record) -> str | None:
    named = {name: text_in(record[name], name) for name in SYSTEM_FIELDS if _says(record.get(name))}
    if len({text.strip() for text in named.values()}) > 1:
        raise InputError(f"several system turns: {', '.join(named)}")
    return next(iter(named.values()), None)


def _history(record: Record) -> list[Message]:
    """Return the turns before the last request, which people keep as messages or as pairs of request and answer."""
    value = record.get("history")
    if not _says(value):
        return []
    turns = _listed(value, "history")
    if isinstance(turns, list) and turns and all(isinstance(turn, list | tuple) and len(turn) == 2 for turn in turns):
        return [
            {"role": role, "content": text_in(text, "history")}
            for turn in turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
    return chat_in(turns, "history")


def _says(value: object) -> bool:
    return not is_empty(value) and value != []


def _only(turn: Record, names: tuple[str, ...]) -> tuple[str, Any] | None:
    """Return the one of the fields `names` that is there. Raises InputError if two of them differ."""
    given = [(name, turn[name]) for name in names if turn.get(name) is not None]
    if any(value != given[0][1] for _, value in given[1:]):
        raise InputError(f"a turn has both '{given[0][0]}' and '{given[1][0]}', and they differ")
    return given[0] if given else None


def _part(part: object, name: str) -> str | None:
    """Return the text of one part of a content, or None for reasoning."""
    kind = type(part).__name__
    if isinstance(part, dict):
        kind = part.get("type") or ("text" if "text" in part else next(iter(part), "nothing"))
    if isinstance(part, dict) and part.get("thought") is True:  # Gemini's reasoning
        return None
    if isinstance(part, dict) and kind in TEXT_PARTS and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    if kind in UNSAID_PARTS:
        return None
    raise InputError(f"'{name}' holds a part of the type {str(kind)[:40]!r}, and only text is read")


def _listed(value: object, name: str) -> object:
    """Return a list that a table keeps as text as a list again. Raises InputError if its text is not JSON."""
    if not isinstance(value, str) or not (value.lstrip().startswith("[") or PRINTED.match(value)):
        return value
    parsed = json_list(value)
    if parsed is None:
        raise InputError(f"'{name}' holds a list that is written as text, and not as JSON; save the rows as JSON lines")
    return parsed


def json_list(text: str) -> object:
    """Return a list that is written as JSON, or None."""
    if not text.lstrip().startswith("["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def text_of_completion(completion: Completion) -> str:
    """Return the text of a completion: itself, or the contents of its assistant turns.

    A character that is no text is replaced: a policy may write any token. Raises InputError if it is neither.
    """
    if isinstance(completion, str):
        return readable(completion)
    if not isinstance(completion, list):
        raise InputError(f"a completion must be text or a list of messages, found {type(completion).__name__}")
    # The content is None in a turn that only calls a tool.
    return readable("\n\n".join(turn["content"] or "" for turn in completion if turn["role"] == "assistant"))
