"""Judges of ranked answers side by side: their measures, what must be beaten, and how far apart two of them are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from console.table import Cell, markdown_table
from console.visible import one_line
from evals.reward_model.metrics import Prompt, Scores, Unscored, Values, at_random, measures, n_unscored
from judges.intervals.bootstrap import Estimate
from judges.labelled.ranked import RankedAnswers

Table = list[dict[str, Cell]]
LONGER, RANDOM = "the longer is better", "random"
WAYS: tuple[Unscored, ...] = ("wrong", "left out")


@dataclass(frozen=True)
class Judged:
    """What one judge said about all answers."""

    name: str
    fingerprint: str
    rubric: str
    read: str
    top: float | None
    """The best score of the rubric; None where the rubric is not at hand, or there is none: a reward model's."""
    scores: Sequence[Scores]
    """One list a prompt, in the order of its answers."""
    reasons: Counter[str]
    """Why answers have no score."""
    path: str
    """Where the judgments are."""


@dataclass(frozen=True)
class Comparison:
    """The estimates of all judges and baselines, by name, for either way of counting answers without a score."""

    judges: Sequence[Judged]
    estimates: dict[Unscored, dict[str, list[Estimate]]]
    differences: dict[str, list[Estimate]]
    """By what is compared; answers without a score count as wrong."""
    n_prompts: int
    n_answers: int
    n_pairs: int


def compared(
    ranked: Sequence[RankedAnswers], prompts: Sequence[Prompt], judges: Sequence[Judged], n_resamples: int, seed: int
) -> Comparison:
    """Return every measure of every judge; differences are from the first judge and from the longer answer."""
    lengths = [[float(len(response)) for response in one.responses] for one in ranked]
    found: dict[Unscored, dict[str, list[Values]]] = {}
    for way in WAYS:
        found[way] = {judge.name: measures(prompts, judge.scores, judge.top, way) for judge in judges}
        found[way] |= {LONGER: measures(prompts, lengths, None, way), RANDOM: at_random(prompts, judges[0].top)}
    first, *others = (judge.name for judge in judges)
    contrasts = [*((other, first) for other in others), *((judge.name, LONGER) for judge in judges)]
    wrong = found["wrong"]
    return Comparison(
        judges,
        {way: {name: [v.estimate(n_resamples, seed) for v in own] for name, own in found[way].items()} for way in WAYS},
        {f"{one} less {other}": _less(wrong[one], wrong[other], n_resamples, seed) for one, other in contrasts},
        len(prompts),
        sum(len(one.responses) for one in ranked),
        sum(len(prompt.pairs) for prompt in prompts),
    )


def tables(found: Comparison) -> dict[str, Table]:
    """Return the tables by their titles: all measures, the same without unscored answers, and the differences."""
    unscored: Table = [
        _row("answers without a score", {j.name: str(n_unscored(j.scores)) for j in found.judges}, found)
    ]
    shown = {"answers without a score count as wrong": [*_table(found, "wrong"), *unscored]}
    if any(judge.reasons for judge in found.judges):
        shown["answers without a score are left out"] = _table(found, "left out")
    names = list(found.differences)
    by_name = {what: {one.name: one for one in own} for what, own in found.differences.items()}
    measured = dict.fromkeys(one.name for own in found.differences.values() for one in own)
    shown["paired differences"] = [
        {"measure": name, **{what: _cell(by_name[what].get(name)) for what in names}} for name in measured
    ]
    return shown


def markdown(found: Comparison, title: str) -> str:
    """Return the tables as a Markdown page."""
    parts = [one_line(f"# {title}"), said(found)]
    parts += [f"## {name[0].upper()}{name[1:]}\n\n{markdown_table(table)}" for name, table in tables(found).items()]
    return "\n\n".join(parts) + "\n"


def said(found: Comparison) -> str:
    """Return what was measured, in words."""
    who = one_line(
        "; ".join(f"{j.name}: {j.fingerprint}, rubric {j.rubric}, read by {j.read}, {j.path}" for j in found.judges)
    )
    n = f"{found.n_prompts} prompts, {found.n_answers} answers, {found.n_pairs} pairs that people ordered"
    return f"{n}; in brackets 95% intervals over prompts, those of one tree together\n{who}"


def as_json(found: Comparison) -> dict[str, Any]:
    """Return every number as plain data."""
    return {
        "prompts": found.n_prompts,
        "answers": found.n_answers,
        "pairs": found.n_pairs,
        "judges": [
            {
                **{name: getattr(judge, name) for name in ("name", "fingerprint", "rubric", "read", "path")},
                "unscored": n_unscored(judge.scores),
                "reasons": dict(judge.reasons.most_common()),
            }
            for judge in found.judges
        ],
        "measures": {
            f"unscored {way}": {name: [asdict(one) for one in own] for name, own in by_name.items()}
            for way, by_name in found.estimates.items()
        },
        "differences": {what: [asdict(one) for one in own] for what, own in found.differences.items()},
    }


def _less(ones: Sequence[Values], others: Sequence[Values], n_resamples: int, seed: int) -> list[Estimate]:
    by_name = {other.name: other for other in others}
    return [one.less(by_name[one.name], n_resamples, seed) for one in ones if one.name in by_name]


def _table(found: Comparison, way: Unscored) -> Table:
    by_name = {who: {one.name: one for one in own} for who, own in found.estimates[way].items()}
    longest = max(found.estimates[way].values(), key=len)  # the longer answer has no best score
    names = dict.fromkeys(one.name for own in (longest, *found.estimates[way].values()) for one in own)
    return [_row(name, {who: _cell(own.get(name)) for who, own in by_name.items()}, found) for name in names]


def _row(name: str, cells: dict[str, str], found: Comparison) -> dict[str, Cell]:
    return {"measure": name, **{who: cells.get(who, "-") for who in found.estimates["wrong"]}}


def _cell(one: Estimate | None) -> str:
    if one is None or one.value is None:
        return "-"
    interval = "" if one.low is None or one.high is None else f" [{one.low:.3f}, {one.high:.3f}]"
    return f"{one.value:.3f}{interval}" + (f", n {one.n}" if one.name.endswith("-best") else "")
