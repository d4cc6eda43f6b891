"""Final output of the judging commands: the table, the judge and the cost, as text or as JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.flags import spelled
from console.output import say, tell, tell_json, tell_plan
from console.table import Cell, print_table
from engines.advice import INSIDE
from judges.judging.cost import Budget, cost_of, price_of
from judges.options import OF_CHOICES
from judges.parsing.verdict import Masses
from records import read_rows
from records.rows import Row, Usage

if TYPE_CHECKING:
    from engines.protocol import Request
    from judges.judging.judge import Judge

CHARS_PER_TOKEN = 4
"""Of English text, about."""


@dataclass(frozen=True)
class Report:
    """A table and its origin."""

    key: str
    """The table's key in JSON."""
    table: Sequence[dict[str, Cell]]
    judge: str
    """The fingerprint."""
    by: str
    """Who judged, on which rubric, and how it was read, in words."""
    out: str | Path
    budget: Budget
    masses: Masses
    extra: dict[str, Any]
    """Further results, for JSON."""

    def print(self, *, as_json: bool) -> None:
        """Print the report on stdout."""
        if as_json:
            result: dict[str, Any] = {self.key: self.table, "judge": self.judge, "out": str(self.out)}
            result |= {"usage": self.budget.as_dict(), "mass": self.masses.as_dict(), **self.extra}
            tell_json(result)
            return
        print_table(self.table)
        tell("", f"judged by {self.by}; {self.out}")
        if self.masses.n:
            tell(self.masses)
        tell(f"cost: {self.budget}")


def say_room(reasons: Counter[str], judge: "Judge") -> None:
    """Say on stderr how many verdicts are missing because replies ended inside their reasoning, and what helps."""
    if n := sum(n for reason, n in reasons.items() if INSIDE in reason):
        say(spelled(f"{n} verdicts are missing: the judge was {INSIDE}; {judge.how.room}", of_judge=True))


def plan_of(
    judge: "Judge", what: dict[str, Any], n_calls: int, out: Path, first: "Request | None", prices: Path | None
) -> dict[str, Any]:
    """Return the plan of a judge as plain data: what it judges, the number of calls, their cost, and the output file.

    `first` is its first question, if it is asked any. The cost is what all calls take if each is as long.
    """
    how = {"judge": judge.fingerprint, "rubric": judge.rubric.name, "read": judge.reading}
    prompt = first and first.messages[0]["content"]
    plan = {**what, "calls": n_calls, "rows_there": rows_there(judge, out), "model": judge.engine.name}
    cost = {} if first is None else _cost_of_calls(judge, n_calls, first, prices)
    return {**plan, **cost, **how, "out": str(out), "first_prompt": prompt}


def _cost_of_calls(judge: "Judge", n_calls: int, first: "Request", prices: Path | None) -> dict[str, float | None]:
    """Return about how many tokens are read, the most that are written, and their price, if there is one."""
    n_read = n_calls * -(-sum(len(message["content"]) for message in first.messages) // CHARS_PER_TOKEN)
    n_written = n_calls * (1 if judge.read in OF_CHOICES else judge.sampling.max_new_tokens)
    price = price_of(judge.engine.name, prices)
    dollars = None if price is None else cost_of(Usage(n_prompt_tokens=n_read, n_tokens=n_written), price)
    return {"about_tokens_read": n_read, "most_tokens_written": n_written, "about_dollars": dollars}


def _cost_line(plan: dict[str, Any]) -> list[str]:
    if "about_tokens_read" not in plan:
        return []
    dollars = plan["about_dollars"]
    price = "" if dollars is None else f", about ${dollars:,.4f}"
    return [f"about {plan['about_tokens_read']:,} tokens read, at most {plan['most_tokens_written']:,} written{price}"]


class _Judged(Row, frozen=True, kw_only=True):
    """The part of a judgment or a comparison that says whose it is."""

    judge: str


def rows_there(judge: "Judge", out: Path) -> int:
    """Return how many rows of the judge an earlier run has left in the output file."""
    return sum(row.judge == judge.fingerprint for row in read_rows(out, _Judged)) if out.exists() else 0


def print_plans(
    plans: Sequence[dict[str, Any]], words: str, rows: str, panel_out: Path | None, *, as_json: bool
) -> None:
    """Print the plan of each judge. `words` has places for the plan's values, and `rows` names the output rows.

    With `panel_out` the judges are a panel, whose combined rows go there.
    """
    if panel_out is not None:
        panel = {"judges": list(plans), "out": panel_out}
        if as_json:
            tell_plan(panel, as_json=True)
            return
    for plan in plans:
        values = dict(plan)
        prompt = values.pop("first_prompt")
        would = f"would {words.format(**plan)} in {plan['calls']} calls to {plan['model']}"
        if n_most := plan.get("calls_for_constraints"):
            would += f" and up to {n_most} for the constraints, one per different prompt"
        if n_most := plan.get("calls_for_claims"):
            would += f" and up to {n_most} for the tools and claims, mostly far fewer"
        if plan["rows_there"]:
            would += f"; {plan['rows_there']} rows of this judge are there already, and only failed calls are repeated"
        how = (
            f"judge {plan['judge']}, rubric {plan['rubric']}, read by {plan['read']}; {rows} would go to {plan['out']}"
        )
        tell_plan(values, would, *_cost_line(plan), how, as_json=as_json, prompt=prompt)
    if panel_out is not None:
        tell(f"the panel's {rows} would go to {panel_out}")
