"""Lets a model judge ranked answers and keeps the replies that order them as people did."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from console.errors import JudgeError
from judges.judging.coverage import check_coverage
from judges.judging.judge import Judge, has_every_reply, judge_into
from judges.labelled.ranked import RankedAnswers, responses_to
from judges.options import OF_CHOICES
from records import Judgment, Store
from trainer.eft.examples import Agreement, Attempt, JudgeExample, attempts_of, from_judgments

Attempts = Sequence[Sequence[Attempt | None]]
"""The replies on each answer to one prompt, in the order of the answers."""


def judged(
    judge: Judge, eft: Sequence[RankedAnswers], path: Path, *, min_coverage: float, fresh: bool
) -> list[list[Judgment]]:
    """Return the judgments of each prompt's answers, asking only for those that `path` does not hold."""
    responses = {response.id: response for ranked in eft for response in responses_to(ranked)}
    with Store(path, Judgment, keep=has_every_reply, fresh=fresh) as store:
        rows = judge_into(store, judge, list(responses.values()), "judging ranked answers")
    check_coverage(rows, min_coverage)
    by_id = {judgment.response_id: judgment for judgment in rows}
    return [[by_id[response.id] for response in responses_to(ranked)] for ranked in eft]


def attempts_on(judge: Judge, judgments: Sequence[Sequence[Judgment]]) -> list[Attempts]:
    """Return the usable replies on each prompt's answers."""
    return [[attempts_of(judgment, judge) for judgment in rows] for rows in judgments]


def reply_counts(judge: Judge, judgments: Sequence[Sequence[Judgment]], attempts: Sequence[Attempts]) -> dict[str, int]:
    """Return the number of replies of each kind. The last three add up to the first."""
    n_asked = sum(map(len, judgments)) * (1 if judge.read in OF_CHOICES else judge.samples)
    n_scored = sum(score is not None for rows in judgments for judgment in rows for score in judgment.scores)
    n_usable = len(_scores(attempts))
    return {
        "asked": n_asked,
        "unparsed": n_asked - n_scored,
        "no reason before the score": n_scored - n_usable,
        "judged": n_usable,
    }


def check_attempts(attempts: Sequence[Attempts], judgments: Sequence[Sequence[Judgment]]) -> None:
    """Raise JudgeError if no reply has a score, or all have the same."""
    scores = _scores(attempts)
    if not scores:
        other = (
            "" if any(judgment.read == "logprobs" for rows in judgments for judgment in rows) else "--read logprobs, "
        )
        reasons = Counter(judgment.error or "no reason before the score" for rows in judgments for judgment in rows)
        raise JudgeError(
            f"no reply can be learnt from; most often: {reasons.most_common(1)[0][0]}. Try --targets ranks, "
            f"{other}more --samples, or a model that was fine-tuned on ift.jsonl"
        )
    if len(set(scores)) == 1:
        raise JudgeError(
            f"the judge gave {scores[0]:g} to every answer, which ranks nothing. Try another --model or --rubric, a "
            "higher --temperature with more --samples, or --targets ranks"
        )


def agreeing_examples(
    judge: Judge, eft: Sequence[RankedAnswers], attempts: Sequence[Attempts], agreement: Agreement
) -> list[JudgeExample]:
    """Return the examples of the replies that order the answers as people did."""
    return [
        example
        for ranked, prompt_attempts in zip(eft, attempts, strict=True)
        for example in from_judgments(ranked, prompt_attempts, judge, agreement)
    ]


def _scores(attempts: Sequence[Attempts]) -> list[float]:
    return [
        attempt.score for prompt_attempts in attempts for replies in prompt_attempts for attempt in replies if attempt
    ]
