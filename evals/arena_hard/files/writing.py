"""Writes model_answer/<model>.jsonl and model_judgment/<judge>/<model>.jsonl as arena-hard-auto does."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evals.arena_hard.files.questions import Question
from evals.arena_hard.scoring.battles import Game, Judged
from evals.arena_hard.scoring.style import encoder, is_at_hand, markdown_of
from judges.judging.judge import Judge
from judges.judging.orders import all_samples
from judges.judging.pairwise import Contest, first_request
from records import Comparison
from records.files import Record
from records.names import folder_name

ORDERS = ("ab", "ba")
"""The orders of the two games. The baseline is answer a."""


def answer_row(question: Question, model: str, answer_id: str, text: str) -> Record:
    """Return one row of an answers' file.

    Without tiktoken's vocabulary it has no `metadata`: arena-hard-auto would take the first number for the tokens.
    """
    messages = [
        {"role": "user", "content": question.prompt},
        {"role": "assistant", "content": {"answer": text}},
    ]
    record: Record = {"uid": question.uid, "ans_id": answer_id, "model": model, "messages": messages}
    if is_at_hand():
        record["metadata"] = {"token_len": len(encoder().encode(text, disallowed_special=())), **markdown_of(text)}
    return record


def judged_row(judged: Judged, games: Sequence[Record | None]) -> Record:
    """Return one row of a judgments' file from its games as `game_rows` gives them."""
    names = ("uid", "category", "judge", "model", "baseline")
    return {**{name: getattr(judged, name) for name in names}, "games": list(games)}


def game_rows(judge: Judge, contest: Contest | None, verdict: Comparison | None, games: Sequence[Game]) -> list[Record]:
    """Return both games of a prompt with the judge's words and the prompt that it was shown.

    A game without a verdict has a null score, and the reason as `error`.
    """
    samples = all_samples(verdict) if verdict else {}
    records = []
    for order, game in zip(ORDERS, games, strict=True):
        replies = [sample.reply for sample in samples.get(order, []) if sample.reply is not None]
        record: Record = {"score": game.verdict, "judgment": {"answer": replies[0]} if replies else None}
        record["prompt"] = first_request(judge, _shown(contest, order)).messages if contest else None
        records.append(record if game.reason is None else record | {"error": game.reason})
    return records


def answers_path(folder: Path, model: str) -> Path:
    """Return the file of a model's answers in a data folder."""
    return folder / "model_answer" / f"{folder_name(model)}.jsonl"


def judgments_path(folder: Path, judge: str, model: str) -> Path:
    """Return the file of the judgments on a model in a data folder."""
    return folder / "model_judgment" / folder_name(judge) / f"{folder_name(model)}.jsonl"


def _shown(contest: Contest, order: str) -> Contest:
    """Return a contest with the answers as the judge sees them in an order."""
    if order == "ab":
        return contest
    return replace(contest, response_a=contest.response_b, response_b=contest.response_a)
