"""What every evaluation by comparison needs: a pairwise judge and a coverage gate."""

from collections.abc import Sequence

from console.errors import InputError, JudgeError
from console.flags import about_judge, spelled
from engines.options import EngineOptions
from engines.protocol import Engine
from evals.alpaca.options import JudgeFlags
from judges.judging.judge import Judge, open_judge
from judges.rubrics.rubric import load_rubric


def check_judge_flags(flags: JudgeFlags) -> None:
    """Raise InputError where the judge's settings cannot work, before anything is loaded or answered."""
    if load_rubric(flags.judge_rubric).kind != "pair":
        raise InputError(f"--judge-rubric {flags.judge_rubric} scores one answer; give one that compares two: pairwise")


def open_pairwise_judge(flags: JudgeFlags, evaluated: EngineOptions, engine: Engine | None, seed: int) -> Judge:
    """Return the judge that `flags` describe; `engine` is asked again where it is the judge's too."""
    from engines.options import open_engine

    options = flags.engine_options(evaluated)
    if engine is None or options != evaluated:
        with about_judge():
            engine = open_engine(options)
    return open_judge(engine, flags.judge_options(), seed)


def check_coverage(n_scored: int, reasons: Sequence[str], min_coverage: float) -> None:
    """Raise JudgeError where too few prompts have a verdict; `reasons` has one entry for each that has none."""
    n = n_scored + len(reasons)
    if n_scored > 0 and n_scored >= min_coverage * n:
        return
    common = max(set(reasons), key=reasons.count) if reasons else "unknown"
    why = f"only {n_scored} of {n} prompts have a verdict, under --min-coverage {min_coverage:g}; most often: {common}"
    raise JudgeError(spelled(f"{why}. Try another judge, or accept it with a lower --min-coverage", of_judge=True))
