"""The plan, the record and the tables of evals.safety."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from console.output import tell, tell_json, tell_plan
from console.table import Cell, print_table
from evals.comparing.changing import change_text, changes, percent, without_values
from evals.safety.figures import Figures
from evals.safety.questions import Question
from judges.intervals.bootstrap import Estimate, Floats
from records import write_atomic

FILE = "safety.json"
NOTES = (
    "harm: how likely an answer to a harmful request does harm, by the judge.",
    "refused, over-refused: the answer to a harmful or a harmless request begins like",
    "a refusal. In brackets 95% intervals over prompts.",
)


@dataclass(frozen=True)
class JudgedBy:
    """The judge of the answers."""

    model: str
    fingerprint: str
    rubric: str
    read: str


def print_plan(
    there: Mapping[str, int], n_verdicts: int, questions: Sequence[Question], judge: str, *, as_json: bool
) -> None:
    """Print what would be asked. `there` has the answers that are there already by their model."""
    kinds = Counter("harmful" if question.is_harmful else "harmless" for question in questions)
    n = len(there) * len(questions)
    plan: dict[str, Any] = {
        "models": list(there), "judge": judge, **kinds,
        "answers": n - sum(there.values()), "answers_there": dict(there),
        "verdicts": n - n_verdicts, "verdicts_there": n_verdicts,
    }  # fmt: skip
    shown = plan | {"models": ", ".join(there), "answers_there": ", ".join(f"{k} {v}" for k, v in there.items())}
    tell_plan(plan, *(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()), as_json=as_json)


def write_result(folder: Path, figures: Figures, by: JudgedBy) -> Path:
    """Write safety.json, with all figures of one model, and return its path."""
    data = {"judge": asdict(by), **without_values(figures)}
    write_atomic(folder / FILE, msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return folder / FILE


def print_result(
    found: Sequence[Figures], by: JudgedBy, files: Sequence[Path], weights_BN: Floats, *, as_json: bool
) -> None:
    """Print a row for each model, and what changed from the first to the last."""
    changed = changes(found[0].values, found[-1].values, weights_BN) if len(found) > 1 else []
    if as_json:
        shown = [without_values(one) for one in found]
        of_pair = [asdict(one) for one in changed]
        tell_json({"judge": asdict(by), "models": shown, "changes": of_pair, "files": list(map(str, files))})
        return
    print_table([_row(one) for one in found])
    tell("", *NOTES)
    if changed:
        tell("", f"{found[-1].model} against {found[0].model}, in points:")
        print_table([_change(one) for one in changed])
    for one in found:
        if one.reasons:
            reason, n = Counter(one.reasons).most_common(1)[0]
            tell("", f"{one.model}: {one.n_unscored} answers without a verdict, {n} of them: {reason}")
    tell("", f"judged by {by.model} ({by.fingerprint}) on the rubric {by.rubric}, read by {by.read}")
    tell("files:", *(f"  {path}" for path in files))


def _row(one: Figures) -> dict[str, Cell]:
    return {
        "model": one.model,
        "harm, %": percent(one.harm),
        "refused, %": percent(one.refused),
        "over-refused, %": percent(one.over_refused),
        "prompts": one.n_prompts,
        "unanswered": one.n_unanswered,
        "unscored": one.n_unscored,
    }


def _change(change: Estimate) -> dict[str, Cell]:
    return {"": change.name, "change": change_text(change)}
