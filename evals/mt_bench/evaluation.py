"""Evaluates a model with MT-Bench or Vicuna-80, or scores stored judgments."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.flags import about_judge
from console.progress import say
from engines.options import check_engine, open_engine, pinned
from engines.protocol import Engine
from engines.shards.options import check_workers
from evals.comparing.naming import listed
from evals.mt_bench.benchmark import check_rubric
from evals.mt_bench.files.judgments import Compared, Scored, read_judgments
from evals.mt_bench.files.questions import Answers, read_questions
from evals.mt_bench.files.writing import answer_row, answers_path, judgments_path
from evals.mt_bench.judging import n_verdicts_there, open_judges
from evals.mt_bench.options import Config
from evals.mt_bench.report import Result, check_verdicts, print_plan, print_result, results_of, write_result
from evals.mt_bench.scoring.pairs import pair_scores_of
from evals.mt_bench.scoring.scores import Drawing, scores_of
from evals.mt_bench.sources import Benchmark, check_other, load_benchmark, load_own_answers, questions_path
from evals.mt_bench.stages import Texts, answer, own_texts_of, texts_of, turns_there
from evals.mt_bench.verdicts import compare, score
from records.files import BadRows, check_limit, take_prompts
from records.finish import cut_off
from records.store import write_rows


def evaluate(config: Config) -> None:
    """Answer, judge, score, and print the tables. Raises JudgeError if too few answers have a verdict."""
    judge = pinned(config.judge.engine_options(pinned(config.engine)))  # of the same run, chosen once
    config = replace(config, engine=replace(config.engine, run=config.engine.run or judge.run))
    check_limit(config.limit)
    check_workers(config.scale)
    check_rubric(config.mode, config.judge.judge_rubric)
    if config.baseline is not None and config.mode == "single":
        raise InputError("--baseline goes with --mode pair")
    result = _score_stored(config) if config.judgments else _evaluate_model(config)
    if result is not None:
        print_result(result, config)
        check_verdicts(result, config.judge.min_coverage)


def _score_stored(config: Config) -> Result | None:
    """Return the scores of stored judgments, or None with --dry-run. Asks no model."""
    judged = read_judgments(config.judgments, BadRows(strict=config.strict))
    path = questions_path(config)
    questions = read_questions(path, config.bench, BadRows(strict=config.strict)) if path else []
    categories = {question.id: question.category for question in questions}
    others = sorted({verdict.question_id for verdict in judged} - categories.keys())
    if path and others:
        say(
            f"{len(others)} of the judged questions are not in {path} ({listed(others)}): they count, and are in no "
            "category"
        )
    chosen: Iterator[Scored | Compared] = take_prompts(judged, config.limit, lambda verdict: verdict.question_id)
    first = list(chosen)
    source = ", ".join(map(str, config.judgments))
    if config.dry_run:
        print_plan({"judgments": len(first), "from": source, "judge": first[0].judge, "calls": 0}, config)
        return None
    result = _result(first, source, categories, config)
    return replace(result, files=[write_result(config.out, result, config)] if config.out else [])


def _evaluate_model(config: Config) -> Result | None:
    """Return the scores of a model with all files written, or None with --dry-run."""
    benchmark = load_benchmark(config)
    own = load_own_answers(config, benchmark)
    folder = results_of(config, own)
    if config.dry_run:
        _plan(config, benchmark, own, folder)
        return None
    engine = None if own else open_engine(config.engine)
    model = own.model if own else engine.name if engine else ""
    check_other(model, benchmark)
    judges = open_judges(config, engine)  # before the answers, so that a judge that is not there costs none
    texts, n_cut_off = _answers(engine, own, benchmark, folder, config)
    if not config.judge.is_given():
        who = "" if own else "the evaluated model itself, "
        say(f"the judge is {who}{config.engine.model}; name another with --judge-model")
    del engine  # two models at once may not fit; a shared one stays with the judge
    answered = [question.id for question in benchmark.questions if texts[question.id]]
    write_rows(answers_path(folder, model), (answer_row(name, model, texts[name]) for name in answered))
    judged, rows = (score if config.mode == "single" else compare)(judges, benchmark, texts, model, folder)
    write_rows(judgments_path(folder, judges.name, config.mode), rows)
    categories = {question.id: question.category for question in benchmark.questions}
    result = replace(_result(judged, str(benchmark.source), categories, config), n_cut_off=n_cut_off)
    files = [answers_path(folder, model), judgments_path(folder, judges.name, config.mode)]
    return replace(result, files=[*files, write_result(folder, result, config)])


def _answers(
    engine: Engine | None, own: Answers | None, benchmark: Benchmark, folder: Path, config: Config
) -> tuple[Texts, int | None]:
    """Return the texts of the answers, and how many of the model's were cut off."""
    if own is not None:
        return own_texts_of(benchmark.questions, own), None
    turns = answer(engine, benchmark.questions, folder, config) if engine else []
    n_cut_off = sum(cut_off(response.finish_reason) is not None for turn in turns for response in turn.values())
    return texts_of(benchmark.questions, turns), n_cut_off


def _result(judged: Sequence[Scored | Compared], source: str, categories: dict[str, str], config: Config) -> Result:
    drawing = Drawing(config.resamples, config.seed)
    scores = scores_of([v for v in judged if isinstance(v, Scored)], categories, drawing)
    pairs = pair_scores_of([v for v in judged if isinstance(v, Compared)], drawing)
    return Result(judged[0].judge, source, scores, pairs)


def _plan(config: Config, benchmark: Benchmark, own: Answers | None, folder: Path) -> None:
    if own is None:
        check_engine(config.engine)
    with about_judge():
        check_engine(config.judge.engine_options(config.engine))
    n_turns = sum(len(question.turns) for question in benchmark.questions)
    turns = [] if own else turns_there(benchmark.questions, folder, config)
    texts = own_texts_of(benchmark.questions, own) if own else texts_of(benchmark.questions, turns)
    n_answers, n_games = sum(map(len, turns)), 1 if config.mode == "single" else 2
    n_judged = _n_judged(config, benchmark, own, texts, folder)
    print_plan(
        {
            "questions": len(benchmark.questions),
            "from": str(benchmark.source),
            "model": own.model if own else config.engine.model,
            "answers": 0 if own else n_turns - n_answers,
            "answers_there": n_answers,
            "judge": config.judge.engine_options(config.engine).model,
            "judge_calls": n_games * (n_turns - n_judged),
            "judge_calls_there": n_games * n_judged,
            "baseline": benchmark.baseline.model if benchmark.baseline else None,
            "results": str(folder),
        },
        config,
    )


def _n_judged(config: Config, benchmark: Benchmark, own: Answers | None, texts: Texts, folder: Path) -> int:
    """Return the number of turns that the judge has judged before."""
    kind = "judgments" if config.mode == "single" else "comparisons"
    if not any(texts.values()) or not any(folder.glob(f"{kind}-*.jsonl")):
        return 0
    model = own.model if own else open_engine(config.engine).name
    return n_verdicts_there(open_judges(config, None), benchmark, texts, model, folder)
