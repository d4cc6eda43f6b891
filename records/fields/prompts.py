"""What a record asks: the prompt under the names that people give it, after its system turn and its history."""

from console.errors import InputError
from records.fields.messages import chat_in, is_conversation, text_in, transcript_in, with_head
from records.fields.values import Record, is_empty
from records.rows import Message, messages_of

CONVERSATIONS = ("messages", "conversations", "conversation")
QUESTIONS = ("question", "query", "input")
HISTORY_OF_A_POST = "human_ref_A"
"""SHP's rows have the post in `history`."""


def prompt_in(record: Record) -> str | list[Message]:
    """Return the prompt of a record, text where it is one request alone; raises InputError where there is none."""
    prompt = _field(record)
    if isinstance(prompt, str) and (turns := _asked(prompt)):
        prompt = turns
    if HISTORY_OF_A_POST in record:
        return prompt
    chat = with_head(record, messages_of(prompt))
    return prompt if isinstance(prompt, str) and len(chat) == 1 else chat


def has_prompt(record: Record) -> bool:
    """Return whether a record names its prompt; a conversation that is answered is more than a prompt."""
    if any(record.get(name) is not None for name in ("prompt", "instruction", "question", "query", "turns")):
        return True
    if isinstance(record.get("input"), str) or (HISTORY_OF_A_POST in record and record.get("history")):
        return True
    chat = conversation_in(record)
    return chat is not None and chat[-1]["role"] != "assistant"


def conversation_in(record: Record) -> list[Message] | None:
    """Return the conversation of a record, or None; raises InputError where there are two different ones."""
    found = {name: chat_in(record[name], name) for name in CONVERSATIONS if not is_empty(record.get(name))}
    chats = list(found.values())
    if any(chat != chats[0] for chat in chats[1:]):
        raise InputError(f"several conversations: {', '.join(found)}: keep one")
    return chats[0] if chats else None


def is_transcript(prompt: object) -> bool:
    """Return whether a prompt is a transcript like hh-rlhf's that ends where the assistant is to speak."""
    return isinstance(prompt, str) and _asked(prompt) is not None


def _field(record: Record) -> str | list[Message]:
    prompt = record.get("prompt")
    if isinstance(prompt, list) or is_conversation(prompt):
        return chat_in(prompt, "prompt")
    if prompt is not None:
        return text_in(prompt, "prompt")
    if record.get("instruction") is not None:
        text, extra = text_in(record["instruction"], "instruction"), record.get("input")
        return f"{text}\n\n{text_in(extra, 'input')}" if isinstance(extra, str) and extra.strip() else text
    chat = conversation_in(record)
    if chat is not None:
        head = chat[:-1] if chat[-1]["role"] == "assistant" else chat
        if not head:
            raise InputError("no prompt: the conversation has an answer only")
        return head
    if isinstance(record.get("turns"), list) and record["turns"]:
        first = record["turns"][0]
        return text_in(first.get("content") if isinstance(first, dict) else first, "turns")
    if HISTORY_OF_A_POST in record and "history" in record:
        return text_in(record["history"], "history")
    for name in QUESTIONS:
        if record.get(name) is not None:
            return text_in(record[name], name)
    raise InputError("no prompt: expected 'prompt', 'instruction', 'messages', 'conversations', 'turns' or 'question'")


def _asked(prompt: str) -> list[Message] | None:
    turns = transcript_in(prompt)
    if turns is None or turns[-1]["role"] != "assistant" or turns[-1]["content"]:
        return None
    return turns[:-1]
