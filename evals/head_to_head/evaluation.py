"""Compares the answers of two or more models, and reports win rates and ratings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from console.progress import say
from engines.options import is_iteration, pinned
from engines.shards.options import check_workers
from evals.comparing.asking import ask_verdicts
from evals.comparing.judge import check_judge_flags, open_pairwise_judge
from evals.head_to_head.kinship import kin_warnings
from evals.head_to_head.measures.figures import measure
from evals.head_to_head.measures.ratings import rate
from evals.head_to_head.options import Config
from evals.head_to_head.plan import print_plan
from evals.head_to_head.questions import Questions, read_questions
from evals.head_to_head.report import (
    as_data,
    check_verdicts,
    entrant_of,
    flip_warnings,
    print_result,
    results_of,
    write_result,
)
from evals.head_to_head.result import Result
from evals.head_to_head.sides import Model, Side, read_sides
from evals.head_to_head.stages import Match, answer, asking_of, matches_of, open_models
from judges.intervals.bootstrap import resampled
from judges.judging.judge import Judge
from judges.judging.pairwise import comparison_id
from records import Comparison
from records.files import check_limit
from records.runs import Run, find_run, newest_run
from records.store import write_atomic


def evaluate(config: Config) -> None:
    """Answer, compare, and print the win rates. Raises JudgeError if two models have too few verdicts."""
    check_limit(config.limit)
    check_workers(config.scale)
    check_judge_flags(config.judge)
    is_default = config.judge.judge_model is None
    judging = config.judge.named(config.engine)
    judge = pinned(judging.engine_options(config.engine))  # of the same run as the models, chosen once
    config = replace(config, judge=judging, engine=replace(config.engine, run=config.engine.run or judge.run))
    sides = read_sides(config)
    run = _run_of(config, sides)
    questions = read_questions(config.prompts, sides, run, config.limit, strict=config.strict)
    folder = results_of(config, sides, run)
    if config.dry_run:
        print_plan(config, sides, questions, folder)
        return
    if is_default:
        say(f"the judge is {judge.model}, whose size makes it near chance; name another with --judge-model")
    _answer_and_compare(config, sides, questions, folder)


def _run_of(config: Config, sides: list[Side]) -> Run | None:
    """Return the run of the iterations or of --run, or the newest one if the prompts come from it, or None."""
    runs = [side.options.run for side in sides if isinstance(side, Model) and is_iteration(side.options)]
    name = config.engine.run or next((name for name in runs if name), None)
    if name is not None:
        return find_run(name)
    has_prompts = config.prompts is not None or not all(isinstance(side, Model) for side in sides)
    return None if has_prompts else newest_run()


def _answer_and_compare(config: Config, sides: list[Side], questions: Questions, folder: Path) -> None:
    engines = open_models(sides)
    digests = {name: engine.digest for name, engine in engines.items()}
    # before the answers, so that a judge that is not there costs none; a model is loaded once it is asked
    judge = open_pairwise_judge(config.judge, config.engine, None, config.seed)
    answers = answer(sides, engines, questions.all, folder, config)
    matches = list(matches_of(answers, questions.all))
    verdicts = _verdicts(config, judge, matches, folder)
    weights_BN = resampled([question.key for question in questions.all], config.resamples, config.seed)
    measured = [measure(match, rows, questions.all, weights_BN) for match, rows in zip(matches, verdicts, strict=True)]
    ratings = rate([side.name for side in sides], measured, weights_BN) if len(sides) > 2 else None
    options = config.judge.engine_options(config.engine)
    warnings = [*kin_warnings(sides, digests, options, judge.engine.digest), *flip_warnings(measured)]
    entrants = [entrant_of(side, answers[side.name]) for side in sides]
    result = Result(entrants, measured, ratings, questions, warnings)
    _report(config, result, as_data(result, config, judge, options), folder)


def _verdicts(config: Config, judge: Judge, matches: list[Match], folder: Path) -> list[list[Comparison | None]]:
    """Return the verdicts of each match in the order of its contests, None if there was nothing to compare."""
    contests = [contest for match in matches for contest in match.contests if contest is not None]
    options, path = config.judge.engine_options(config.engine), folder / "comparisons.jsonl"
    rows = ask_verdicts(judge, options, config.judge.judge_options(), contests, path, asking_of(config))
    return [
        [None if contest is None else rows.get(comparison_id(judge, contest)) for contest in match.contests]
        for match in matches
    ]


def _report(config: Config, result: Result, data: dict[str, Any], folder: Path) -> None:
    files = [write_result(folder, data)]
    if config.picture:
        # Heavy, and needed only with --picture.
        from evals.head_to_head.picture import draw

        names = [entrant.name for entrant in result.entrants]
        write_atomic(config.picture, draw(names, result.matches, data["judge"]["model"], data["n_prompts"]))
        files.append(config.picture)
    print_result(result, data, files, as_json=config.json)
    check_verdicts(result.matches, config.judge)
