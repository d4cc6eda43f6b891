"""Verdicts of the judge on all turns, with their rows in FastChat's formats."""

from pathlib import Path

from evals.mt_bench.benchmark import kind_of
from evals.mt_bench.files.judgments import Compared, Scored, Winner
from evals.mt_bench.files.writing import compared_row, scored_row
from evals.mt_bench.judging import Judges, answers_to_judge, compare_answers, contests_to_judge, judge_answers
from evals.mt_bench.sources import Benchmark
from evals.mt_bench.stages import Texts
from records import Comparison
from records.files import Record

UNANSWERED = "the model gave no answer"
NOT_ASKED = "the judge was not asked"
Judged = tuple[list[Scored | Compared], list[Record]]
"""The verdicts, and their rows."""


def score(judges: Judges, benchmark: Benchmark, texts: Texts, model: str, folder: Path) -> Judged:
    """Return the score of each turn, and its row in FastChat's format."""
    answers = answers_to_judge(benchmark, texts, model)
    judgments = judge_answers(judges, benchmark, answers, folder)
    judged: list[Scored | Compared] = []
    rows: list[Record] = []
    for question in benchmark.questions:
        for turn in range(1, len(question.turns) + 1):
            place, judge = (question.id, turn), judges.of(kind_of(question.category, turn))
            judgment = judgments.get(place)
            value = judgment.score if judgment else None
            reason = (judgment.error if judgment else None) or (NOT_ASKED if place in answers else UNANSWERED)
            scored = Scored(question.id, turn, judges.name, model, value, reason if value is None else None)
            judged.append(scored)
            rows.append(scored_row(scored, judge, answers.get(place), judgment))
    return judged, rows


def compare(judges: Judges, benchmark: Benchmark, texts: Texts, model: str, folder: Path) -> Judged:
    """Return the winners of both games of each turn, and its row in FastChat's format."""
    contests = contests_to_judge(benchmark, texts, model)
    verdicts = compare_answers(judges, benchmark, contests, folder)
    baseline = benchmark.baseline.model if benchmark.baseline else ""
    judged: list[Scored | Compared] = []
    rows: list[Record] = []
    for question in benchmark.questions:
        for turn in range(1, len(question.turns) + 1):
            place, judge = (question.id, turn), judges.of(kind_of(question.category, turn))
            verdict = verdicts.get(place)
            first, second = _winners(verdict)
            reason = (verdict.error if verdict else None) or (NOT_ASKED if place in contests else UNANSWERED)
            without = reason if first is None or second is None else None
            compared = Compared(question.id, turn, judges.name, model, baseline, first, second, without)
            judged.append(compared)
            rows.append(compared_row(compared, judge, contests.get(place), verdict))
    return judged, rows


def _winners(verdict: Comparison | None) -> tuple[Winner | None, Winner | None]:
    names: dict[str | None, Winner] = {"a": "model_1", "b": "model_2", "tie": "tie"}
    return (names.get(verdict.first_order), names.get(verdict.second_order)) if verdict else (None, None)
