"""An audit as tables, on the terminal and as a Markdown page."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from console.table import Cell, markdown_table
from console.visible import one_line
from judges.audit.annotators import PAIRWISE
from judges.audit.baselines import Baseline
from judges.audit.parts import sections
from judges.audit.result import Audit
from judges.intervals.bootstrap import Estimate

Table = list[dict[str, Cell]]
PANDALM_NOTE = (
    "PandaLM's published figures for GPT-3.5 (accuracy 0.7107, macro P/R/F1 0.5879/0.5736/0.5755) count replies "
    "without a verdict as ties; counted as wrong the accuracy is 0.6977. This project leaves them out and counts them."
)


def number(value: float | None) -> str:
    """Return a value with four decimals, or a dash for None."""
    return "-" if value is None else f"{value:.4f}"


def interval(estimate: Estimate) -> str:
    """Return an interval as text, or a dash without one."""
    return "-" if estimate.low is None or estimate.high is None else f"[{estimate.low:.4f}, {estimate.high:.4f}]"


def measures_table(result: Audit) -> Table:
    """Return a row per measure."""
    notes = any(estimate.note for estimate in result.measures)
    return [_row(estimate, notes=notes) for estimate in result.measures]


def baselines_table(result: Audit) -> Table:
    """Return a row per baseline on pairs, and one for the agreement of the annotators."""
    rows: Table = [
        {
            "baseline": baseline.name,
            "accuracy, tie half": number(baseline.measure.value),
            "interval": interval(baseline.measure),
            "n": baseline.measure.n,
            "all classes": number(baseline.exact.value if baseline.exact else None),
            "judge less it": number(baseline.lead.value),
            "interval of that": interval(baseline.lead),
        }
        for baseline in result.baselines
    ]
    agreement = next((baseline for baseline in result.measures if baseline.name == PAIRWISE), None)
    if rows and agreement is not None and result.n_answers == 0:
        rows.append(
            {**dict.fromkeys(rows[0]), "baseline": PAIRWISE, "all classes": number(agreement.value), "n": agreement.n}
        )
    return rows


def score_baselines_table(result: Audit) -> Table:
    """Return a row per baseline on scores."""
    return [_lead(baseline) for baseline in result.score_baselines]


def biases_table(result: Audit) -> Table:
    """Return a row per bias: the effect and the two rates whose difference it is."""
    return [
        {
            "bias": bias.effect.name,
            "effect": number(bias.effect.value),
            "interval": interval(bias.effect),
            "n": bias.effect.n,
            "judge": number(bias.judge),
            "against": number(bias.against),
        }
        for bias in result.biases
    ]


def conventions_table(result: Audit) -> Table:
    """Return accuracy and macro scores by the treatment of rows without a verdict."""
    return [
        {"without a verdict": convention, **{m.name: _with_interval(m) for m in measures}, "n": measures[0].n}
        for convention, measures in result.conventions.items()
    ]


def confusion_table(result: Audit) -> Table:
    """Return the counts of labels (down) and verdicts (across)."""
    return [
        {"label": label, **verdict_counts}
        for label, verdict_counts in result.confusion.items()
        if any(verdict_counts.values())
    ]


def correction_table(result: Audit) -> Table:
    """Return the corrected win rate and its inputs."""
    c = result.correction
    if c is None:
        return []
    parts = [c.sensitivity, c.specificity, c.judged, c.corrected, *([c.labelled] if c.labelled else [])]
    return [_row(estimate, notes=any(part.note for part in parts)) for estimate in parts]


def parts_table(result: Audit) -> Table:
    """Return the accuracy on each part of the set."""
    return [
        {
            "by": part.key,
            "part": part.name,
            "a tie is wrong": number(part.tie_is_wrong.value),
            "a tie is half": number(part.tie_is_half.value),
            "interval": interval(part.tie_is_half),
            "n": part.n,
            "unscored": part.n_unscored,
        }
        for part in result.parts
    ]


def sections_table(result: Audit) -> Table:
    """Return RewardBench's section scores. Empty for other sets."""
    return [{"section": name, "score": f"{score:.2f}"} for name, score in sections(result.parts).items()]


def headline(result: Audit) -> list[str]:
    """Return the set, the judge and the settings of the audit, in a few lines."""
    n = f"{result.n_pairs} pairs" if result.n_pairs else ""
    answers = f"{result.n_answers} scored answers" if result.n_answers else ""
    if result.n_distinct < result.n_answers:
        answers = f"{result.n_answers} scores of {result.n_distinct} answers"
    drawn = f" ({result.drawn})" if result.drawn else ""
    n_silent = sum(result.unscored.values())
    reading = f", reading: {result.about.read}" if result.about.read else ""
    return [
        f"set: {result.set}, {' and '.join(part for part in (n, answers) if part)}{drawn}; labels by {result.labeller}",
        f"judge: {result.about.judge}{reading}; {n_silent} unscored",
        f"intervals: 95%, {result.settings.n_resamples} bootstrap resamples of prompts, seed {result.settings.seed}",
    ]


def markdown(result: Audit, picture: str | None) -> str:
    """Return the audit as a Markdown page. `picture` is the name of the PNG beside it."""
    blocks = [
        one_line(f"# Audit of a judge on {result.set}"),
        "\n".join(f"- {one_line(line)}" for line in headline(result)),
    ]
    notes = [*result.about.notes, *([PANDALM_NOTE] if result.format == "pandalm" else [])]
    blocks += ["\n".join(f"- {one_line(note)}" for note in notes)] if notes else []
    sections_of_page: Sequence[tuple[str, Table]] = (
        ("Agreement with the labels", measures_table(result)),
        ("Rows without a verdict, by how they are counted", conventions_table(result)),
        ("Labels (down) and verdicts (across)", confusion_table(result)),
        ("What the judge must beat, on pairs", baselines_table(result)),
        ("What the judge must beat, on scores (Spearman)", score_baselines_table(result)),
        ("Biases", biases_table(result)),
        (_correction_title(result), correction_table(result)),
        ("RewardBench's sections", sections_table(result)),
        ("By part", parts_table(result)),
        ("How often attacks fool the judge's model", result.attacks),
        ("Reliability", _reliability_table(result)),
        ("Why there was no verdict", [{"reason": why, "n": n} for why, n in result.unscored.items()]),
    )
    for title, table in sections_of_page:
        if table:
            blocks += [one_line(f"## {title}"), markdown_table(table)]
    if picture:
        blocks.append(f"![Reliability, confusion, biases]({picture})")
    return "\n\n".join(blocks) + "\n"


def as_json(result: Audit) -> dict[str, Any]:
    """Return the audit as plain data."""
    return {**asdict(result), "sections": sections(result.parts)}


def _with_interval(estimate: Estimate) -> str:
    return number(estimate.value) if estimate.low is None else f"{number(estimate.value)} {interval(estimate)}"


def _correction_title(result: Audit) -> str:
    test = result.correction.test if result.correction else ""
    return f"Win rate corrected by sensitivity and specificity, on {test}"


def _row(estimate: Estimate, *, notes: bool) -> dict[str, Cell]:
    cells: dict[str, Cell] = {
        "measure": estimate.name,
        "value": number(estimate.value),
        "interval": interval(estimate),
        "n": estimate.n,
    }
    return {**cells, "note": estimate.note} if notes else cells


def _lead(baseline: Baseline) -> dict[str, Cell]:
    return {
        "baseline": baseline.name,
        "Spearman": number(baseline.measure.value),
        "interval": interval(baseline.measure),
        "n": baseline.measure.n,
        "judge less it": number(baseline.lead.value),
        "interval of that": interval(baseline.lead),
    }


def _reliability_table(result: Audit) -> Table:
    return [
        {
            "confidence": f"{bin['low']:.2f} to {bin['high']:.2f}",
            "mean confidence": number(bin["confidence"]),
            "accuracy": number(bin["accuracy"]),
            "n": bin["n"],
        }
        for bin in result.reliability
    ]


def tables(result: Audit) -> list[Table]:
    """Return the tables for the terminal: measures, treatment of unscored rows, baselines, biases, correction."""
    ways = conventions_table(result) if len(result.conventions) > 1 else []
    all_tables = (
        measures_table(result),
        ways,
        baselines_table(result),
        score_baselines_table(result),
        biases_table(result),
        sections_table(result),
        correction_table(result),
        result.attacks,
    )
    return [table for table in all_tables if table]
