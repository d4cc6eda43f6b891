"""Score every response in a file with a judge.

python -m judges.score                                        the newest run's responses, or else a packaged example
python -m judges.score answers.jsonl --limit 40 --out judgments.jsonl
python -m judges.score answers.json.gz --model Qwen/Qwen3-8B --read text --samples 3
python -m judges.score answers.csv --model gpt-5-mini --read structured --max-cost 2.50
python -m judges.score answers.jsonl --rubric criteria --judge iter1 --judge gpt-5-mini --judge big@http://host:8000/v1
python -m judges.score answers.jsonl --model gpt-5-mini --export-batch batch.jsonl

FILE has responses: this project's rows, alpaca_eval outputs, TRL conversations or pairs, CSV, Parquet, .gz of these,
or a hub data set. Stopped and started again, it goes on where it was.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from console.command import Flags, Given, run
from engines.options import EngineOptions, SharedEngineOptions
from judges.cost import CostOptions
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from judges.cost import Budget
    from judges.judge import Judge
    from judges.stream import Source, Summary

EXAMPLE = Path(__file__).parent / "example.jsonl"
OUT = Path("runs/scores")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score every response in a file."""

    file: Given = None
    """Responses to score; the default is the newest run's, or else a packaged example."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    limit: int | None = None
    """Score only the first N responses."""
    out: Path | None = None
    """Where the judgments go; the default is runs/scores/<file>-<judge fingerprint>.jsonl."""


def main(config: Config) -> None:
    """Read, judge, store and print a table."""
    from engines.options import open_engine
    from judges.cost import Budget, price_of
    from judges.judge import had_a_reply, open_judge
    from judges.stream import judge_stream, survey
    from records import Judgment, Store

    budget = Budget(config.cost, price_of(config.engine.model, config.cost.prices))
    source = survey(config.file or default_source(), config.limit, strict=config.strict)
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or OUT / f"{_stem(source.path)}-{judge.fingerprint}.jsonl"
    if config.dry_run:
        _print_plan(judge, source, out)
        return
    with Store(out, Judgment, keep=had_a_reply, fresh=config.fresh) as store:
        summary = judge_stream(store, source, judge, budget, f"judging {Path(source.path).name}")
    report(summary, judge, budget, out, config)


def default_source() -> Path:
    """Return the newest run's last responses, or the packaged example where there is no run."""
    from records.runs import newest_run

    latest_run = newest_run()
    return (latest_run and latest_run.newest("responses.jsonl")) or EXAMPLE


def table_of(summary: "Summary") -> "list[dict[str, Cell]]":
    """Return one table row for each model that wrote responses."""
    return [
        {
            "model": name,
            "responses": model.n,
            "unscored": model.n_unscored,
            "mean score": model.mean if model.n > model.n_unscored else None,
            "sd": model.deviation if model.n > model.n_unscored else None,
            "mean chars": model.n_chars / model.n,
        }
        for name, model in summary.models.items()
    ]


def report(summary: "Summary", judge: "Judge", budget: "Budget", out: Path, config: Config) -> None:
    """Print the result; raises JudgeError where too few answers have a verdict."""
    import json

    from console.progress import say
    from console.table import print_table
    from judges.judge import require_coverage

    for line in summary.unscored:
        say(f"unscored: {line}")
    if (n_more := summary.reasons.total() - len(summary.unscored)) > 0:
        say(f"unscored: {n_more} more; each row has its reason in 'error'")
    table = table_of(summary)
    if config.json:
        found: dict[str, Any] = {"models": table, "judge": judge.fingerprint, "out": str(out)}
        found |= {"usage": budget.as_dict(), "mass": summary.masses.as_dict()}
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        print_table(table)
        low, high = judge.rubric.scale
        scale = f"{low:g} to {high:g}"
        print(
            f"\njudged by {judge.engine.name} on the rubric {judge.rubric.name}, {scale}, read by {judge.read}; {out}"
        )
        if summary.masses.n:
            print(summary.masses)
        print(f"cost: {budget}")
    require_coverage(summary.n_scored, summary.n, summary.reasons, config.judge.min_coverage)


def _print_plan(judge: "Judge", source: "Source", out: Path) -> None:
    calls = source.n * judge.n_questions
    print(f"would judge {source.n} responses of {source.path} in {calls} calls to {judge.engine.name}")
    print(f"judge {judge.fingerprint}, rubric {judge.rubric.name}, read by {judge.read}; judgments would go to {out}")
    _, first = next(source.responses())
    print(f"\nthe first prompt:\n\n{judge.request(first).messages[0]['content']}")


def _stem(source: str | Path) -> str:
    name = Path(source).name.split(".")[0]
    parent = Path(source).parent.name
    return f"{parent}-{name}" if name in ("responses", "model_outputs") else name


if __name__ == "__main__":
    run(Config, main, "python -m judges.score")
