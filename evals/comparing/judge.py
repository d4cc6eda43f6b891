"""The pairwise judge of an evaluation."""

from console.errors import InputError
from console.flags import about_judge
from engines.options import EngineOptions, open_engine
from engines.protocol import Engine
from evals.comparing.flags import JudgeFlags
from judges.judging.judge import Judge, open_judge
from judges.rubrics.rubric import load_rubric


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
