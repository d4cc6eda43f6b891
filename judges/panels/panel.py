"""A panel: several judges of the same answers, whose verdicts are combined.

Each judge keeps its rows, with their replies, in its own file. A panel's row has no replies. Its `members` are the
fingerprints of the judges, under which their rows are found.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import TypeVar

from console.address import shown
from console.config import load_config
from console.errors import InputError
from engines.options import IN_PROCESS, EngineOptions
from judges.options import Aggregate, JudgeOptions, PanelOptions
from judges.panels.agreement import closer_than, share_of_pairs, step_of
from judges.parsing.verdict import aggregated
from judges.rubrics.rubric import Rubric, load_rubric
from records.keys import content_key
from records.rows import Comparison, Judgment, Usage, Winner, answer_key

SERVED = re.compile(r"(?P<model>.+)@(?P<base_url>https?://.+)")

SAME = (
    "nothing that changes a verdict differs between them (a served model is known by its name and what its server says "
    "of it: served_as, in a judge's TOML file, tells two apart)"
)

T = TypeVar("T")
RowT = TypeVar("RowT", Judgment, Comparison)
Member = tuple[EngineOptions, JudgeOptions]


@dataclass(frozen=True)
class _Settings(JudgeOptions, EngineOptions):
    """Settings that the file of a judge may have."""


def members(options: PanelOptions, engine: EngineOptions, judge: JudgeOptions) -> list[Member]:
    """Return the engine and the settings of each judge, or none without --judge.

    Raises InputError if a judge's file is wrong, two judges are the same, their scales differ, or the quorum or the
    rule cannot be met.
    """
    panel = [member_named(word, engine, judge) for word in options.judge]
    if not panel:
        return []
    if len(panel) == 1:
        raise InputError("a panel has at least two judges: give --judge again, or name the only one with --model")
    for place, member in enumerate(panel):
        if _what_matters(member) in map(_what_matters, panel[:place]):
            raise InputError(f"--judge {shown(options.judge[place])}: the panel has the same judge already")
    rubrics = [load_rubric(settings.rubric) for _, settings in panel]
    for word, rubric in zip(options.judge, rubrics, strict=True):
        if (rubric.kind, rubric.scale) != (rubrics[0].kind, rubrics[0].scale):
            raise InputError(
                f"--judge {shown(word)}: its rubric is {_scale_of(rubric)}, that of --judge "
                f"{shown(options.judge[0])} is {_scale_of(rubrics[0])}; a panel has one kind and one scale"
            )
    if rubrics[0].kind == "pair" and options.panel_rule in ("max", "min"):
        raise InputError(f"--panel-rule {options.panel_rule} is for scores; compare with majority, mean or median")
    _quorum(options.quorum, len(panel))
    return panel


def panel_fingerprint(fingerprints: Sequence[str], rule: Aggregate | None, quorum: int | None) -> str:
    """Return 16 hex digits of everything that changes the panel's verdict. The order of its judges does not.

    Raises InputError if two judges have the same fingerprint, and so always the same verdict.
    """
    if len(set(fingerprints)) < len(fingerprints):
        raise InputError(f"two judges of the panel are the same: {SAME}")
    return content_key("panel", sorted(fingerprints), rule, _quorum(quorum, len(fingerprints)))


def combine(
    rows: Sequence[Judgment | None],
    members: Sequence[str],
    rule: Aggregate | None,
    quorum: int | None,
    rubric: Rubric,
) -> Judgment:
    """Return the panel's judgment of one response from its judges' rows, in the order of `members`.

    A judge without a row or a verdict has no vote. Below the quorum there is no score. Criteria are combined one by
    one by the same rule.
    """
    first = _first(rows, answer_key)
    how = rule or rubric.aggregate
    scores = [judgment.score if judgment else None for judgment in rows]
    known = [score for score in scores if score is not None]
    scored = len(known) >= _quorum(quorum, len(rows))
    fingerprint = panel_fingerprint(members, rule, quorum)
    return Judgment(
        id=content_key("judgment", fingerprint, answer_key(first), first.model),
        response_id=first.response_id,
        prompt_id=first.prompt_id,
        prompt=first.prompt,
        response=first.response,
        model=first.model,
        score=aggregated(known, how) if scored else None,
        scores=scores,
        replies=[],
        error=None if scored else _no_quorum(rows, members, len(known), quorum),
        spread=pstdev(known) if scored else None,
        rubric=rubric.name,
        judge=fingerprint,
        usage=sum((judgment.usage for judgment in rows if judgment), Usage()),
        read="panel",
        aggregate=how,
        n_samples=len(known),
        missing=_silent(rows, lambda judgment: judgment.score),
        criteria=_criteria(rows, how) if scored else None,
        agreement=share_of_pairs(known, closer_than(step_of(rubric) / 2)),
        members=list(members),
        response_finish_reason=first.response_finish_reason,
    )


def combine_comparisons(
    rows: Sequence[Comparison | None], members: Sequence[str], rule: Aggregate | None, quorum: int | None
) -> Comparison:
    """Return the panel's comparison of two answers from its judges' rows, in the order of `members`.

    majority is the winner for more than half of the judges with a verdict, else a tie. mean and median are of their
    preferences. A judge without a row or a verdict has no vote. Below the quorum there is no winner.
    """
    first = _first(rows, lambda comparison: (comparison.prompt_id, comparison.response_a, comparison.response_b))
    voters = [comparison for comparison in rows if comparison is not None and comparison.winner is not None]
    scored = len(voters) >= _quorum(quorum, len(rows))
    preferences = [comparison.preference_b for comparison in voters if comparison.preference_b is not None]
    flips = [comparison.flipped for comparison in voters if comparison.flipped is not None]
    orders = {comparison.orders for comparison in rows if comparison}
    fingerprint = panel_fingerprint(members, rule, quorum)
    texts = (first.prompt, first.response_a, first.response_b, first.reference, first.judged)
    return Comparison(
        id=content_key("comparison", fingerprint, first.prompt_id, first.model_a, first.model_b, texts),
        prompt_id=first.prompt_id,
        prompt=first.prompt,
        response_a=first.response_a,
        response_b=first.response_b,
        model_a=first.model_a,
        model_b=first.model_b,
        winner=winner_of(preferences, rule) if scored else None,
        first_order=None,
        second_order=None,
        flipped=any(flips) if scored and flips else None,
        preference_b=fmean(preferences) if scored else None,
        replies=[],
        error=None if scored else _no_quorum(rows, members, len(voters), quorum),
        rubric=first.rubric,
        judge=fingerprint,
        usage=sum((comparison.usage for comparison in rows if comparison), Usage()),
        read="panel",
        aggregate=rule or "majority",
        n_samples=len(voters),
        missing=_silent(rows, lambda comparison: comparison.winner),
        votes=[comparison.preference_b if comparison else None for comparison in rows],
        agreement=share_of_pairs([comparison.winner for comparison in voters], lambda winner, other: winner == other),
        members=list(members),
        orders=orders.pop() if len(orders) == 1 else "both",
        reference=first.reference,
        judged=first.judged,
    )


def member_named(word: str, engine: EngineOptions, judge: JudgeOptions) -> Member:
    """Return the judge that a --judge names: a model, NAME@URL for a served one, or a TOML file."""
    engine = replace(engine, served_as=None)  # --served-as names the model of --model
    if word.endswith(".toml"):
        return _from_file(Path(word), engine, judge)
    if served := SERVED.fullmatch(word):
        return replace(engine, model=served["model"], base_url=served["base_url"], engine="openai"), judge
    return replace(engine, model=word), judge


def _from_file(path: Path, engine: EngineOptions, judge: JudgeOptions) -> Member:
    settings = load_config(path, _Settings(**vars(engine), **vars(judge)))
    if settings.min_coverage != judge.min_coverage:
        raise InputError(f"{path}: 'min_coverage' is for the whole panel: give --min-coverage")
    own_engine, own_judge = (
        {field.name: getattr(settings, field.name) for field in fields(kind)} for kind in (EngineOptions, JudgeOptions)
    )
    if settings.engine in IN_PROCESS and settings.base_url == engine.base_url:
        own_engine["base_url"] = None  # that server is for the command's other judges
    return EngineOptions(**own_engine), JudgeOptions(**own_judge)


def _what_matters(member: Member) -> Member:
    # Any values: these settings change no verdict, so two judges that differ only in them are one.
    alike = replace(member[0], concurrency=1, batch_size=1, timeout_s=1.0, retry_s=None, max_failures_in_row=1)
    alike = replace(alike, max_model_len=None, gpu_memory_utilization=None, tensor_parallel_size=1)
    return alike, member[1]


def _scale_of(rubric: Rubric) -> str:
    low, high = rubric.scale
    return "of comparisons" if rubric.kind == "pair" else f"from {low:g} to {high:g}"


def _quorum(quorum: int | None, n_members: int) -> int:
    if quorum is not None and not 1 <= quorum <= n_members:
        raise InputError(f"--quorum must be from 1 to the number of judges, {n_members}, not {quorum}")
    return quorum or n_members // 2 + 1


def _first(rows: Sequence[RowT | None], about: Callable[[RowT], object]) -> RowT:
    present = [candidate for candidate in rows if candidate is not None]
    if len({about(candidate) for candidate in present}) != 1:
        raise ValueError("a panel's row is made from rows on one thing, at least one")
    return present[0]


def _silent(rows: Sequence[RowT | None], verdict: Callable[[RowT], object]) -> dict[str, str]:
    """Return the reasons why judges have no vote, by their places."""
    silent = {
        place: member_row for place, member_row in enumerate(rows) if member_row is None or verdict(member_row) is None
    }
    return {
        str(place): (member_row.error or "unknown") if member_row else "no row" for place, member_row in silent.items()
    }


def _no_quorum(
    rows: Sequence[Judgment | Comparison | None], members: Sequence[str], n_known: int, quorum: int | None
) -> str:
    needed = _quorum(quorum, len(rows))
    reasons = {
        member: member_row.error if member_row else "no row" for member, member_row in zip(members, rows, strict=True)
    }
    why = "; ".join(f"{member}: {reason}" for member, reason in reasons.items() if reason)
    return f"{n_known} of {len(rows)} judges have a verdict, and {needed} are needed; {why}"


def _criteria(rows: Sequence[Judgment | None], rule: Aggregate) -> dict[str, float | None] | None:
    """Return each criterion's score if all judges with a verdict grade the same criteria, else None."""
    graded = [judgment.criteria or {} for judgment in rows if judgment is not None and judgment.score is not None]
    names = list(graded[0])
    if not names or any(set(by_name) != set(names) for by_name in graded):
        return None
    known = {name: [score for by_name in graded if (score := by_name[name]) is not None] for name in names}
    return {name: aggregated(scores, rule) if scores else None for name, scores in known.items()}


def winner_of(preferences: Sequence[float], rule: Aggregate | None) -> Winner:
    """Return the winner by the judges' preferences for b: by majority (else a tie), or by their mean or median."""
    if rule in ("mean", "median"):
        return _winner_at(aggregated(preferences, rule))
    winner, n = Counter(map(_winner_at, preferences)).most_common(1)[0]
    return winner if 2 * n > len(preferences) else "tie"


def _winner_at(preference: float) -> Winner:
    return "tie" if preference == 0.5 else "a" if preference < 0.5 else "b"
