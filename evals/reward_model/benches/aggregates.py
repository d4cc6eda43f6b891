"""Each community's own aggregates of a benchmark's subsets. Shapes: N items, R rows of weights, the first all ones."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from evals.reward_model.benches.counting import agrees, ours, theirs
from evals.reward_model.benches.items import TIES, Bench, Outcome
from evals.reward_model.benches.ties import ties_score
from judges.audit.parts import SECTIONS
from judges.intervals.bootstrap import Floats, means

V2_SUBSETS = ("Factuality", "Precise IF", "Math", "Safety", "Focus", TIES)
ADVERSARIAL = ("Neighbor", "GPTInst", "GPTOut", "Manual")
JUDGEBENCH = {
    "knowledge": "mmlu-pro", "reasoning": "livebench-reasoning", "math": "livebench-math", "coding": "livecodebench"
}  # fmt: skip
"""JudgeBench's four categories and the beginning of their sources."""
DOMAINS, LEVELS = ("chat", "math", "code", "safety"), ("hard", "normal", "easy")
PPE_SETS = ("mmlu_pro", "math", "gpqa", "mbpp_plus", "ifeval")

Means = dict[str, Floats]
"""Means by name, each (R,)."""


def values_of(bench: Bench, outcomes: Sequence[Outcome], *, as_theirs: bool) -> Floats:
    """Return the value of each item, (N,)."""
    count = partial(_theirs_of, bench) if as_theirs else _ours_of
    return np.array([count(place, outcome) for place, outcome in enumerate(outcomes)], dtype=float)


def subset_means(bench: Bench, outcomes: Sequence[Outcome], weights_RN: Floats, *, as_theirs: bool) -> Means:
    """Return the mean of each subset, of Ties its own score."""
    values_N = values_of(bench, outcomes, as_theirs=as_theirs)
    names = np.array([item.subset for item in bench.items])
    by_name = {name: means(np.where(names == name, values_N, np.nan), weights_RN) for name in dict.fromkeys(names)}
    if bench.name == "RewardBench 2" and TIES in by_name:
        places = np.flatnonzero(names == TIES)
        items, about = [bench.items[place] for place in places], [outcomes[place] for place in places]
        by_name[TIES] = ties_score(items, about, weights_RN[:, places], as_theirs=as_theirs)
    return {str(name): mean for name, mean in by_name.items()}


def aggregates(bench: Bench, outcomes: Sequence[Outcome], weights_RN: Floats, *, as_theirs: bool) -> Means:
    """Return the benchmark's own aggregates. One that needs a subset that is not there is left out."""
    by_subset = subset_means(bench, outcomes, weights_RN, as_theirs=as_theirs)
    values_N = values_of(bench, outcomes, as_theirs=as_theirs)
    if bench.name == "RewardBench":
        return _sections(by_subset)
    if bench.name == "RewardBench 2":
        return _mean_of("mean of the six subsets", by_subset, V2_SUBSETS)
    if bench.name == "JudgeBench":
        return _categories(bench, values_N, weights_RN)
    if bench.name == "LLMBar":
        return {**_llmbar(by_subset), **_agreement(outcomes, weights_RN)}
    if bench.name == "RM-Bench":
        return _domains(bench, values_N, weights_RN)
    return _mean_of("mean of the five correctness sets", by_subset, PPE_SETS)


def _ours_of(_: int, outcome: Outcome) -> float:
    return ours(outcome)


def _theirs_of(bench: Bench, place: int, outcome: Outcome) -> float:
    return theirs(bench, bench.items[place], outcome)


def _mean_of(name: str, by_name: Means, wanted: Sequence[str]) -> Means:
    known = [by_name[part] for part in wanted if part in by_name]
    return {name: np.mean(known, axis=0)} if len(known) == len(wanted) else {}


def _sections(by_subset: Means) -> Means:
    """Return RewardBench's four sections, means of subsets weighted by their rows, and the mean of the sections."""
    scores: Means = {}
    for section, n_rows in SECTIONS.items():
        if n_rows.keys() <= by_subset.keys():
            total = np.sum([n * by_subset[name] for name, n in n_rows.items()], axis=0)
            scores[section] = total / sum(n_rows.values())
    return scores | _mean_of("mean of the four sections", scores, tuple(SECTIONS))


def _categories(bench: Bench, values_N: Floats, weights_RN: Floats) -> Means:
    sources = [item.subset for item in bench.items]
    scores: Means = {}
    for name, beginning in JUDGEBENCH.items():
        is_part = np.array([source.startswith(beginning) for source in sources])
        if is_part.any():
            scores[name] = means(np.where(is_part, values_N, np.nan), weights_RN)
    return scores | {"overall, of all pairs": means(values_N, weights_RN)}


def _llmbar(by_subset: Means) -> Means:
    adversarial = _mean_of("mean of the adversarial sets", by_subset, ADVERSARIAL)
    return adversarial | _mean_of("mean of the five sets", by_subset, ("Natural", *ADVERSARIAL))


def _agreement(outcomes: Sequence[Outcome], weights_RN: Floats) -> Means:
    equal = [agrees(outcome) for outcome in outcomes]
    if None in equal:
        return {}
    return {"both orders agree": means(np.array(equal, dtype=float), weights_RN)}


def _domains(bench: Bench, values_N: Floats, weights_RN: Floats) -> Means:
    """Return RM-Bench's domains, each the mean of its levels, its levels, each the mean of the domains, and both's."""
    domains = [next((name for name in DOMAINS if item.subset.startswith(name)), "") for item in bench.items]
    cells = {
        (domain, level): means(
            np.array(
                [
                    value if (of_item, item.level) == (domain, level) else np.nan
                    for value, of_item, item in zip(values_N, domains, bench.items, strict=True)
                ]
            ),
            weights_RN,
        )
        for domain in dict.fromkeys(filter(None, domains))
        for level in LEVELS
    }
    known = list(dict.fromkeys(domain for domain, _ in cells))
    scores = {domain: np.mean([cells[domain, level] for level in LEVELS], axis=0) for domain in known}
    if len(known) < len(DOMAINS):
        return scores
    by_level = {level: np.mean([cells[domain, level] for domain in DOMAINS], axis=0) for level in LEVELS}
    return {**scores, **by_level, "mean of the four domains": np.mean([scores[domain] for domain in DOMAINS], axis=0)}
