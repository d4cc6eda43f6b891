"""Score every response in a file with a judge.

python -m judges.score                                        the newest run's responses, or else a packaged example
python -m judges.score answers.jsonl --limit 40 --out judgments.jsonl
python -m judges.score answers.json.gz --model Qwen/Qwen3-8B --read text --samples 3
python -m judges.score answers.csv --model gpt-5-mini --base-url http://localhost:8000/v1 --read text

FILE has responses: this project's rows, alpaca_eval outputs, TRL conversations or pairs, CSV, Parquet, .gz of these,
or a hub data set. Stopped and started again, it goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import Flags, Given, run
from console.errors import InputError
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from judges.judge import Judge
    from records import Judgment, Response

EXAMPLE = Path(__file__).parent / "example.jsonl"
OUT = Path("runs/scores")
SHOWN_UNSCORED = 10


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score every response in a file."""

    file: Given = None
    """Responses to score; the default is the newest run's, or else a packaged example."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    limit: int | None = None
    """Score only the first N responses."""
    out: Path | None = None
    """Where the judgments go; the default is runs/scores/<file>-<judge fingerprint>.jsonl."""


def main(config: Config) -> None:
    """Read, judge, store and print a table."""
    from engines.options import open_engine
    from judges.judge import check_coverage, had_a_reply, judge_into, open_judge
    from records import Judgment, Store

    source = config.file or default_source()
    located = load_responses(source, config.limit, strict=config.strict)
    responses = [response for _, response in located]
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or OUT / f"{_stem(source)}-{judge.fingerprint}.jsonl"
    if config.dry_run:
        _print_plan(judge, responses, source, out)
        return
    with Store(out, Judgment, keep=had_a_reply, fresh=config.fresh) as store:
        judgments = judge_into(store, judge, responses, f"judging {source.name}")
    _say_unscored(judgments, {response.id: place for place, response in located})
    _print_result(judgments, judge, out, as_json=config.json)
    check_coverage(judgments, config.judge.min_coverage)


def default_source() -> Path:
    """Return the newest run's last responses, or the packaged example where there is no run."""
    from records.runs import newest_run

    latest_run = newest_run()
    return (latest_run and latest_run.newest("responses.jsonl")) or EXAMPLE


def load_responses(source: str | Path, limit: int | None, *, strict: bool) -> "list[tuple[str, Response]]":
    """Return the first `limit` responses in `source`, each after its place there; the same one twice counts once.

    Raises InputError where there is none.
    """
    from console.progress import say
    from records.files import BadRows
    from records.shapes import located_responses

    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")
    found = list(islice(located_responses(source, BadRows(strict=strict)), limit))
    once = {response.id: (place, response) for place, response in reversed(found)}
    if len(once) < len(found):
        say(f"{source}: {len(found) - len(once)} of {len(found)} responses repeat another one and count once")
    return list(reversed(once.values()))


def summary(judgments: "Sequence[Judgment]") -> "list[dict[str, Cell]]":
    """Return one table row for each model that wrote responses."""
    table: list[dict[str, Cell]] = []
    for model in dict.fromkeys(judgment.model for judgment in judgments):
        own = [judgment for judgment in judgments if judgment.model == model]
        scores = [judgment.score for judgment in own if judgment.score is not None]
        table.append(
            {
                "model": model,
                "responses": len(own),
                "unscored": len(own) - len(scores),
                "mean score": fmean(scores) if scores else None,
                "sd": pstdev(scores) if scores else None,
                "mean chars": fmean(len(judgment.response) for judgment in own),
            }
        )
    return table


def _say_unscored(judgments: "Sequence[Judgment]", places: dict[str, str]) -> None:
    from console.progress import say

    unscored = [judgment for judgment in judgments if judgment.score is None]
    for judgment in unscored[:SHOWN_UNSCORED]:
        say(f"unscored: {places[judgment.response_id]}: {judgment.error}")
    if len(unscored) > SHOWN_UNSCORED:
        say(f"unscored: {len(unscored) - SHOWN_UNSCORED} more; each row has its reason in 'error'")


def _print_result(judgments: "Sequence[Judgment]", judge: "Judge", out: Path, *, as_json: bool) -> None:
    import json

    from console.table import print_table

    table = summary(judgments)
    if as_json:
        print(json.dumps({"models": table, "judge": judgments[0].judge, "out": str(out)}, ensure_ascii=False, indent=1))
        return
    print_table(table)
    scale = f"{judge.rubric.low:g} to {judge.rubric.high:g}"
    print(f"\njudged by {judge.engine.name} on the rubric {judge.rubric.name}, {scale}, read by {judge.read}; {out}")


def _print_plan(judge: "Judge", responses: "Sequence[Response]", source: str | Path, out: Path) -> None:
    calls = len(responses) * (judge.samples if judge.read == "text" else 1)
    print(f"would judge {len(responses)} responses of {source} in {calls} calls to {judge.engine.name}")
    print(f"judge {judge.fingerprint}, rubric {judge.rubric.name}, read by {judge.read}; judgments would go to {out}")
    print(f"\nthe first prompt:\n\n{judge.request(responses[0]).messages[0]['content']}")


def _stem(source: str | Path) -> str:
    name = Path(source).name.split(".")[0]
    parent = Path(source).parent.name
    return f"{parent}-{name}" if name in ("responses", "model_outputs") else name


if __name__ == "__main__":
    run(Config, main, "python -m judges.score")
