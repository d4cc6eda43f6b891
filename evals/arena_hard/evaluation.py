"""Evaluates a model with Arena-Hard, or scores stored judgments."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from console.progress import say
from engines.options import open_engine, pinned
from engines.protocol import Engine
from engines.shards.options import check_workers
from evals.arena_hard.benchmark import rubrics_of
from evals.arena_hard.files.answers import Answer, Answers
from evals.arena_hard.files.judgments import judges_of, read_judgments
from evals.arena_hard.files.stored import answers_of
from evals.arena_hard.files.writing import answer_row, answers_path, judgments_path
from evals.arena_hard.options import Config
from evals.arena_hard.plan import print_plan, print_stored_plan
from evals.arena_hard.report import check_verdicts, print_result, results_of, write_result
from evals.arena_hard.result import Result
from evals.arena_hard.scoring.controlled import Settings
from evals.arena_hard.scoring.scores import scores_of
from evals.arena_hard.scoring.style import counts_of
from evals.arena_hard.sources import Benchmark, check_other, load_benchmark, load_own_answers
from evals.arena_hard.stages import answer, contests_of, judge_games, open_judges
from records import Response
from records.files import BadRows, check_limit, take_prompts
from records.finish import cut_off
from records.store import write_rows


def evaluate(config: Config) -> None:
    """Answer, judge, score, and print the tables. Raises JudgeError if too few prompts have a verdict."""
    judge = pinned(config.judge.engine_options(pinned(config.engine)))  # of the same run, chosen once
    config = replace(config, engine=replace(config.engine, run=config.engine.run or judge.run))
    check_limit(config.limit)
    check_workers(config.scale)
    rubrics_of(config.version, config.judge.judge_rubric)  # before anything is read
    result = _score_stored(config) if config.judgments else _evaluate_model(config)
    if result is not None:
        print_result(result, config)
        check_verdicts(result, config.judge.min_coverage)


def _score_stored(config: Config) -> Result | None:
    """Return the scores of stored judgments, or None with --dry-run. Asks no model."""
    bad = BadRows(strict=config.strict)
    judged = list(take_prompts(read_judgments(config.judgments, bad), config.limit, lambda prompt: prompt.uid))
    if config.dry_run:
        print_stored_plan(judged, config)
        return None
    answers = answers_of(judged, config, bad)
    source = ", ".join(map(str, config.judgments))
    result = Result(" and ".join(judges_of(judged)), source, scores_of(judged, answers, _settings(config)))
    files = [write_result(config.out, result, config)] if config.out else []
    return replace(result, files=files)


def _evaluate_model(config: Config) -> Result | None:
    """Return the scores of a model with all files written, or None with --dry-run."""
    benchmark = load_benchmark(config)
    own = load_own_answers(config, benchmark)
    folder = results_of(config, own)
    if config.dry_run:
        print_plan(config, benchmark, own, folder)
        return None
    return _answer_and_judge(config, benchmark, own, folder)


def _answer_and_judge(config: Config, benchmark: Benchmark, own: Answers | None, folder: Path) -> Result:
    engine = None if own else open_engine(config.engine)
    model = _named(own, engine)
    check_other(model, benchmark.baselines)
    is_shared = config.judge.engine_options(config.engine) == config.engine
    # before the answers, so that a judge that is not there costs none; a model is loaded once it is asked
    judges = open_judges(config, engine if is_shared else None)
    responses = answer(engine, benchmark, folder, config) if engine else {}
    if not config.judge.is_given():
        who = "" if own else "the evaluated model itself, "
        say(f"the judge is {who}{config.engine.model}; name another with --judge-model")
    del engine  # two models at once may not fit; a shared one stays with the judge
    texts = _texts(own, responses)
    path = answers_path(folder, model)
    ids = {uid: response.id for uid, response in responses.items()}
    answered = [question for question in benchmark.questions if question.uid in texts]
    write_rows(path, (answer_row(q, model, ids.get(q.uid, f"{model}-{q.uid}"), texts[q.uid]) for q in answered))
    contests = contests_of(benchmark, texts, model)
    games = judge_games(judges, benchmark, contests, model, folder, config)
    write_rows(judgments_path(folder, judges.name, model), games.rows)
    answers = {model: _measured(model, texts, own)} | _of_baselines(benchmark)
    n_cut_off = sum(cut_off(response.finish_reason) is not None for response in responses.values())
    categories = scores_of(games.judged, answers, _settings(config))
    result = Result(judges.name, str(benchmark.source), categories, n_cut_off)
    paths = [path, judgments_path(folder, judges.name, model), write_result(folder, result, config)]
    return replace(result, files=paths)


def _settings(config: Config) -> Settings:
    return Settings(config.style, config.style_length, config.resamples, config.seed)


def _named(own: Answers | None, engine: Engine | None) -> str:
    return own.model if own else engine.name if engine else ""


def _texts(own: Answers | None, responses: Mapping[str, Response]) -> dict[str, str]:
    """Return the answers by the ids of their questions, without null ones."""
    if own is None:
        return {uid: response.response for uid, response in responses.items()}
    return {uid: answer.text for uid, answer in own.by_uid.items() if answer.text is not None}


def _measured(model: str, texts: Mapping[str, str], own: Answers | None) -> dict[str, Answer]:
    """Return the answers with the counts of their style."""
    if own is not None:
        return own.by_uid
    return {uid: Answer(uid, model, text, counts_of(text, None)) for uid, text in texts.items()}


def _of_baselines(benchmark: Benchmark) -> dict[str, dict[str, Answer]]:
    """Return the baselines' answers by model. One model may have a file for each of its categories."""
    answers: dict[str, dict[str, Answer]] = {}
    for baseline in benchmark.baselines.values():
        answers.setdefault(baseline.model, {}).update(baseline.by_uid)
    return answers
