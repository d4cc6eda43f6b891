"""The gate of --min-coverage: a command fails if too few of its rows have a verdict."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from console.errors import JudgeError
from console.flags import spelled
from console.progress import say
from judges.parsing.verdict import LITTLE_MASS, Masses
from records import Comparison, Judgment

OTHER_READING = {"logprobs": "text", "text": "logprobs", "structured": "logprobs", "decisions": "logprobs"}


def require_coverage(
    n_known: int,
    n: int,
    min_coverage: float,
    *,
    what: str = "answers got a verdict",
    reasons: Counter[str] | None = None,
    advice: str = "Try another judge",
    read: str | None = None,
    source: Path | str | None = None,
) -> None:
    """Raise JudgeError if less than `min_coverage` of `n` rows are known.

    It comes after every row is stored, so that nothing is lost. `what` names the rows and what they lack. `reasons`
    counts why the others are unknown. `read` is how the verdicts were read, and the error advises another way. `source`
    is the file to blame.
    """
    if n_known >= min_coverage * n:
        return
    where = f"{source}: " if source else ""
    often = f"; most often: {reasons.most_common(1)[0][0]}" if reasons else ""
    another = f", --read {OTHER_READING[read]}" if read in OTHER_READING else ""
    raise JudgeError(
        spelled(
            f"{where}only {n_known} of {n} {what}, under --min-coverage {min_coverage:g}{often}. {advice}{another}, or "
            "accept it with a lower --min-coverage",
            of_judge=True,
        )
    )


def check_coverage(judgments: Sequence[Judgment], min_coverage: float) -> None:
    """Raise JudgeError if less than `min_coverage` of the judgments have a score. All of them are kept."""
    reasons = Counter(judgment.error or "unknown" for judgment in judgments if judgment.score is None)
    read = judgments[0].read if judgments else None
    n = len(judgments)
    require_coverage(n - reasons.total(), n, min_coverage, reasons=reasons, read=read)


def say_little_mass(rows: Sequence[Judgment | Comparison], judge: str) -> None:
    """Warn on stderr if the judge gives its choices little probability together, so that its verdicts mean little."""
    masses = Masses()
    for row in rows:
        masses.add(row.mass)
    if masses.n and masses.total / masses.n < LITTLE_MASS:
        say(f"warning: {judge}: {masses}")
