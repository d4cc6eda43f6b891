"""The judgments of MT-Bench (FastChat) and Arena-Hard, which are not answers with a score but logs of the judge."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from console.errors import InputError
from records.files import Record
from records.rows import Winner
from tui.reading.kinds import COMPARISON, JUDGMENT
from tui.text import known_number

ANSWER = re.compile(
    r"\[Question\]\s*(?P<question>.*?)\s*\[The Start of Assistant('s Answer|(?: A)'s Answer| A's Answer)\]\s*"
    r"(?P<first>.*?)\s*\[The End of Assistant.*?\]"
    r"(?:\s*\[The Start of Assistant B's Answer\]\s*(?P<second>.*?)\s*\[The End of Assistant B's Answer\])?",
    re.DOTALL,
)
"""The judge's prompt of MT-Bench's first turn."""
ARENA = re.compile(
    r"<\|User Prompt\|>\s*(?P<question>.*?)\s*<\|The Start of Assistant A's Answer\|>\s*(?P<first>.*?)\s*"
    r"<\|The End of Assistant A's Answer\|>\s*<\|The Start of Assistant B's Answer\|>\s*(?P<second>.*?)\s*"
    r"<\|The End of Assistant B's Answer\|>",
    re.DOTALL,
)
VERDICTS: dict[str, Winner] = {"A>>B": "a", "A>B": "a", "A=B": "tie", "B>A": "b", "B>>A": "b"}
SWAPPED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}
NOT_STORED = "(the file does not hold this answer)"


def is_harness(record: Record) -> bool:
    """Return whether a record is a judgment of MT-Bench or Arena-Hard."""
    is_mt = "question_id" in record and ("judgment" in record or "g1_judgment" in record) and "judge" in record
    return is_mt or (isinstance(record.get("games"), list) and "model" in record)


def harness_items(record: Record) -> Iterator[dict[str, Any]]:
    """Yield the verdict of a judgment as the fields of `General`. Raises InputError if it is of another shape."""
    if "games" in record:
        yield _arena(record)
    elif "g1_winner" in record:
        yield _mt_pair(record)
    else:
        yield _mt_single(record)


def replies_in(record: Record) -> list[str]:
    """Return the judge's replies in such a record."""
    if isinstance(record.get("games"), list):
        return [_reply(game) for game in record["games"] if isinstance(game, dict)]
    return [
        str(record[name]) for name in ("judgment", "g1_judgment", "g2_judgment") if isinstance(record.get(name), str)
    ]


def _reply(game: dict[str, Any]) -> str:
    judgment = game.get("judgment")
    return str(judgment.get("answer", judgment)) if isinstance(judgment, dict) else str(judgment or "")


def _mt_single(record: Record) -> dict[str, Any]:
    shown = str(record.get("user_prompt") or "")
    parts = ANSWER.search(shown)
    score = known_number(record.get("score"))
    return {
        "kind": JUDGMENT,
        "prompt": parts["question"] if parts else shown or f"question {record['question_id']}",
        "prompt_id": str(record["question_id"]),
        "text_a": parts["first"] if parts else NOT_STORED,
        "model_a": str(record.get("model") or ""),
        "score_a": None if score == -1 else score,
        "judge": _name(record["judge"]),
        "error": "no score in the reply" if score in (-1, None) else "",
    }


def _mt_pair(record: Record) -> dict[str, Any]:
    shown = str(record.get("g1_user_prompt") or "")
    parts = ANSWER.search(shown)
    models = (str(record.get("model_1") or ""), str(record.get("model_2") or ""))
    sides: dict[object, Winner] = {"model_1": "a", "model_2": "b", "tie": "tie"}
    orders = [sides.get(record.get(name)) for name in ("g1_winner", "g2_winner")]
    return {
        "kind": COMPARISON,
        "prompt": parts["question"] if parts else shown or f"question {record['question_id']}",
        "prompt_id": str(record["question_id"]),
        "text_a": parts["first"] if parts else NOT_STORED,
        "text_b": (parts["second"] if parts else None) or NOT_STORED,
        "model_a": models[0],
        "model_b": models[1],
        "judge": _name(record["judge"]),
        **_of_orders(orders),
    }


def _arena(record: Record) -> dict[str, Any]:
    games = [game for game in record["games"] if isinstance(game, dict)]
    if not games:
        raise InputError("'games' holds no game")
    # The first game shows the baseline first, the second the model.
    orders = [VERDICTS.get(str(game.get("score") or "")) for game in games]
    orders[1:] = [None if order is None else SWAPPED[order] for order in orders[1:]]
    parts = ARENA.search(_shown(games[0]))
    return {
        "kind": COMPARISON,
        "prompt": parts["question"] if parts else f"question {record.get('uid') or record.get('question_id')}",
        "prompt_id": str(record.get("uid") or record.get("question_id") or ""),
        "text_a": parts["first"] if parts else NOT_STORED,
        "text_b": parts["second"] if parts else NOT_STORED,
        "model_a": str(record.get("baseline") or "baseline"),
        "model_b": str(record["model"]),
        "judge": _name(record.get("judge")),
        **_of_orders(orders),
    }


def _of_orders(orders: Sequence[Winner | None]) -> dict[str, Any]:
    """Return the verdict of two orders: a disagreement is a tie, and without both there is none."""
    known = [order for order in orders if order is not None]
    if len(known) < len(orders):
        return {"winner": None, "error": "an order without a verdict"}
    agree = len(set(known)) == 1
    flipped = 2 if {"a", "b"} <= set(known) else 1
    return {"winner": known[0] if agree else "tie", "flipped": flipped if len(known) > 1 else 0}


def _shown(game: dict[str, Any]) -> str:
    prompt = game.get("prompt") or game.get("user_prompt") or ""
    if isinstance(prompt, list):
        return "\n".join(str(turn.get("content")) for turn in prompt if isinstance(turn, dict))
    return str(prompt)


def _name(judge: object) -> str:
    """Return the judge's name. FastChat stores a list of its model and its prompt."""
    return " ".join(map(str, judge)) if isinstance(judge, list) else str(judge or "")
