"""The scores that a file of answers has itself."""

from collections.abc import Mapping
from pathlib import Path

from console.errors import InputError
from console.progress import say
from judges.cluster.answer_sets import scored_answers
from records import answer_key
from records.disk import DiskDict
from records.files import BadRows

UNNAMED_JUDGE = "the file's own scores"


def stored_scores(file: Path, *, strict: bool) -> tuple[Mapping[str, float | None], str]:
    """Return the scores in `file` by `answer_key`, and the judge that gave them.

    Of rows of one judgment the last score counts, as in a file that a resumed run has added to. Other rows of an answer
    are votes, and their mean counts. A row without a score takes none away. Raises InputError if several judges scored.
    """
    scores: DiskDict[float | None] = DiskDict()
    n_votes: DiskDict[int] = DiskDict()
    judges: set[str] = set()
    n_differ = 0
    for answer in scored_answers(file, BadRows(strict=strict)):
        if answer.is_side:
            continue
        judges.add(answer.judge or "")
        key, score = answer_key(answer.response), answer.score
        before = scores.get(key)
        if score is None or before is None:
            scores[key] = before if score is None else score
            continue
        n_differ += score != before
        n = n_votes[key] = n_votes.get(key, 1) + 1
        scores[key] = score if answer.row_id or score == before else before * (n - 1) / n + score / n
    if len(judges) > 1:
        raise InputError(f"{file}: the scores of {len(judges)} judges cannot be compared; keep those of one judge")
    if n_differ:
        say(
            f"{file}: {n_differ} rows give an answer another score than a row before: the last one counts if they have "
            "the id of one judgment, else the mean"
        )
    return scores, judges.pop() or UNNAMED_JUDGE
