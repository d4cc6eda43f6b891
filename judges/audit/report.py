"""An audit as tables, on the terminal and as a Markdown page."""

from collections.abc import Sequence
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
    """Return a value with four decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:.4f}"


def interval(one: Estimate) -> str:
    """Return an interval as text, or a dash where there is none."""
    return "-" if one.low is None or one.high is None else f"[{one.low:.4f}, {one.high:.4f}]"


def measures_table(found: Audit) -> Table:
    """Return a row for each measure."""
    notes = any(one.note for one in found.measures)
    return [_row(one, notes=notes) for one in found.measures]


def baselines_table(found: Audit) -> Table:
    """Return a row for each rule that the judge must beat on pairs, and one for the people's own agreement."""
    rows: Table = [
        {
            "baseline": one.name,
            "accuracy, tie half": number(one.measure.value),
            "interval": interval(one.measure),
            "n": one.measure.n,
            "all classes": number(one.exact.value if one.exact else None),
            "judge less it": number(one.lead.value),
            "interval of that": interval(one.lead),
        }
        for one in found.baselines
    ]
    agreed = next((one for one in found.measures if one.name == PAIRWISE), None)
    if rows and agreed is not None and found.n_answers == 0:
        rows.append(
            {**dict.fromkeys(rows[0]), "baseline": PAIRWISE, "all classes": number(agreed.value), "n": agreed.n}
        )
    return rows


def score_baselines_table(found: Audit) -> Table:
    """Return a row for each rule that the judge must beat on scores."""
    return [_lead(one) for one in found.score_baselines]


def biases_table(found: Audit) -> Table:
    """Return a row for each bias: the effect and what it is the difference of."""
    return [
        {
            "bias": one.effect.name,
            "effect": number(one.effect.value),
            "interval": interval(one.effect),
            "n": one.effect.n,
            "judge": number(one.judge),
            "against": number(one.against),
        }
        for one in found.biases
    ]


def conventions_table(found: Audit) -> Table:
    """Return accuracy and macro scores by how rows without a verdict are counted."""
    return [
        {"without a verdict": way, **{m.name: _with_interval(m) for m in row}, "n": row[0].n}
        for way, row in found.conventions.items()
    ]


def confusion_table(found: Audit) -> Table:
    """Return the counts of labels (down) and verdicts (across)."""
    return [{"label": label, **row} for label, row in found.confusion.items() if any(row.values())]


def correction_table(found: Audit) -> Table:
    """Return the corrected win rate and what it comes from."""
    c = found.correction
    if c is None:
        return []
    parts = [c.sensitivity, c.specificity, c.judged, c.corrected, *([c.labelled] if c.labelled else [])]
    return [_row(one, notes=any(part.note for part in parts)) for one in parts]


def parts_table(found: Audit) -> Table:
    """Return the accuracy on each part of the set."""
    return [
        {
            "by": one.key,
            "part": one.name,
            "a tie is wrong": number(one.tie_is_wrong.value),
            "a tie is half": number(one.tie_is_half.value),
            "interval": interval(one.tie_is_half),
            "n": one.n,
            "unscored": one.n_unscored,
        }
        for one in found.parts
    ]


def sections_table(found: Audit) -> Table:
    """Return RewardBench's section scores; empty for other sets."""
    return [{"section": name, "score": f"{score:.2f}"} for name, score in sections(found.parts).items()]


def headline(found: Audit) -> list[str]:
    """Return what was audited, in a few lines."""
    n = f"{found.n_pairs} pairs" if found.n_pairs else ""
    answers = f"{found.n_answers} scored answers" if found.n_answers else ""
    if found.n_distinct < found.n_answers:
        answers = f"{found.n_answers} scores of {found.n_distinct} answers"
    drawn = f" ({found.drawn})" if found.drawn else ""
    n_silent = sum(found.unscored.values())
    return [
        f"set: {found.set}, {' and '.join(part for part in (n, answers) if part)}{drawn}; labels by {found.labeller}",
        f"judge: {found.about.judge}{f', read by {found.about.read}' if found.about.read else ''}; {n_silent} unscored",
        f"intervals: 95%, {found.settings.n_resamples} bootstrap resamples of prompts, seed {found.settings.seed}",
    ]


def markdown(found: Audit, picture: str | None) -> str:
    """Return the audit as a Markdown page; `picture` is the PNG's name beside it."""
    blocks = [
        one_line(f"# Audit of a judge on {found.set}"),
        "\n".join(f"- {one_line(line)}" for line in headline(found)),
    ]
    notes = [*found.about.notes, *([PANDALM_NOTE] if found.format == "pandalm" else [])]
    blocks += ["\n".join(f"- {one_line(note)}" for note in notes)] if notes else []
    sections_of_page: Sequence[tuple[str, Table]] = (
        ("Agreement with the labels", measures_table(found)),
        ("Rows without a verdict, by how they are counted", conventions_table(found)),
        ("Labels (down) and verdicts (across)", confusion_table(found)),
        ("What the judge must beat, on pairs", baselines_table(found)),
        ("What the judge must beat, on scores (Spearman)", score_baselines_table(found)),
        ("Biases", biases_table(found)),
        (_correction_title(found), correction_table(found)),
        ("RewardBench's sections", sections_table(found)),
        ("By part", parts_table(found)),
        ("How often attacks fool the judge's model", found.attacks),
        ("Reliability", _reliability_table(found)),
        ("Why there was no verdict", [{"reason": why, "n": n} for why, n in found.unscored.items()]),
    )
    for title, table in sections_of_page:
        if table:
            blocks += [one_line(f"## {title}"), markdown_table(table)]
    if picture:
        blocks.append(f"![Reliability, confusion, biases]({picture})")
    return "\n\n".join(blocks) + "\n"


def as_json(found: Audit) -> dict[str, Any]:
    """Return the audit as plain data."""
    from dataclasses import asdict

    return {**asdict(found), "sections": sections(found.parts)}


def _with_interval(one: Estimate) -> str:
    return number(one.value) if one.low is None else f"{number(one.value)} {interval(one)}"


def _correction_title(found: Audit) -> str:
    test = found.correction.test if found.correction else ""
    return f"Win rate corrected by sensitivity and specificity, on {test}"


def _row(one: Estimate, *, notes: bool) -> dict[str, Cell]:
    row: dict[str, Cell] = {"measure": one.name, "value": number(one.value), "interval": interval(one), "n": one.n}
    return {**row, "note": one.note} if notes else row


def _lead(one: Baseline) -> dict[str, Cell]:
    return {
        "baseline": one.name,
        "Spearman": number(one.measure.value),
        "interval": interval(one.measure),
        "n": one.measure.n,
        "judge less it": number(one.lead.value),
        "interval of that": interval(one.lead),
    }


def _reliability_table(found: Audit) -> Table:
    return [
        {
            "confidence": f"{row['low']:.2f} to {row['high']:.2f}",
            "mean confidence": number(row["confidence"]),
            "accuracy": number(row["accuracy"]),
            "n": row["n"],
        }
        for row in found.reliability
    ]


def tables(found: Audit) -> list[Table]:
    """Return the tables for the terminal: measures, how rows without a verdict count, baselines, biases, correction."""
    ways = conventions_table(found) if len(found.conventions) > 1 else []
    all_tables = (
        measures_table(found),
        ways,
        baselines_table(found),
        score_baselines_table(found),
        biases_table(found),
        sections_table(found),
        correction_table(found),
        found.attacks,
    )
    return [table for table in all_tables if table]
