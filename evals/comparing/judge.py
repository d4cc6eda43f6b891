"""The pairwise judge of an evaluation and its coverage gate."""

from collections import Counter
from collections.abc import Sequence

from console.errors import InputError
from console.flags import about_judge
from engines.options import EngineOptions, open_engine
from engines.protocol import Engine
from evals.comparing.flags import JudgeFlags
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge, open_judge
from judges.rubrics.rubric import load_rubric

AGAIN = "Run the same command again, which asks again for what failed"


def check_judge_flags(flags: JudgeFlags) -> None:
    """Raise InputError if the judge's rubric does not compare two answers, before anything is loaded or answered."""
    if load_rubric(flags.judge_rubric).kind != "pair":
        raise InputError(f"--judge-rubric {flags.judge_rubric} scores one answer; give one that compares two: pairwise")


def open_pairwise_judge(flags: JudgeFlags, evaluated: EngineOptions, engine: Engine | None, seed: int) -> Judge:
    """Return the judge that `flags` describe. It reuses the evaluated model's `engine` if the settings are equal."""
    options = flags.engine_options(evaluated)
    if engine is None or options != evaluated:
        with about_judge():
            engine = open_engine(options)
    return open_judge(engine, flags.judge_options(), seed)


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
