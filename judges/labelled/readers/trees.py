"""OpenAssistant message trees: people ranked the replies to one message."""

from collections.abc import Iterator
from typing import Any

from console.errors import InputError
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledPair, LabelledScore, from_preferred
from judges.labelled.readers.reader import Found, Records, each, with_own_key
from records.fields.messages import role_of
from records.fields.rankings import ordered_places
from records.fields.values import number_or_none
from records.files import BadRows, Record
from records.rows import Message
from records.shapes import UNKNOWN_MODEL

TURNS = ("user", "assistant")


def read_oasst(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return every two ranked replies as a pair, and each with its rank (arXiv 2304.07327), the best the highest.

    A reply's score is minus its rank. The request of a deeper reply is the whole conversation before it.
    """

    def rows(_: str, record: Record) -> list[tuple[list[LabelledPair], list[LabelledScore]]]:
        nodes = list(_ranked_nodes(_root(record), []))
        return [(list(_pairs(*node)), list(_scores(*node))) for node in nodes]

    all_rows = each(records, bad, rows)
    pairs = [pair for each_pairs, _ in all_rows for pair in each_pairs]
    return Found(pairs, [score for _, scores in all_rows for score in scores], ranks=True)


def _root(record: Record) -> dict[str, Any]:
    root = record.get("prompt")
    if not isinstance(root, dict) or not isinstance(root.get("text"), str):
        raise InputError("'prompt' must be the root message of a tree")
    return root


def _ranked_nodes(
    node: dict[str, Any], before: list[Message]
) -> Iterator[tuple[str, str | list[Message], list[dict[str, Any]]]]:
    """Yield `(message id, conversation, ranked replies, best first)` for each message with two of them or more."""
    if not isinstance(node.get("text"), str):
        raise InputError(f"not a tree of messages: 'text' must be text, found {type(node.get('text')).__name__}")
    role = role_of(node) if node.get("role") is not None else TURNS[len(before) % 2]
    chat = [*before, {"role": role, "content": node["text"]}]
    replies = node.get("replies") or []
    ranked = sorted(
        ({**reply, "rank": rank} for reply in replies if (rank := number_or_none(reply, "rank")) is not None),
        key=lambda reply: reply["rank"],
    )
    if len(ranked) > 1:
        yield str(node.get("message_id")), chat[0]["content"] if len(chat) == 1 else chat, ranked
    for reply in replies:
        yield from _ranked_nodes(reply, chat)


def _pairs(group: str, prompt: str | list[Message], ranked: list[dict[str, Any]]) -> Iterator[LabelledPair]:
    for i, j in ordered_places([reply["text"] for reply in ranked], [-reply["rank"] for reply in ranked]):
        better, worse = ranked[i], ranked[j]
        pair_id = f"{better['message_id']}/{worse['message_id']}"
        yield with_own_key(from_preferred(pair_id, prompt, better["text"], worse["text"], group))


def _scores(group: str, prompt: str | list[Message], ranked: list[dict[str, Any]]) -> Iterator[LabelledScore]:
    for reply in ranked:
        model = str(reply.get("model_name") or ("human" if not reply.get("synthetic") else UNKNOWN_MODEL))
        score = LabelledScore(
            str(reply["message_id"]), prompt, reply["text"], -float(reply["rank"]), group, model=model
        )
        yield with_own_key(score, "message_id")
