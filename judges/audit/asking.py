"""Asks a judge about a labelled set: both orders of a pair, or a score per answer. All rows are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.errors import InputError
from judges.audit.stored import comparison_verdict
from judges.judging.judge import Judge, has_every_reply, judge_into
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, comparison_id, first_request
from judges.judging.settle import settle
from judges.labelled.labels import Grade, LabelledPair, LabelledScore, LabelledSet, Verdict, verdict_by_scores
from judges.rubrics.calibration import Calibration
from records import Comparison, Judgment, Message, Response, Store
from records.inputs import keep_to_judge
from records.keys import content_key


@dataclass(frozen=True)
class Answers:
    """A judge's verdicts on the pairs and grades of the single answers of a set, in their order."""

    verdicts: list[Verdict]
    grades: list[Grade]
    by_answer: dict[str, Grade] = field(default_factory=dict)
    """The grade of every answer, those of pairs too, by `answer_id`."""


def ask_about(labelled: LabelledSet, judge: Judge, folder: Path, *, name: str = "", fresh: bool = False) -> Answers:
    """Return the judge's answers about the set, asking only for rows that `folder` lacks.

    A rubric that compares judges the pairs in both orders. A rubric that scores judges every answer once, and
    the higher score wins a pair. Raises InputError if the rubric compares and the set has no pairs.
    """
    if judge.rubric.kind == "pair":
        if not labelled.pairs:
            raise InputError(f"{labelled.name} has scores, not pairs; give a --rubric that scores one answer: additive")
        return Answers(_compared(labelled.pairs, judge, folder / f"comparisons{name}.jsonl", fresh), [])
    responses = _responses(labelled)
    with Store(folder / f"judgments{name}.jsonl", Judgment, keep=has_every_reply, fresh=fresh) as store:
        if not fresh:
            settle(judge, store, lambda: judge.request(next(iter(responses.values()))))
            keep_to_judge(store, judge.fingerprint)
        rows = judge_into(store, judge, list(responses.values()), f"judging {labelled.name}{name}")
    grades = {row.response_id: Grade(row.score, row.error, row.mass, row.criteria) for row in rows}
    return Answers(
        [_by_scores(pair, grades, judge.calibration) for pair in labelled.pairs],
        [grades[answer_id(item.prompt, item.response)] for item in labelled.scores],
        grades,
    )


def _by_scores(pair: LabelledPair, grades: Mapping[str, Grade], calibration: Calibration | None) -> Verdict:
    """Return the verdict of the scores of a pair's answers, with a calibration its preference and its ties."""
    verdict = verdict_by_scores(*(grades[answer_id(pair.prompt, text)] for text in (pair.response_a, pair.response_b)))
    if calibration is None or verdict.margin is None:
        return verdict
    preference = calibration.preference(verdict.margin)
    return replace(verdict, preference_b=preference, winner=calibration.winner(preference))


def n_calls(labelled: LabelledSet, judge: Judge) -> int:
    """Return the number of calls that `ask_about` needs if nothing is stored yet."""
    n = 2 * len(labelled.pairs) if judge.rubric.kind == "pair" else len(_responses(labelled))
    return n * judge.n_calls


def another(judge: Judge, number: int) -> Judge:
    """Return the same judge with other seeds, for a test-retest."""
    return replace(judge, seed=judge.seed + number)


def check_texts(labelled: LabelledSet) -> None:
    """Raise InputError if the set has no texts for a judge to read."""
    answers = [*(pair.response_a for pair in labelled.pairs), *(item.response for item in labelled.scores)]
    if not any(answers):
        raise InputError(f"{labelled.name} has no texts to judge; give the verdicts on it with --verdicts")


def _compared(pairs: Sequence[LabelledPair], judge: Judge, path: Path, fresh: bool) -> list[Verdict]:
    contests = [
        Contest(p.group, p.prompt, p.response_a, p.response_b, model_a=p.model_a, model_b=p.model_b) for p in pairs
    ]
    with Store(path, Comparison, keep=both_orders_answered, fresh=fresh) as store:
        if not fresh:
            settle(judge, store, lambda: first_request(judge, contests[0]))
            keep_to_judge(store, judge.fingerprint)
        rows = compare_into(store, judge, contests, f"comparing {path.parent.name}")
    verdicts = {comparison.id: comparison_verdict(comparison) for comparison in rows}
    return [verdicts[comparison_id(judge, contest)] for contest in contests]


def _responses(labelled: LabelledSet) -> dict[str, Response]:
    """Return every answer of the set once, by its id. A labelled score overrides a pair because it has more fields."""
    responses: dict[str, Response] = {}
    for pair in labelled.pairs:
        for text, model in ((pair.response_a, pair.model_a), (pair.response_b, pair.model_b)):
            row_id = answer_id(pair.prompt, text)
            responses[row_id] = Response(
                id=row_id, prompt_id=pair.group, prompt=pair.prompt, response=text, model=model
            )
    for item in labelled.scores:
        responses[answer_id(item.prompt, item.response)] = _response(item)
    return responses


def _response(item: LabelledScore) -> Response:
    return Response(
        id=answer_id(item.prompt, item.response),
        prompt_id=item.group,
        prompt=item.prompt,
        response=item.response,
        model=item.model,
        reference=item.reference,
    )


def answer_id(prompt: str | list[Message], response: str) -> str:
    """Return the key of an answer among those that were graded."""
    return content_key("response", prompt, response)
