"""The plan, the record and the tables of evals.factuality."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from console.output import tell, tell_json, tell_plan
from console.table import Cell, print_table
from engines.options import EngineOptions
from evals.comparing.changing import change_text, changes, percent, without_values
from evals.factuality.figures import Figures
from evals.factuality.options import Config
from evals.factuality.sides import Side
from judges.intervals.bootstrap import Estimate, Floats
from judges.tools.evidence import calls_for_claims
from records import write_atomic

FILE = "factuality.json"
NOTES = (
    "FActScore: the share of an answer's claims that the corpus supports, lower for",
    "fewer than ten claims, over the answers with claims. Supported: without that",
    "penalty. F1@{k}: it and the number of supported claims, of which {k} are full",
    "recall, over all answers. A claim that the corpus says nothing of is not",
    "supported. In brackets 95% intervals over prompts.",
)


@dataclass(frozen=True)
class CheckedBy:
    """Who listed and verified the claims, and where they were looked up."""

    model: str
    fingerprint: str
    corpus: str


def print_plan(
    config: Config, sides: Sequence[Side], judge: EngineOptions | None, n_prompts: int, there: Mapping[str, int]
) -> None:
    """Print what would be asked, at most: each answer then has as many claims, and each claim as many passages.

    `there` has by the name of each side the answers that a file has or a model has written before.
    """
    n_wanted = n_prompts * sum(side.options is not None for side in sides)
    n_written = sum(there[side.name] for side in sides if side.options is not None)
    n = n_wanted + sum(there.values()) - n_written
    plan: dict[str, Any] = {
        "models": [side.name for side in sides],
        "judge": judge.model if judge else None,
        "corpus": str(config.facts.corpus),
        "answers": n_wanted - n_written,
        "answers_there": dict(there),
        "judge_calls": calls_for_claims(config.facts.evidence_options(), n).get("calls_for_claims", 0),
    }
    named = ", ".join(f"{name} {number}" for name, number in there.items())
    calls = f"{plan['judge_calls']} at most"
    shown = plan | {"models": ", ".join(plan["models"]), "answers_there": named, "judge_calls": calls}
    tell_plan(plan, *(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()), as_json=config.json)


def write_result(folder: Path, figures: Figures, by: CheckedBy) -> Path:
    """Write factuality.json, with all figures of one model, and return its path."""
    data = {"judge": asdict(by), **without_values(figures)}
    write_atomic(folder / FILE, msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return folder / FILE


def print_result(
    figures: Sequence[Figures], by: CheckedBy, files: Sequence[Path], weights_BN: Floats, *, as_json: bool
) -> None:
    """Print a row for each model, and what changed from the first to the last."""
    first, last = figures[0], figures[-1]
    changed = changes(first.values, last.values, weights_BN) if len(figures) > 1 else []
    if as_json:
        data = {
            "judge": asdict(by),
            "models": list(map(without_values, figures)),
            "changes": list(map(asdict, changed)),
        }
        tell_json(data | {"files": list(map(str, files))})
        return
    print_table([_row(of_model) for of_model in figures])
    tell("", *(line.format(k=first.k) for line in NOTES))
    if changed:
        tell("", f"{last.model} against {first.model}, on the prompts that both answered:")
        print_table([_change(change) for change in changed])
    for of_model in figures:
        if of_model.reasons:
            reason, n = Counter(of_model.reasons).most_common(1)[0]
            tell("", f"{of_model.model}: {of_model.n_unchecked} answers not checked, {n} of them: {reason}")
    tell("", f"checked by {by.model} ({by.fingerprint}) in {by.corpus}")
    tell("files:", *(f"  {path}" for path in files))


def _row(figures: Figures) -> dict[str, Cell]:
    n_claims = figures.n_claims.value
    return {
        "model": figures.model,
        "FActScore, %": percent(figures.factscore),
        f"F1@{figures.k}, %": percent(figures.f1),
        "supported, %": percent(figures.supported),
        "refuted, %": percent(figures.refuted),
        "answers with claims, %": percent(figures.responds),
        "claims per answer": None if n_claims is None else f"{n_claims:.1f}",
        "prompts": figures.n_prompts,
        "unanswered": figures.n_unanswered,
        "not checked": figures.n_unchecked,
        "claims without verdict": figures.n_claims_unchecked,
        "claims from sentences": figures.n_from_sentences,
        "more claims than checked": figures.n_cut,
    }


def _change(change: Estimate) -> dict[str, Cell]:
    is_count = change.name.startswith("claims")
    text = change_text(change, 1) if is_count else f"{change_text(change)} points"
    return {"": change.name, "change": text, "prompts": change.n}
