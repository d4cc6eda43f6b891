"""Say which of two answers is better, asked in both orders.

python -m judges.compare a.jsonl b.jsonl                        the answers of two models, joined by their prompts
python -m judges.compare pairs.jsonl --model gpt-5-mini --read text
python -m judges.compare a.jsonl b.jsonl --rubric pairwise_5    five levels instead of three
python -m judges.compare judgments.jsonl --rubric meta_judge    the replies of a judge, compared with one another

Where both orders name different winners the pair is a tie and marked as flipped. Stopped and started again, it goes on
where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from console.command import Flags, Given, run
from engines.options import EngineOptions, SharedEngineOptions
from judges.cost import CostOptions
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from judges.cost import Budget
    from judges.judge import Judge
    from judges.pairwise import Contest
    from records import Comparison

OUT = Path("runs/comparisons")
PAIRWISE = JudgeOptions(rubric="pairwise", samples=1)


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Say which of two answers is better."""

    a: Given = None
    """Answers, or a file that has two answers in each row."""
    b: Given = None
    """The answers to compare them with."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = PAIRWISE
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    orders: Literal["both", "one"] = "both"
    """one asks each pair in a single order, drawn from the seed and recorded: half the cost, and the judge's preference
    for a place stays in."""
    limit: int | None = None
    """Compare only the first N pairs."""
    out: Path | None = None
    """Where the comparisons go; the default is runs/comparisons/<files>-<judge fingerprint>.jsonl."""


def main(config: Config) -> None:
    """Read, compare, store and print a table."""
    from console.errors import InputError
    from engines.options import open_engine
    from judges.contests import read_contests
    from judges.cost import Budget, price_of
    from judges.judge import open_judge
    from judges.pairwise import both_orders_answered, compare_into
    from judges.rubric import load_rubric
    from records import Comparison, Store

    if config.a is None:
        raise InputError("nothing to compare; give two files of answers, or one of pairs")
    if config.limit is not None and config.limit < 1:
        raise InputError(f"--limit must be at least 1, not {config.limit}")
    rubric = load_rubric(config.judge.rubric)
    if rubric.kind != "pair":
        raise InputError(f"the rubric '{rubric.name}' scores one answer; compare with another one, such as pairwise")
    budget = Budget(config.cost, price_of(config.engine.model, config.cost.prices))
    contests = read_contests(config.a, config.b, rubric, strict=config.strict)[: config.limit]
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or _default_out(config, judge)
    if config.dry_run:
        _print_plan(judge, contests, config, out)
        return
    with Store(out, Comparison, keep=both_orders_answered, fresh=config.fresh) as store:
        rows = compare_into(store, judge, contests, "comparing", config.orders, budget)
    _report(rows, judge, budget, out, config)


def table_of(rows: "Sequence[Comparison]") -> "list[dict[str, Cell]]":
    """Return one table row for each two models that were compared; the win rate is b's."""
    from judges.pairwise import win_rate

    table: list[dict[str, Cell]] = []
    for a, b in dict.fromkeys((row.model_a, row.model_b) for row in rows):
        own = [row for row in rows if (row.model_a, row.model_b) == (a, b)]
        rate = win_rate(own)
        counts = {name: sum(row.winner == key for row in own) for name, key in (("a", "a"), ("tie", "tie"), ("b", "b"))}
        table.append(
            {
                "a": a,
                "b": b,
                "pairs": len(own),
                "a wins": counts["a"],
                "ties": counts["tie"],
                "b wins": counts["b"],
                "flipped": rate.n_flipped,
                "unscored": rate.n_unscored,
                "win rate of b, %": str(rate),
            }
        )
    return table


def _report(rows: "Sequence[Comparison]", judge: "Judge", budget: "Budget", out: Path, config: Config) -> None:
    import json
    from collections import Counter

    from console.table import print_table
    from judges.judge import require_coverage
    from judges.verdict import Masses

    table = table_of(rows)
    masses = Masses()
    for row in rows:
        masses.add(row.mass)
    if config.json:
        found: dict[str, Any] = {"pairs": table, "judge": judge.fingerprint, "out": str(out)}
        print(json.dumps(found | {"usage": budget.as_dict(), "mass": masses.as_dict()}, ensure_ascii=False, indent=1))
    else:
        print_table(table)
        one = "" if config.orders == "both" else ", each in one order only"
        print(f"\njudged by {judge.engine.name} on the rubric {judge.rubric.name}, read by {judge.read}{one}; {out}")
        if masses.n:
            print(masses)
        print(f"cost: {budget}")
    reasons = Counter(row.error or "unknown" for row in rows if row.winner is None)
    require_coverage(len(rows) - reasons.total(), len(rows), reasons, config.judge.min_coverage)


def _default_out(config: Config, judge: "Judge") -> Path:
    stems = [Path(str(path)).name.split(".")[0] for path in (config.a, config.b) if path]
    one = "" if config.orders == "both" else "-one"
    return OUT / f"{'-'.join(stems)}-{judge.fingerprint}{one}.jsonl"


def _print_plan(judge: "Judge", contests: "Sequence[Contest]", config: Config, out: Path) -> None:
    from judges.pairwise import first_request

    calls = len(contests) * judge.n_questions * (2 if config.orders == "both" else 1)
    print(f"would compare {len(contests)} pairs in {calls} calls to {judge.engine.name}")
    print(f"judge {judge.fingerprint}, rubric {judge.rubric.name}, read by {judge.read}; comparisons would go to {out}")
    print(f"\nthe first prompt:\n\n{first_request(judge, contests[0]).messages[0]['content']}")


if __name__ == "__main__":
    run(Config, main, "python -m judges.compare")
