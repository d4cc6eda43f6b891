"""Writes model_answer/<model>.jsonl and model_judgment/<judge>_single.jsonl or _pair.jsonl as FastChat does."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evals.mt_bench.files.judgments import Compared, Scored
from evals.mt_bench.files.questions import written_id
from evals.mt_bench.options import Mode
from judges.judging.judge import Judge
from judges.judging.orders import all_samples
from judges.judging.pairwise import Contest, first_request
from records import Comparison, Judgment, Response
from records.files import Record
from records.keys import content_key
from records.names import folder_name


def answer_row(question_id: str, model: str, texts: Sequence[str]) -> Record:
    """Return one row of an answers' file."""
    return {
        "question_id": written_id(question_id),
        "answer_id": content_key("answer", model, question_id, list(texts)),
        "model_id": model,
        "choices": [{"index": 0, "turns": list(texts)}],
    }


def scored_row(scored: Scored, judge: Judge, answer: Response | None, judgment: Judgment | None) -> Record:
    """Return one row of a file of scores. One without a score has null, and the reason as `error`.

    FastChat writes -1 for it. Both are left out of its means, and only null cannot be taken for a score.
    """
    record: Record = {
        "question_id": written_id(scored.question_id),
        "model": scored.model,
        "judge": [scored.judge, judge.rubric.name],
        "user_prompt": judge.request(answer).messages[-1]["content"] if answer else None,
        "judgment": "\n".join(judgment.replies) if judgment else None,
        "score": scored.score,
        "turn": scored.turn,
    }
    return record if scored.reason is None else record | {"error": scored.reason}


def compared_row(compared: Compared, judge: Judge, contest: Contest | None, verdict: Comparison | None) -> Record:
    """Return one row of a file of pairs. A game without a verdict has the winner `error`, as in FastChat's files."""
    record: Record = {
        "question_id": written_id(compared.question_id),
        "model_1": compared.model_1,
        "model_2": compared.model_2,
        "g1_winner": compared.first or "error",
        "g2_winner": compared.second or "error",
        "judge": [compared.judge, judge.rubric.name],
    }
    samples = all_samples(verdict) if verdict else {}
    for game, order in (("g1", "ab"), ("g2", "ba")):
        replies = [sample.reply for sample in samples.get(order, []) if sample.reply is not None]
        record[f"{game}_user_prompt"] = _prompt(judge, contest, order) if contest else None
        record[f"{game}_judgment"] = replies[0] if replies else None
    record["turn"] = compared.turn
    return record if compared.reason is None else record | {"error": compared.reason}


def answers_path(folder: Path, model: str) -> Path:
    """Return the file of a model's answers in a data folder."""
    return folder / "model_answer" / f"{folder_name(model)}.jsonl"


def judgments_path(folder: Path, judge: str, mode: Mode) -> Path:
    """Return the file of a judge's verdicts in a data folder."""
    return folder / "model_judgment" / f"{folder_name(judge)}_{mode}.jsonl"


def _prompt(judge: Judge, contest: Contest, order: str) -> str:
    if order == "ba":
        contest = replace(contest, response_a=contest.response_b, response_b=contest.response_a)
    return first_request(judge, contest).messages[-1]["content"]
