"""Has models answer harmful and harmless requests, and a judge say which answers do harm."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.flags import about_judge
from console.progress import say
from engines.options import EngineOptions, check_engine, is_served, open_engine, pinned
from engines.protocol import Sampling
from engines.shards.options import check_workers
from evals.comparing.asking import Asking, ask_answers
from evals.comparing.matching import stripped
from evals.comparing.there import answers_there
from evals.folders import results_folder
from evals.safety.figures import Figures, figures_of
from evals.safety.options import BENCHMARK, PACKAGED, Config, SafetyJudge
from evals.safety.questions import Question, read_questions
from evals.safety.report import JudgedBy, print_plan, print_result, write_result
from judges.intervals.bootstrap import Floats, resampled
from judges.judging.coverage import require_coverage, say_little_mass
from judges.judging.judge import Judge, has_every_reply, judge_into, open_judge
from judges.judging.settle import settle_shared
from judges.panels.panel import member_named
from judges.rubrics.rubric import load_rubric
from records import Judgment, Response, Store, read_rows
from records.files import check_limit
from records.inputs import output_name
from records.runs import find_run


def evaluate(config: Config) -> None:
    """Answer, judge, and print a row for each model. Raises JudgeError if too few answers have a verdict."""
    check_limit(config.limit)
    check_workers(config.scale)
    models = models_of(config)
    judging = judge_named(config.judge, config.engine)
    options = pinned(judging.engine_options(config.engine))
    questions = read_questions(config.prompts, config.limit, strict=config.strict)
    if config.dry_run:
        with about_judge():
            check_engine(options)
        there = {model.model: len(_answers_there(model, questions, config)) for model in models}
        n_verdicts = sum(_n_verdicts_there(model, questions, options, config) for model in models)
        print_plan(there, n_verdicts, questions, options.model, as_json=config.json)
        return
    if config.judge.judge_model is None:
        say(f"the judge is {PACKAGED}, whose size makes it near chance; name another with --judge-model")
    # before the answers, so that a judge that is not there costs none; a model is loaded once it is asked
    with about_judge():
        judge = open_judge(open_engine(options), judging.judge_options(), config.seed)
    answers = {model.model: _answers(model, questions, config) for model in models}
    weights_BN = resampled([question.prompt.id for question in questions], config.resamples, config.seed)
    found = [_judged(model, judge, questions, answers[model.model], config, weights_BN) for model in models]
    by = JudgedBy(options.model, judge.fingerprint, judge.rubric.name, judge.read)
    folders = [folder_of(model, config) for model in models]
    files = [write_result(folder, one, by) for folder, one in zip(folders, found, strict=True)]
    print_result(found, by, files, weights_BN, as_json=config.json)
    n = sum(len(one) for one in answers.values())
    reasons = sum((Counter(one.reasons) for one in found), Counter[str]())
    require_coverage(n - reasons.total(), n, max(judging.min_coverage, 1 / max(n, 1)), reasons=reasons)


def models_of(config: Config) -> list[EngineOptions]:
    """Return the models to evaluate. Raises InputError if there is none, or one is named twice."""
    names = list(config.models) or ([config.engine.model] if config.engine.model else [])
    if not names:
        run = find_run(config.engine.run)
        names = [f"iter{number}" for number in run.iterations() if run.model(number).exists()]
        config = replace(config, engine=replace(config.engine, run=str(run.folder)))
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{doubled} is named twice")
    models = [pinned(member_named(name, config.engine, config.judge.judge_options())[0]) for name in names]
    for model in models:
        check_engine(model)
    if len({model.model for model in models}) < len(models):
        raise InputError("two models have the same name: serve them under other names")
    return models


def judge_named(flags: SafetyJudge, engine: EngineOptions) -> SafetyJudge:
    """Return the judge's flags with a model. Raises InputError if its rubric or its server does not do."""
    rubric = load_rubric(flags.judge_rubric)
    if rubric.kind != "score" or rubric.scale != (0, 1):
        raise InputError(f"--judge-rubric {flags.judge_rubric}: give one that scores from 0 (harmful) to 1 (safe)")
    if flags.judge_model is not None:
        return flags
    named = replace(flags, judge_model=PACKAGED)
    if is_served(named.engine_options(engine)):
        raise InputError("the judge is on a server: name its model there with --judge-model")
    return named


def folder_of(model: EngineOptions, config: Config) -> Path:
    """Return the folder of a model's results, which has the name of other prompts."""
    name = BENCHMARK if config.prompts is None else f"{BENCHMARK}-{output_name(config.prompts)}"
    return results_folder(model, name)


def _answers_there(model: EngineOptions, questions: Sequence[Question], config: Config) -> dict[str, Response]:
    """Return the answers that a model has written before."""
    prompts = [question.prompt for question in questions]
    path = folder_of(model, config) / "responses.jsonl"
    return answers_there(model, prompts, _sampling(config), path, seed=config.seed, fresh=config.fresh)


def _n_verdicts_there(
    model: EngineOptions, questions: Sequence[Question], judging: EngineOptions, config: Config
) -> int:
    """Return the number of these answers that the judge has judged before."""
    path = folder_of(model, config) / "judgments.jsonl"
    answers = _answers_there(model, questions, config)
    if not answers or not path.exists():
        return 0
    flags = judge_named(config.judge, config.engine)
    with about_judge():
        judge = open_judge(open_engine(judging), flags.judge_options(), config.seed)
    done = {row.id for row in read_rows(path, Judgment) if has_every_reply(row)}
    return sum(judge.judgment_id(stripped(row)) in done for row in answers.values())


def _sampling(config: Config) -> Sampling:
    return Sampling(config.max_new_tokens, config.temperature, config.top_p)


def _answers(model: EngineOptions, questions: Sequence[Question], config: Config) -> dict[str, Response]:
    """Return a model's answers without their reasoning, by the ids of their prompts."""
    engine = open_engine(model)
    asking = Asking(config.seed, config.fresh, config.scale)
    prompts = [question.prompt for question in questions]
    path = folder_of(model, config) / "responses.jsonl"
    rows = ask_answers(engine, model, prompts, _sampling(config), path, asking)
    return {row.prompt_id: stripped(row) for row in rows}


def _judged(
    model: EngineOptions,
    judge: Judge,
    questions: Sequence[Question],
    answers: dict[str, Response],
    config: Config,
    weights_BN: Floats,
) -> Figures:
    rows = list(answers.values())
    with Store(
        folder_of(model, config) / "judgments.jsonl", Judgment, keep=has_every_reply, fresh=config.fresh
    ) as store:
        if rows and not config.fresh:
            settle_shared(judge, store, lambda: judge.request(rows[0]))
        judgments = judge_into(store, judge, rows, f"judging {model.model}")
    say_little_mass(judgments, judge.engine.name)
    by_prompt = {judgment.prompt_id: judgment for judgment in judgments}
    return figures_of(model.model, questions, answers, by_prompt, weights_BN)
