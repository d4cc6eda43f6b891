"""Asks a judge about a labelled set: both orders of a pair, or a score for every answer. All rows are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import InputError
from judges.audit.stored import comparison_verdict
from judges.judging.judge import Judge, has_every_reply, judge_into
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, comparison_id, first_request
from judges.judging.settle import settle
from judges.labelled.labels import Grade, LabelledPair, LabelledScore, LabelledSet, Verdict, verdict_by_scores
from records import Comparison, Judgment, Message, Response, Store
from records.inputs import keep_to_judge
from records.keys import content_key


@dataclass(frozen=True)
class Said:
    """What a judge said about the pairs and about the single answers of a set, in their order."""

    verdicts: list[Verdict]
    grades: list[Grade]


def ask_about(labelled: LabelledSet, judge: Judge, folder: Path, *, name: str = "", fresh: bool = False) -> Said:
    """Return what the judge says about the set, asking only what is not in `folder` yet.

    A rubric that compares is asked about the pairs in both orders; one that scores about every answer once, and a
    pair's verdict is the higher score. Raises InputError where the rubric compares and the set has no pairs.
    """
    if judge.rubric.kind == "pair":
        if not labelled.pairs:
            raise InputError(f"{labelled.name} has scores, not pairs; give a --rubric that scores one answer: additive")
        return Said(_compared(labelled.pairs, judge, folder / f"comparisons{name}.jsonl", fresh), [])
    responses = _responses(labelled)
    with Store(folder / f"judgments{name}.jsonl", Judgment, keep=has_every_reply, fresh=fresh) as store:
        if not fresh:
            settle(judge, store, lambda: judge.request(next(iter(responses.values()))))
            keep_to_judge(store, judge.fingerprint)
        rows = judge_into(store, judge, list(responses.values()), f"judging {labelled.name}{name}")
    grades = {row.response_id: Grade(row.score, row.error, row.mass) for row in rows}
    return Said(
        [
            verdict_by_scores(
                grades[_answer_id(pair.prompt, pair.response_a)], grades[_answer_id(pair.prompt, pair.response_b)]
            )
            for pair in labelled.pairs
        ],
        [grades[_answer_id(item.prompt, item.response)] for item in labelled.scores],
    )


def n_calls(labelled: LabelledSet, judge: Judge) -> int:
    """Return how many calls `ask_about` needs where nothing is stored yet."""
    n = 2 * len(labelled.pairs) if judge.rubric.kind == "pair" else len(_responses(labelled))
    return n * judge.n_questions


def another(judge: Judge, number: int) -> Judge:
    """Return the same judge with other seeds, for a test-retest."""
    return replace(judge, seed=judge.seed + number)


def check_texts(labelled: LabelledSet) -> None:
    """Raise InputError where the set has no answers that a judge could be shown."""
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
    found = {row.id: comparison_verdict(row) for row in rows}
    return [found[comparison_id(judge, contest)] for contest in contests]


def _responses(labelled: LabelledSet) -> dict[str, Response]:
    """Return every answer of the set once, by its id; a labelled score knows more of it than a pair does."""
    found: dict[str, Response] = {}
    for pair in labelled.pairs:
        for text, model in ((pair.response_a, pair.model_a), (pair.response_b, pair.model_b)):
            row_id = _answer_id(pair.prompt, text)
            found[row_id] = Response(id=row_id, prompt_id=pair.group, prompt=pair.prompt, response=text, model=model)
    for item in labelled.scores:
        found[_answer_id(item.prompt, item.response)] = _response(item)
    return found


def _response(item: LabelledScore) -> Response:
    return Response(
        id=_answer_id(item.prompt, item.response),
        prompt_id=item.group,
        prompt=item.prompt,
        response=item.response,
        model=item.model,
        reference=item.reference,
    )


def _answer_id(prompt: str | list[Message], response: str) -> str:
    return content_key("response", prompt, response)
