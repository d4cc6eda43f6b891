"""AlpacaEval 2 (and 1): how often a judge prefers a model's answers to the baseline's.

python -m evals.alpaca --model iter3                                     answers, judges, writes the leaderboard row
python -m evals.alpaca --model iter3 --judge-model gpt-5-mini --judge-base-url http://localhost:8000/v1
python -m evals.alpaca --model iter3 --prompts prompts.jsonl --reference baseline_outputs.json --limit 40
python -m evals.alpaca --annotations annotations.json.gz --df-gamed df_gamed.csv        scores them again, no model

Prompts and the baseline's answers come from the hub (tatsu-lab/alpaca_eval). Where it cannot be reached, the held-out
prompts of the run stand in, with iter0 as the baseline. Results go to runs/<run>/evals/<model>/alpaca_eval/ in
alpaca_eval's own formats: model_outputs.json, annotations.json, leaderboard.csv. Stopped and started again, it goes on.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from console.again import starts_again
from console.command import Flags, run
from console.errors import InputError
from console.flags import about_judge
from console.output import tell, tell_json
from console.ranges import Count, NotNegative, ShareAbove0
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions, is_iteration, pinned
from evals.alpaca.options import AlpacaVersion, JudgeFlags, SharedJudgeFlags

if TYPE_CHECKING:
    from console.table import Cell
    from engines.protocol import Sampling
    from evals.alpaca.format import Annotation
    from evals.alpaca.metrics import Metrics
    from evals.alpaca.sources import Benchmark, LengthFiles
    from records.runs import Run

BENCHMARK = "alpaca_eval"
USUAL_ANSWER_TOKENS = 2048  # what most models of the leaderboard were run with
SHOWN_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare a model's answers with a baseline's, as AlpacaEval does."""

    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: SharedJudgeFlags = field(default_factory=JudgeFlags)
    prompts: Path | None = None
    """Prompts to answer; the default is those of --reference, or else AlpacaEval's 805."""
    reference: Path | None = None
    """The baseline's answers, in any format that has responses; the default is the hub's."""
    version: AlpacaVersion = 2
    """2 compares with gpt4_1106_preview, 1 with text_davinci_003 (from the hub)."""
    max_new_tokens: Count | None = None
    """The longest answer; the default is where the baseline's were cut off, or else 2048."""
    temperature: NotNegative = 0.7
    """Of the answers; 0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    """Of the answers."""
    limit: Count | None = None
    """Only the first N prompts or annotations."""
    out: OutFolder | None = None
    """The folder of the results; the default is runs/<run>/evals/<model>/alpaca_eval, or
    alpaca_eval-<file>-<digest of its path> for files of one's own."""
    annotations: Path | None = None
    """Score these stored annotations again instead, with no model; writes only with --out."""
    annotator: str | None = None
    """Of --annotations by several annotators, take only this one's."""
    df_gamed: Path | None = None
    """The hub's df_gamed.csv, for the length-controlled win rate; the default lies beside the annotations."""
    instruction_difficulty: Path | None = None
    """The hub's instruction_difficulty.csv: df_gamed.csv is checked against it."""


@dataclass(frozen=True)
class Result:
    """What was measured, and on what."""

    annotations: "list[Annotation]"
    metrics: "Metrics"
    n_truncated: int | None = None
    """Answers of the model that were cut off; None where nobody recorded it."""


@starts_again
def main(config: Config) -> None:
    """Answer, compare, score, and print the leaderboard row."""
    judge = pinned(config.judge.engine_options(pinned(config.engine)))  # of the same run, chosen once
    config = replace(config, engine=replace(config.engine, run=config.engine.run or judge.run))
    from evals.alpaca.judging import check_coverage, check_judge_flags
    from records.files import check_limit

    check_limit(config.limit)
    check_judge_flags(config.judge)
    if config.annotator is not None and config.annotations is None:
        raise InputError("--annotator chooses among --annotations; give them too")
    result = score_stored(config) if config.annotations else evaluate(config)
    if result is None:
        return
    _print_result(result, config)
    reasons = [row.error or "unknown" for row in result.annotations if row.preference is None]
    check_coverage(result.metrics.n_total, reasons, config.judge.min_coverage)


def score_stored(config: Config) -> Result | None:
    """Return the score of stored annotations; None with --dry-run. Asks no model."""
    from evals.alpaca.format import read_annotations
    from evals.alpaca.metrics import score, write_leaderboard
    from evals.alpaca.rows import each_once, say_missing
    from records.files import BadRows

    path = config.annotations or Path()
    whole = each_once(read_annotations(path, BadRows(strict=config.strict), config.annotator), path)
    if config.limit is None:
        say_missing(whole, path)
    annotations = whole[: config.limit]
    if config.dry_run:
        plan: dict[str, Cell] = {"annotations": len(annotations), "from": str(path), "calls": 0}
        _print_plan({**plan, "leaderboard": str(config.out / "leaderboard.csv") if config.out else None}, config.json)
        return None
    metrics = score(annotations, _length_files(config), [path])
    if config.out:
        write_leaderboard(config.out / "leaderboard.csv", annotations[0].generator_2, metrics)
    return Result(annotations, metrics)


def evaluate(config: Config) -> Result | None:
    """Return how the model does against the baseline, all files written; None with --dry-run."""
    from engines.protocol import Sampling
    from evals.alpaca.sources import load_benchmark
    from records.files import BadRows

    latest = _run_of(config.engine)
    bad = BadRows(strict=config.strict)
    benchmark = load_benchmark(config.prompts, config.reference, config.version, latest, bad).first(config.limit)
    tokens = config.max_new_tokens or benchmark.answer_limit or USUAL_ANSWER_TOKENS
    sampling = Sampling(tokens, config.temperature, config.top_p)
    folder = config.out or _folder(config, latest)
    if config.dry_run:
        _check_models(config)
        _print_plan(_plan(config, benchmark, sampling, folder), config.json)
        return None
    return _evaluate(config, benchmark, sampling, folder)


def _evaluate(config: Config, benchmark: "Benchmark", sampling: "Sampling", folder: Path) -> Result:
    from engines.options import open_engine
    from evals.alpaca.format import keep_apart, write_json
    from evals.alpaca.judging import open_pairwise_judge
    from evals.alpaca.metrics import score, write_leaderboard
    from evals.alpaca.stages import annotate, answer, model_outputs
    from records.finish import cut_off
    from records.store import set_aside

    engine = open_engine(config.engine)
    model = engine.name
    answers = answer(engine, benchmark, sampling, folder, seed=config.seed, fresh=config.fresh)
    keep_apart(folder / "model_outputs.json", generator=model)
    write_json(folder / "model_outputs.json", model_outputs(benchmark, answers))
    shared = config.judge.engine_options(config.engine) == config.engine
    _say_who_judges(config)
    kept = engine if shared else None
    del engine  # two models at once may not fit
    judge = open_pairwise_judge(config.judge, config.engine, kept, config.seed)
    annotations = annotate(judge, benchmark, answers, model, folder, fresh=config.fresh)
    first = annotations[0]
    names = {"generator_1": first.generator_1, "generator_2": first.generator_2, "annotator": first.annotator}
    if keep_apart(folder / "annotations.json", **names):
        set_aside(folder / "leaderboard.csv")
    write_json(folder / "annotations.json", annotations)
    near = [folder / "annotations.json", *([config.reference] if config.reference else [])]
    metrics = score(annotations, _length_files(config), near)
    write_leaderboard(folder / "leaderboard.csv", model, metrics)
    return Result(annotations, metrics, sum(cut_off(found.finish_reason) is not None for found in answers.values()))


def _run_of(options: EngineOptions) -> "Run | None":
    """Return the run that is asked for, or the newest; None where there is no run and none is needed."""
    from records.runs import find_run, newest_run

    return find_run(options.run) if options.run or is_iteration(options) else newest_run()


def _folder(config: Config, latest: "Run | None") -> Path:
    """Return the folder of the results; prompts or a baseline of one's own have one, and so has version 1."""
    from records.inputs import output_name
    from records.names import folder_name
    from records.runs import RUNS

    root = latest.folder if latest and is_iteration(config.engine) else RUNS
    own = [output_name(path) for path in (config.prompts, config.reference) if path]
    version = [] if own or config.version == 2 else [str(config.version)]
    return root / "evals" / folder_name(config.engine.model) / "-".join([BENCHMARK, *own, *version])


def _length_files(config: Config) -> "LengthFiles":
    from evals.alpaca.sources import LengthFiles

    return LengthFiles(config.df_gamed, config.instruction_difficulty)


def _check_models(config: Config) -> None:
    """Raise InputError where the model, its judge or the judge's rubric is not there."""
    from engines.options import check_engine

    check_engine(config.engine)
    with about_judge():
        check_engine(config.judge.engine_options(config.engine))


def _say_who_judges(config: Config) -> None:
    from console.progress import say

    if not config.judge.is_given():
        say(f"the judge is the evaluated model itself, {config.engine.model}; name another with --judge-model")


def _plan(config: Config, benchmark: "Benchmark", sampling: "Sampling", folder: Path) -> "dict[str, Cell]":
    return {
        "prompts": len(benchmark.prompts),
        "from": benchmark.source,
        "baseline": benchmark.baseline[0].model,
        "model": config.engine.model,
        "answers": len(benchmark.prompts),
        "max new tokens": sampling.max_new_tokens,
        "judge": config.judge.engine_options(config.engine).model,
        "rubric": config.judge.judge_rubric,
        "judge calls": 2 * len(benchmark.prompts),
        "results": str(folder),
    }


def _print_plan(plan: "dict[str, Cell]", as_json: bool) -> None:
    if as_json:
        tell_json(plan)
    else:
        tell(*(f"{name}: {value}" for name, value in plan.items()))


def _print_result(result: Result, config: Config) -> None:
    from console.progress import say
    from console.table import print_table
    from evals.alpaca.metrics import win_rate_interval
    from evals.alpaca.rows import completeness, missing
    from judges.judging.pairwise import flip_warning

    first, metrics = result.annotations[0], result.metrics
    unscored = [row for row in result.annotations if row.preference is None]
    names: dict[str, Cell] = {"model": first.generator_2, "baseline": first.generator_1}
    flips = [row.flipped for row in result.annotations if row.flipped is not None]
    if warning := flip_warning(f"{first.generator_2} against {first.generator_1}", sum(flips), len(flips)):
        say(warning)
    share = 100 * sum(flips) / len(flips) if flips else None
    if config.json:
        counts: dict[str, Any] = {"n_unscored": len(unscored), "n_truncated": result.n_truncated}
        counts |= {"interval": win_rate_interval(metrics), "n_flipped": sum(flips), "n_both_orders": len(flips)}
        counts |= {"n_rows": len(result.annotations), "missing": missing(result.annotations)}
        tell_json({**names, "annotator": first.annotator, **vars(metrics), **counts})
        return
    print_table(
        [{**names, **_row(metrics), "flipped": share, "unscored": len(unscored), "cut off": result.n_truncated}]
    )
    for row in unscored[:SHOWN_REASONS]:
        say(f"unscored: {shorten(row.instruction or '', 60)}: {row.error}")
    share_of_set = completeness(result.annotations)
    on = f", on {share_of_set}" if share_of_set else ""
    tell("", f"in percent, judged by {first.annotator}{on}{_files(config)}")


def _row(metrics: "Metrics") -> "dict[str, Cell]":
    from evals.alpaca.metrics import win_rate_interval

    ends = win_rate_interval(metrics)
    return {
        "win rate": metrics.win_rate,
        "95% interval": ends and f"{ends[0]:.2f} to {ends[1]:.2f}",
        "standard error": metrics.standard_error,
        "length-controlled": metrics.length_controlled_winrate,
        "wins": metrics.n_wins,
        "losses": metrics.n_wins_base,
        "draws": metrics.n_draws,
        "mean chars": metrics.avg_length,
    }


def _files(config: Config) -> str:
    if config.annotations:
        return f"; leaderboard: {config.out / 'leaderboard.csv'}" if config.out else ""
    return (
        f"; results: {config.out or _folder(config, _run_of(config.engine) if is_iteration(config.engine) else None)}"
    )


if __name__ == "__main__":
    run(Config, main, "python -m evals.alpaca")
