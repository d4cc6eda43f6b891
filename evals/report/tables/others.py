"""The tables of monitors, benchmarks, reasons and settings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evals.report.facts.run import RunFacts
from evals.report.tables.table import Row, Table, known, table_of, whole

SMALLEST = 5e-4
MONITORS = {
    "mean_chars": "characters an answer",
    "mean_tokens": "tokens an answer",
    "mean_score": "mean score by its own judge",
    "length_score": "length against score, Spearman",
    "top_score": "share of the top score",
    "inflation": "score inflation",
    "unscored": "share without a score",
    "truncated": "share cut off",
    "refused": "share refused",
    "distinct_2": "distinct bigrams",
    "self_bleu": "self-BLEU",
    "repetition": "repetition",
    "judge_accuracy": "judge's accuracy on labelled pairs",
    "kl": "KL to iter0, nats a token",
}


def monitors_table(runs: Sequence[RunFacts]) -> Table:
    """Return a row for each monitor and a column for each iteration."""
    columns = [
        (f"{facts.name} {name}" if len(runs) > 1 else name, held.monitors)
        for facts in runs
        for name, held in facts.held_out.items()
        if held.monitors
    ]
    rows: list[Row] = [
        {"monitor": title, **{column: _value(monitors.get(name)) for column, monitors in columns}}
        for name, title in MONITORS.items()
    ]
    rows = [row for row in rows if any(value is not None for column, value in row.items() if column != "monitor")]
    note = "They tell a better model from one that has learnt to please its judge."
    if any(row["monitor"] == MONITORS["inflation"] for row in rows):
        note += (
            " Score inflation: the mean score by the judge that makes the pairs, less that by the frozen judge, on the "
            "same answers."
        )
    return table_of("Monitors", rows if columns else [], note)


def _value(value: object) -> str | None:
    if not isinstance(value, int | float):
        return None
    return "0" if abs(value) < SMALLEST else known(value, 1) if abs(value) >= 10 else known(value, 3)


def benchmarks_table(runs: Sequence[RunFacts]) -> Table:
    """Return a row for each number that a benchmark gave a model of the runs."""
    rows: list[Row] = []
    for facts in runs:
        run = facts.name if len(runs) > 1 else None
        for found in facts.benchmarks:
            cells = {name: str(value) if value is not None else None for name, value in found.row().items()}
            rows.append({"run": run, **cells})
    return table_of("Benchmarks", rows, "In brackets 95 % intervals.")


def reasons_table(runs: Sequence[RunFacts]) -> Table:
    """Return a row for each reason why judgments have no score."""
    rows: list[Row] = [
        {"run": facts.name if len(runs) > 1 else None, "iteration": name, "reason": reason, "judgments": whole(n)}
        for facts in runs
        for name, judged in facts.judged.items()
        for reason, n in judged.reasons.most_common(5)
    ]
    return table_of("Judgments without a score", rows)


def settings_table(runs: Sequence[RunFacts]) -> Table:
    """Return the settings of one run, or those in which two runs differ."""
    each = [dict(flat(facts.settings)) | {f"version of {k}": v for k, v in facts.versions.items()} for facts in runs]
    if len(runs) == 1:
        return table_of("Settings", [{"setting": name, "value": value} for name, value in each[0].items()])
    names = [name for name in dict.fromkeys([*each[0], *each[1]]) if each[0].get(name) != each[1].get(name)]
    columns = [facts.name for facts in runs]
    if columns[0] == columns[1]:
        columns = [str(facts.run.folder) for facts in runs]
    rows: list[Row] = [
        {"setting": name, **{column: flat_.get(name, "(not set)") for column, flat_ in zip(columns, each, strict=True)}}
        for name in names
    ]
    return table_of("Settings that differ", rows, "" if rows else "None: the two runs have the same settings.")


def flat(settings: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting by its name with its section's before it, with its value as text."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", str(value)


def missing_of(facts: RunFacts) -> list[str]:
    """Return what nobody measured, each with the command that does."""
    held, run = facts.held_out.values(), f"--run {facts.name}"
    last = facts.iterations[-1] if facts.iterations else "iter1"
    found = {benchmark.benchmark.split(":")[0].split("-")[0] for benchmark in facts.benchmarks}
    lines = []
    if not any(one.win_rate for one in held) and not facts.rlp:
        lines.append("Win rates against iter0: set eval.compare = true in the recipe.")
    if not any(one.following for one in held) and not facts.rlp:
        lines.append("Does what is asked: no held-out prompt has constraints that a program can check.")
    if "head_to_head" not in found:
        lines.append(f"Head to head by another judge: python -m evals.head_to_head {run} --judge-model ...")
    if "alpaca_eval" not in found:
        lines.append(f"AlpacaEval: python -m evals.alpaca --model {last} {run}")
    if "arena_hard" not in found:
        lines.append(f"Arena-Hard: python -m evals.arena_hard --model {last} {run} --data ... --judge-model ...")
    if "open_llm" not in found:
        lines.append(f"Tasks of lm-eval: python -m evals.open_llm --model {last} {run}")
    if "human" not in found:
        lines.append(
            f"Win rates by people: vote with python -m tui {facts.name}, then python -m evals.human {facts.name}"
        )
    if "safety" not in found:
        lines.append(f"Safety: python -m evals.safety {run} --judge-model ...")
    if "factuality" not in found:
        lines.append(f"Factuality: python -m evals.factuality {run} --prompts ... --corpus ... --judge-model ...")
    if not any((one.monitors or {}).get("judge_accuracy") is not None for one in held):
        lines.append("The judge against people: monitors.labelled in the recipe, or python -m judges.calibrate FILE")
    return lines
