"""Reads the prompt of a record, after its system turn and its history, under the names that people give it."""

from collections.abc import Sequence

from console.errors import InputError
from records.fields.messages import chat_in, is_conversation, text_in, transcript_in, with_head
from records.fields.values import Record, fields_of, is_empty
from records.rows import Message, messages_of

CONVERSATIONS = ("messages", "conversations", "conversation", "contents", "trajectory")
PERHAPS = ("contents", "trajectory", "context")
"""Names that are a conversation's in some sets (Gemini, UltraInteract, HelpSteer3) and a text's in others."""
QUESTIONS = ("question", "query", "input")
READ_WITH_INPUT = ("prompt", "instruction")
"""An `input` beside these is read together with them."""
HISTORY_OF_A_POST = "human_ref_A"
"""SHP's rows have the post in `history`."""


def prompt_in(record: Record) -> str | list[Message]:
    """Return the prompt of a record, as text if it is a single request. Raises InputError if there is none."""
    prompt = _field(record)
    if isinstance(prompt, str) and (turns := _asked(prompt)):  # hh-rlhf's
        prompt = turns
    # Without `with_head`, which would take the post in `history` for turns before the prompt.
    if HISTORY_OF_A_POST in record:
        return prompt
    chat = with_head(record, messages_of(prompt))
    if chat[-1]["role"] == "assistant":
        raise InputError("the prompt ends with an assistant's turn, and another one would follow")
    if all(turn["role"] == "system" for turn in chat):
        raise InputError("the prompt has only system turns, and no request")
    return prompt if isinstance(prompt, str) and len(chat) == 1 else chat


def request_in(record: Record) -> str | list[Message]:
    """Return the request that a record's answer is for: its conversation without the end, or else its prompt.

    Raises InputError if there is none, or if a prompt beside the conversation is not its opening.
    """
    chat = conversation_in(record)
    if chat is None or chat[-1]["role"] != "assistant" or len(chat) == 1:
        return prompt_in(record)
    for name in ("instruction", "question", "query"):
        text = record.get(name)
        if isinstance(text, str) and not any(text.strip() in turn["content"] for turn in chat):
            raise InputError(f"'{name}' is in no turn of the conversation beside it: keep one")
    head = with_head(record, chat[:-1])
    prompt = record.get("prompt")
    if is_empty(prompt) or not isinstance(prompt, str | list):
        return head
    if isinstance(prompt, str) and not is_conversation(prompt):
        if prompt.strip() not in [turn["content"].strip() for turn in chat]:
            raise InputError("'prompt' is no turn of the conversation beside it: keep one")
        return head
    return head_after(messages_of(prompt_in(record)), head, "the conversation")


def head_after(given: list[Message], head: list[Message], name: str) -> list[Message]:
    """Return the head of a conversation with the system turn that only the prompt `given` beside it has.

    Raises InputError if `given` is neither the head, apart from the system turn, nor one of its requests, or if both
    have a system turn and they differ.
    """
    if not _opens(given, head):
        raise InputError(f"'prompt' is not what {name} opens with")
    first, second = ([turn for turn in chat if turn["role"] == "system"] for chat in (given, head))
    if first and second and [turn["content"].strip() for turn in first] != [turn["content"].strip() for turn in second]:
        raise InputError(f"two different system turns: one in 'prompt', one in {name}")
    return head if second else [*first, *head]


def has_prompt(record: Record) -> bool:
    """Return whether a record names its prompt. A conversation with an answer is more than a prompt."""
    if any(not is_empty(record.get(name)) for name in ("prompt", "instruction", "question", "query")):
        return True
    if isinstance(record.get("turns"), list) or (HISTORY_OF_A_POST in record and record.get("history")):
        return True
    if _asks(record.get("input")):
        return True
    chat = conversation_in(record)
    return chat is not None and chat[-1]["role"] != "assistant"


def conversation_in(record: Record) -> list[Message] | None:
    """Return the conversation of a record, or None. Raises InputError if there are two different ones."""
    named = [name for name in (*CONVERSATIONS, "context") if name in record and not is_empty(record[name])]
    if not named:
        return None
    by_name = {name: chat_in(record[name], name) for name in named if _holds_turns(record, name)}
    chats = list(by_name.values())
    if any(chat != chats[0] for chat in chats[1:]):
        raise InputError(f"several conversations: {', '.join(by_name)}: keep one")
    return chats[0] if chats else None


def _holds_turns(record: Record, name: str) -> bool:
    return name not in PERHAPS or is_conversation(record[name])


def is_transcript(prompt: object) -> bool:
    """Return whether a prompt is a transcript like hh-rlhf's that ends with the assistant's empty turn."""
    return isinstance(prompt, str) and _asked(prompt) is not None


def _field(record: Record) -> str | list[Message]:
    if (name := _says(record, ("prompt", "instruction"))) is not None:
        if is_conversation(record.get("context")):
            raise InputError(f"two prompts: '{name}', and the turns in 'context': keep one")
        return _alone(record, name, _prompt(record) if name == "prompt" else _instruction(record))
    if (chat := conversation_in(record)) is not None:
        head = chat[:-1] if chat[-1]["role"] == "assistant" else chat
        if not head:
            raise InputError("no prompt: the conversation has an answer only")
        return head
    if isinstance(record.get("turns"), list) and record["turns"]:
        first = record["turns"][0]
        return text_in(first.get("content") if isinstance(first, dict) else first, "turns")
    if HISTORY_OF_A_POST in record and "history" in record:
        return text_in(record["history"], "history")
    if (name := _says(record, QUESTIONS)) is not None:
        return _alone(record, name, _question(record, name))
    for name in ("prompt", "instruction", *QUESTIONS):
        if record.get(name) is not None:
            return text_in(record[name], name)  # it is empty, and says so
    raise InputError(
        "no prompt: expected 'prompt', 'instruction', 'messages', 'conversations', 'turns' or 'question', found "
        f"{fields_of(record)}"
    )


def _alone(record: Record, field: str, prompt: str | list[Message]) -> str | list[Message]:
    """Return the prompt under the name `own`. Raises InputError if another says what is not in it.

    A set may have the bare question beside the whole prompt that was made of it.
    """
    words = _words("\n".join(turn["content"] for turn in messages_of(prompt)))
    for name in ("prompt", "instruction", *QUESTIONS):
        other = record.get(name)
        if (
            name == field
            or not isinstance(other, str)
            or is_empty(other)
            or (name == "input" and field in READ_WITH_INPUT)
        ):
            continue
        if is_conversation(other):
            other = "\n".join(turn["content"] for turn in chat_in(other, name))
        if _words(other) not in words and words not in _words(other):
            raise InputError(f"'{field}' and '{name}', and neither holds the other: keep one")
    return prompt


def _words(text: str) -> str:
    return " ".join(text.split())


def _says(record: Record, names: Sequence[str]) -> str | None:
    """Return the first of the fields that is not empty: a table has a column for each, whatever a row is."""
    return next((name for name in names if not is_empty(record.get(name))), None)


def _asks(value: object) -> bool:
    """Return whether a field called `input` is one that `_question` can read."""
    is_asked = isinstance(value, dict) and "messages" in value
    return is_asked or is_conversation(value) or (isinstance(value, str) and not is_empty(value))


def _prompt(record: Record) -> str | list[Message]:
    prompt, more = record["prompt"], record.get("input")
    if isinstance(prompt, list) or is_conversation(prompt):
        return chat_in(prompt, "prompt")
    text = text_in(prompt, "prompt")
    if isinstance(more, str) and is_empty(record.get("instruction")) and more.strip() not in text and text not in more:
        raise InputError("'prompt' and 'input', and neither holds the other: keep one, or call them 'instruction'")
    return text


def _instruction(record: Record) -> str:
    text, more = text_in(record["instruction"], "instruction"), record.get("input")
    return _with_context(record, text if is_empty(more) else f"{text}\n\n{text_in(more, 'input')}")


def _question(record: Record, name: str) -> str | list[Message]:
    value = record[name]
    if isinstance(value, dict) and "messages" in value:  # OpenAI's preferences
        return chat_in(value["messages"], name)
    return chat_in(value, name) if is_conversation(value) else _with_context(record, text_in(value, name))


def _with_context(record: Record, text: str) -> str:
    """Return a request with the text that it is about (Dolly, SQuAD), unless that is in it already."""
    context = record.get("context")
    if is_empty(context) or is_conversation(context):
        return text
    about = text_in(context, "context")
    return text if about.strip() in text else f"{text}\n\n{about}"


def _opens(given: list[Message], head: list[Message]) -> bool:
    """Return whether `given` is the head of a conversation, without its system turn perhaps, or one of its requests."""
    opening, turns = ([turn for turn in chat if turn["role"] != "system"] for chat in (given, head))
    if [turn["content"].strip() for turn in opening] == [turn["content"].strip() for turn in turns]:
        return True
    requests = [turn["content"].strip() for turn in turns if turn["role"] == "user"]
    return len(opening) == 1 and bool(requests) and opening[0]["content"].strip() in (requests[0], requests[-1])


def _asked(prompt: str) -> list[Message] | None:
    turns = transcript_in(prompt)
    if turns is None or turns[-1]["role"] != "assistant" or turns[-1]["content"]:
        return None
    return turns[:-1]
