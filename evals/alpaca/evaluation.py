"""Evaluates a model with AlpacaEval."""

from dataclasses import replace
from pathlib import Path

from console.flags import about_judge
from console.progress import say
from console.table import Cell
from engines.options import EngineOptions, check_engine, is_iteration, open_engine, pinned
from engines.protocol import Engine, Sampling
from engines.shards.options import check_workers
from evals.alpaca.annotators.annotating import Annotator, annotate_as_package, annotator_of, n_replies_there
from evals.alpaca.difficulty import Others, read_others
from evals.alpaca.format import keep_apart, write_json
from evals.alpaca.length import FILE, length_control, write_length_control
from evals.alpaca.metrics import score, write_leaderboard
from evals.alpaca.options import Config
from evals.alpaca.report import Result, check_preferences, length_files, print_plan, print_result, results_of
from evals.alpaca.sources import Benchmark, load_benchmark
from evals.alpaca.stages import Annotations, Answers, annotate, answer, by_prompt, contests_of, model_outputs
from evals.comparing.judge import check_judge_flags, open_pairwise_judge
from evals.comparing.there import answers_there, comparisons_there
from judges.judging.pairwise import comparison_id
from records.files import BadRows, check_limit
from records.finish import cut_off
from records.runs import Run, find_run, newest_run
from records.store import set_aside

USUAL_ANSWER_TOKENS = 2048  # the limit of most models on the leaderboard


def evaluate(config: Config) -> None:
    """Answer, compare, score, and print the leaderboard row. Raises JudgeError if too few prompts have a verdict."""
    judge = pinned(config.judge.engine_options(pinned(config.engine)))  # of the same run, chosen once
    config = replace(config, engine=replace(config.engine, run=config.engine.run or judge.run))
    check_limit(config.limit)
    check_workers(config.scale)
    annotator = annotator_of(config)
    if annotator is None:
        check_judge_flags(config.judge)
    result = _evaluate_model(config, annotator)
    if result is not None:
        print_result(result, config)
        check_preferences(result, config)


def _evaluate_model(config: Config, annotator: Annotator | None) -> Result | None:
    """Return the score of the model against the baseline with all files written, or None with --dry-run."""
    bad = BadRows(strict=config.strict)
    latest = _run_of(config.engine)
    benchmark = load_benchmark(config.prompts, config.reference, config.version, latest, bad).first(config.limit)
    others = read_others(config.difficulty_from, bad)
    tokens = config.max_new_tokens or benchmark.answer_limit or USUAL_ANSWER_TOKENS
    sampling = Sampling(tokens, config.temperature, config.top_p)
    folder = results_of(config)
    if config.dry_run:
        check_engine(config.engine)
        if annotator is None:
            with about_judge():
                check_engine(config.judge.engine_options(config.engine))
        print_plan(_plan(config, benchmark, sampling, folder, annotator), config.json)
        return None
    return _answer_and_compare(config, benchmark, sampling, folder, annotator, others)


def _answer_and_compare(
    config: Config, benchmark: Benchmark, sampling: Sampling, folder: Path, annotator: Annotator | None, others: Others
) -> Result:
    engine = open_engine(config.engine)
    model = engine.name
    if annotator is not None:
        answers = _answered(engine, benchmark, sampling, folder, config)
        del engine
        annotated = annotate_as_package(annotator, benchmark, answers, model, folder, fresh=config.fresh)
        return _result(config, annotated, answers, folder, others)
    is_shared = config.judge.engine_options(config.engine) == config.engine
    # before the answers, so that a judge that is not there costs none; a model is loaded once it is asked
    judge = open_pairwise_judge(config.judge, config.engine, engine if is_shared else None, config.seed)
    answers = _answered(engine, benchmark, sampling, folder, config)
    if not config.judge.is_given():
        say(f"the judge is the evaluated model itself, {config.engine.model}; name another with --judge-model")
    del engine  # two models at once may not fit; a shared one stays with the judge
    annotated = annotate(judge, benchmark, answers, model, folder, config)
    return _result(config, annotated, answers, folder, others, judge.read)


def _answered(engine: Engine, benchmark: Benchmark, sampling: Sampling, folder: Path, config: Config) -> Answers:
    """Return the model's answers, with model_outputs.json written."""
    answers = answer(engine, benchmark, sampling, folder, config)
    keep_apart(folder / "model_outputs.json", generator=engine.name)
    write_json(folder / "model_outputs.json", model_outputs(benchmark, answers))
    return answers


def _result(
    config: Config, annotated: Annotations, answers: Answers, folder: Path, others: Others, read: str | None = None
) -> Result:
    """Return the score of the annotations, with annotations.json and leaderboard.csv written."""
    annotations = annotated.rows
    first = annotations[0]
    names = {"generator_1": first.generator_1, "generator_2": first.generator_2, "annotator": first.annotator}
    # an old leaderboard would stay if the scoring below fails
    if keep_apart(folder / "annotations.json", **names):
        for name in ("leaderboard.csv", FILE):
            set_aside(folder / name)
    write_json(folder / "annotations.json", annotations)
    # df_gamed.csv may lie beside them
    near = [folder / "annotations.json", *([config.reference] if config.reference else [])]
    metrics = score(annotations, length_files(config), near)
    control = length_control(annotations, others)
    write_length_control(folder, control)
    write_leaderboard(folder / "leaderboard.csv", first.generator_2, metrics)
    n_truncated = sum(cut_off(response.finish_reason) is not None for response in answers.values())
    return Result(annotations, metrics, control, n_truncated, annotated.n_unanswered, read)


def _run_of(options: EngineOptions) -> Run | None:
    """Return the run that --run names, or the newest run, or None if there is none and the model is no iteration."""
    return find_run(options.run) if options.run or is_iteration(options) else newest_run()


def _plan(
    config: Config, benchmark: Benchmark, sampling: Sampling, folder: Path, annotator: Annotator | None
) -> dict[str, Cell]:
    n, path = len(benchmark.prompts), folder / "responses.jsonl"
    rows = answers_there(config.engine, benchmark.prompts, sampling, path, seed=config.seed, fresh=config.fresh)
    return {
        "prompts": n,
        "from": benchmark.source,
        "baseline": benchmark.baseline[0].model,
        "model": config.engine.model,
        "answers": n - len(rows),
        "answers there": len(rows),
        "max new tokens": sampling.max_new_tokens,
        **(
            _judge_plan(config, benchmark, by_prompt(rows.values()), folder)
            if annotator is None
            else {"annotator": annotator.name, "annotator calls": n, "calls there": n_replies_there(annotator, folder)}
        ),
        "results": str(folder),
    }


def _judge_plan(config: Config, benchmark: Benchmark, answers: Answers, folder: Path) -> dict[str, Cell]:
    """Return the judge, its calls, and those that are answered already."""
    done, n_there = comparisons_there(folder / "comparisons.jsonl", fresh=config.fresh), 0
    if done and answers:
        judge = open_pairwise_judge(config.judge, config.engine, None, config.seed)
        n_there = sum(comparison_id(judge, contest) in done for contest in contests_of(benchmark, answers).values())
    return {
        "judge": config.judge.engine_options(config.engine).model,
        "rubric": config.judge.judge_rubric,
        "judge calls": 2 * (len(benchmark.prompts) - n_there),
        "judge calls there": 2 * n_there,
    }
