"""OpenAssistant message trees: people ranked the replies to one message."""

from collections.abc import Iterator
from dataclasses import dataclass
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
        return [(list(_pairs(node)), list(_scores(node))) for node in nodes]

    all_rows = each(records, bad, rows)
    pairs = [pair for each_pairs, _ in all_rows for pair in each_pairs]
    return Found(pairs, [score for _, scores in all_rows for score in scores], ranks=True)


def _root(record: Record) -> dict[str, Any]:
    root = record.get("prompt")
    if not isinstance(root, dict) or not isinstance(root.get("text"), str):
        raise InputError("'prompt' must be the root message of a tree")
    return root


@dataclass(frozen=True)
class _Ranked:
    """A message of a tree with its ranked replies, at least two."""

    id: str
    prompt: str | list[Message]
    """The conversation that ends with the message."""
    replies: list[dict[str, Any]]
    """Best first."""


def _ranked_nodes(node: dict[str, Any], before: list[Message]) -> Iterator[_Ranked]:
    """Yield each message with two ranked replies or more."""
    if not isinstance(node.get("text"), str):
        raise InputError(f"not a tree of messages: 'text' must be text, found {type(node.get('text')).__name__}")
    role = role_of(node) if node.get("role") is not None else TURNS[len(before) % 2]  # turns alternate in OASST
    chat = [*before, {"role": role, "content": node["text"]}]
    replies = node.get("replies") or []
    ranked = sorted(
        ({**reply, "rank": rank} for reply in replies if (rank := number_or_none(reply, "rank")) is not None),
        key=lambda reply: reply["rank"],
    )
    if len(ranked) > 1:
        # one turn as plain text, as other sets have their prompts, so that equal prompts have equal keys
        yield _Ranked(str(node.get("message_id")), chat[0]["content"] if len(chat) == 1 else chat, ranked)
    for reply in replies:
        yield from _ranked_nodes(reply, chat)


def _pairs(node: _Ranked) -> Iterator[LabelledPair]:
    for i, j in ordered_places([reply["text"] for reply in node.replies], [-reply["rank"] for reply in node.replies]):
        better, worse = node.replies[i], node.replies[j]
        pair_id = f"{better['message_id']}/{worse['message_id']}"
        yield with_own_key(from_preferred(pair_id, node.prompt, better["text"], worse["text"], node.id))


def _scores(node: _Ranked) -> Iterator[LabelledScore]:
    for reply in node.replies:
        model = str(reply.get("model_name") or ("human" if not reply.get("synthetic") else UNKNOWN_MODEL))
        score = LabelledScore(
            str(reply["message_id"]), node.prompt, reply["text"], -float(reply["rank"]), node.id, model=model
        )
        yield with_own_key(score, "message_id")
