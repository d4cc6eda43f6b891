"""The record and the tables of evals.human."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from console.output import tell, tell_json
from console.table import Cell, print_table
from evals.human.figures import Figures
from judges.intervals.bootstrap import Estimate
from records import write_atomic

FILE = "human.json"


def write_result(out: Path, matches: Sequence[Figures]) -> Path:
    """Write human.json and return its path."""
    data = {"matches": [asdict(match) for match in matches]}
    write_atomic(out / FILE, msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return out / FILE


def print_result(matches: Sequence[Figures], path: Path, *, as_json: bool) -> None:
    """Print the tables, or the data."""
    if as_json:
        tell_json({"matches": [asdict(match) for match in matches], "files": [str(path)]})
        return
    print_table([_rates(match) for match in matches])
    tell()
    print_table(_with_all_columns([_agreement(match) for match in matches]))
    tell(
        "",
        "win rates in percent, of the second model; in brackets 95% intervals over",
        "prompts. corrected: the judge's rate on all comparisons, corrected for its",
        "errors on those with votes. more votes: prompts until the interval of people's",
        "rate would leave out 50 %, if the rate stays as it is.",
        "",
        f"all figures: {path}",
    )


def _rates(match: Figures) -> dict[str, Cell]:
    return {
        "match": f"{match.second} over {match.first}",
        "judge": match.judge[:8],
        "prompts": match.n_prompts,
        "people": _percent(match.by_people),
        "judge, same": _percent(match.by_judge),
        "judge, all": _percent(match.by_judge_all),
        "corrected": _percent(match.corrected),
        "more votes": "?" if match.n_more is None else match.n_more,
    }


def _with_all_columns(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """Return rows that share their columns: a match with one voter has no agreement between voters."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def _agreement(match: Figures) -> dict[str, Cell]:
    judged = {f"judge: {measure.name}": _number(measure) for measure in match.with_judge}
    between = {measure.name: _number(measure) for measure in match.with_each_other}
    title = f"{match.second} over {match.first}"
    return {"match": title, "judge": match.judge[:8], "votes": match.n_votes, **judged, **between}


def _percent(share: Estimate) -> str | None:
    if share.value is None:
        return None
    ends = "" if share.low is None or share.high is None else f" [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"{100 * share.value:.1f}{ends}"


def _number(measure: Estimate) -> str | None:
    if measure.value is None:
        return None
    ends = "" if measure.low is None or measure.high is None else f" [{measure.low:.2f}, {measure.high:.2f}]"
    return f"{measure.value:.2f}{ends}"
