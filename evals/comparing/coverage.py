"""The coverage gate of an evaluation by comparison, with advice by why verdicts are missing."""

from collections import Counter
from collections.abc import Sequence

from judges.judging.coverage import require_coverage

AGAIN = "Run the same command again, which asks again for what failed"


def check_coverage(
    n_known: int,
    reasons: Sequence[str],
    n_unanswered: int,
    min_coverage: float,
    read: str | None = None,
    source: str | None = None,
) -> None:
    """Raise JudgeError if too few prompts have a verdict, with advice by why most of them have none.

    `reasons` has one entry per prompt without a verdict. `n_unanswered` of these had no answer of a model or of the
    judge, which the same command asks for again. `read` is how the judge's verdicts were read.
    """
    n = n_known + len(reasons)
    is_judges = 2 * n_unanswered < len(reasons)
    require_coverage(
        n_known,
        n,
        max(min_coverage, 1 / max(n, 1)),  # a win rate needs one verdict at least, even if the coverage asked for is 0
        what="prompts have a verdict",
        reasons=Counter(reasons),
        advice="Try another judge" if is_judges else AGAIN,
        read=read if is_judges else None,
        source=source,
    )
