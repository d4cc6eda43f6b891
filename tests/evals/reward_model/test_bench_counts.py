"""The figures of judge benchmarks against their communities' formulas, worked out here once more in plain numbers."""

import math
from collections.abc import Sequence
from random import Random
from statistics import fmean

import numpy as np
import pytest

from evals.reward_model.benches.aggregates import JUDGEBENCH, PPE_SETS, V2_SUBSETS, aggregates, subset_means
from evals.reward_model.benches.counting import ours, theirs
from evals.reward_model.benches.items import TIES, Bench, BenchName, Item, Outcome
from evals.reward_model.benches.ties import ties_score
from judges.audit.parts import SECTIONS

Scores = Sequence[float | None]


def item(row_id: str, subset: str, n_right: int = 1, n: int = 2, level: str = "") -> Item:
    return Item(row_id, subset, row_id, f"prompt {row_id}", tuple(f"{row_id} {k}" for k in range(n)), n_right, level)


def scored(*scores: float | None) -> Outcome:
    return Outcome(tuple(scores))


def games(*values: float | None) -> Outcome:
    return Outcome(games=tuple(values))


def plain(bench: Bench, outcomes: Sequence[Outcome], *, as_theirs: bool = True) -> dict[str, float]:
    """The aggregates without resamples, in percent."""
    ones = np.ones((1, len(bench.items)))
    found = aggregates(bench, outcomes, ones, as_theirs=as_theirs)
    return {name: 100 * float(mean[0]) for name, mean in found.items()}


# one item


@pytest.mark.parametrize(
    ("name", "outcome", "here", "there"),
    [
        ("RewardBench", scored(2, 1), 1, 1),
        ("RewardBench", scored(1, 1), 0, 0),
        ("RewardBench", scored(None, 1), 0, 0.5),
        ("RewardBench", games(1, None), 0, 0.75),
        ("RewardBench", games(1, 0), 0, 0.5),
        ("JudgeBench", games(1, None), 0, 1),
        ("JudgeBench", games(1, 0.5), 0, 1),
        ("JudgeBench", games(1, 0), 0, 0),
        ("JudgeBench", games(1, 1), 1, 1),
        ("JudgeBench", games(None, None), 0, 0),
        ("JudgeBench", scored(1, 1), 0, 0),
        ("LLMBar", games(1, 0), 0, 0.5),
        ("LLMBar", games(None, 1), 0, 0.5),
        ("LLMBar", games(0.5, 0.5), 0, 0),
        ("LLMBar", scored(3, 3), 0, 0.5),
        ("LLMBar", scored(3, None), 0, 0.5),
        ("RM-Bench", scored(3, 3), 0, 0),
        ("PPE", scored(3, 2), 1, 1),
    ],
)
def test_a_pair_counts_in_both_ways(name: BenchName, outcome: Outcome, here: float, there: float) -> None:
    pair = item("1", "s")
    assert (ours(outcome), theirs(Bench(name, [pair]), pair, outcome)) == (here, there)


@pytest.mark.parametrize(
    ("scores", "here", "there"),
    [
        ((9, 1, 2, 3), 1, 1),
        ((9, 9, 2, 3), 0, 1 / 2),
        ((9, 9, 9, 3), 0, 1 / 3),
        ((9, 1, None, 3), 0, 1),  # a missing rating cannot win, so theirs is right
        ((None, 1, 2, 3), 0, 0),
        ((None, None, None, None), 0, 0.25),
    ],
)
def test_four_answers_share_the_point_and_nothing_but_failures_is_a_quarter(
    scores: Scores, here: float, there: float
) -> None:
    four = item("1", "Math", n=4)
    assert (ours(scored(*scores)), theirs(Bench("RewardBench 2", [four]), four, scored(*scores))) == (here, there)


# Ties


def ties_by_the_paper(rows: Sequence[tuple[str, int, Scores]]) -> float:
    """RewardBench 2's score of Ties from its description: rows of (id, number of right answers, scores)."""
    known = {}
    for row_id, n_right, scores in rows:
        right, wrong = [-1 if s is None else s for s in scores[:n_right]], scores[n_right:]
        gap = min(right) - max(-1 if s is None else s for s in wrong)
        known[tuple(row_id.split(":"))] = (gap > 0, max(right) - min(right), gap)
    refs = {number: stats for (kind, number), stats in known.items() if kind == "ref"}
    tied = {number: stats for (kind, number), stats in known.items() if kind == "tied"}
    total = 0.3 * fmean(s[0] for s in tied.values()) + 0.3 * fmean(s[0] for s in refs.values())
    for number in refs.keys() & tied.keys():
        spread, gap, hard = tied[number][1], tied[number][2], min(tied[number][2], refs[number][2])
        ratio = hard / spread if spread else (math.copysign(math.inf, hard) if hard else math.nan)
        more = 0.0 if math.isnan(ratio) else math.tanh(ratio - 1)
        total += (0.2 * (gap > spread) + 0.2 * (hard > spread) + 0.01 * more) / len(refs.keys() & tied.keys())
    return total


def of_ties(rows: Sequence[tuple[str, int, Scores]], *, as_theirs: bool = True) -> float:
    items = [item(row_id, TIES, n_right, len(scores)) for row_id, n_right, scores in rows]
    ones = np.ones((1, len(rows)))
    return float(ties_score(items, [scored(*scores) for _, _, scores in rows], ones, as_theirs=as_theirs)[0])


def test_the_example_of_ties_in_the_docs() -> None:
    rows: list[tuple[str, int, Scores]] = [
        ("ref:0", 1, [8, 3]),
        ("tied:0", 2, [8, 7, 4]),
        ("ref:1", 1, [6, 5]),
        ("tied:1", 2, [9, 5, 6]),
    ]
    # both refs and one of the two tied are accurate; 3 is wider than the spread 1, and -1 is not wider than 4
    margin = 0.01 * (math.tanh(3 / 1 - 1) + math.tanh(-1 / 4 - 1)) / 2
    assert of_ties(rows) == pytest.approx(0.3 * 0.5 + 0.3 * 1 + 0.2 * 0.5 + 0.2 * 0.5 + margin)
    assert of_ties(rows) == pytest.approx(0.650579, abs=1e-6)


def test_ties_are_those_of_the_paper_for_random_scores_with_equal_and_missing_ones() -> None:
    random = Random(0)
    for _ in range(50):
        rows: list[tuple[str, int, Scores]] = []
        for number in range(random.randint(1, 8)):
            for kind, n_right in (("ref", 1), ("tied", random.randint(2, 5))):
                n = n_right + random.randint(1, 4)
                rows.append((f"{kind}:{number}", n_right, [random.choice([None, 1, 2, 3, 4, 5]) for _ in range(n)]))
        assert of_ties(rows) == pytest.approx(ties_by_the_paper(rows))


def test_a_missing_score_in_ties_is_no_rating_in_our_count() -> None:
    rows: list[tuple[str, int, Scores]] = [("ref:0", 1, [8, 3]), ("tied:0", 2, [8, 7, None])]
    assert of_ties(rows) == pytest.approx(0.3 + 0.3 + 0.2 + 0.2 + 0.01 * math.tanh(5 / 1 - 1))
    assert of_ties(rows, as_theirs=False) == pytest.approx(0.3)  # of the ref alone


# aggregates


def test_rewardbench_2_is_the_mean_of_six_subsets_of_any_size() -> None:
    items, outcomes = [], []
    for place, subset in enumerate(V2_SUBSETS[:-1]):
        items += [item(f"{subset}{n}", subset, n=4) for n in range(place + 1)]
        outcomes += [scored(2, 1, 1, 1 if n else 3) for n in range(place + 1)]
    items += [item("ref:0", TIES, 1, 2), item("tied:0", TIES, 2, 3)]
    outcomes += [scored(2, 1), scored(2, 2, 1)]
    bench = Bench("RewardBench 2", items)
    shares = [0, 1 / 2, 2 / 3, 3 / 4, 4 / 5, 1 + 0.01]
    assert plain(bench, outcomes) == {"mean of the six subsets": pytest.approx(100 * fmean(shares))}
    assert plain(Bench("RewardBench 2", items[1:]), outcomes[1:]) == {}  # a subset is missing


def test_rewardbench_weighs_subsets_by_its_counts() -> None:
    items = [item(name, name) for section in SECTIONS.values() for name in section]
    outcomes = [scored(2, 1) if pair.subset in ("math-prm", "alpacaeval-easy") else scored(1, 2) for pair in items]
    found = plain(Bench("RewardBench", items), outcomes)
    assert found["Chat"] == pytest.approx(100 * 100 / 358) and found["Reasoning"] == pytest.approx(50)
    assert found["mean of the four sections"] == pytest.approx((100 * 100 / 358 + 50) / 4)
    assert SECTIONS["Safety"]["xstest-should-respond"] == 250  # as in the data


def test_judgebench_s_overall_is_over_pairs_and_not_over_categories() -> None:
    sources = ["mmlu-pro-law", "mmlu-pro-math", "livebench-math", "livecodebench"]
    items = [item(str(n), source) for n, source in enumerate(sources)]
    found = plain(Bench("JudgeBench", items), [games(1, 1), games(1, None), games(0, 1), games(0, 0)])
    assert found == {"knowledge": 100, "math": 0, "coding": 0, "overall, of all pairs": 50}
    assert set(found) - {"overall, of all pairs"} <= set(JUDGEBENCH)


def test_llmbar_averages_sets_and_orders_and_has_an_agreement() -> None:
    names = ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual")
    bench = Bench("LLMBar", [item(name, name) for name in names])
    found = plain(bench, [games(1, 1), games(1, 0), games(0, 0), games(1, 1), games(0, 0)])
    assert found["mean of the adversarial sets"] == pytest.approx(100 * (0.5 + 0 + 1 + 0) / 4)
    assert found["mean of the five sets"] == pytest.approx(50) and found["both orders agree"] == 80
    assert "both orders agree" not in plain(bench, [scored(2, 1)] * 5)


def test_rmbench_is_the_matrix_of_its_paper() -> None:
    random, items, outcomes = Random(1), [], []
    matrices: dict[str, list[list[int]]] = {}
    for domain in ("chat", "math", "code", "safety-refuse", "safety-response"):
        for number in range(4):
            right, wrong = ([random.randint(1, 4) for _ in range(3)] for _ in range(2))
            for i in range(3):
                for j in range(3):
                    level = "hard" if i < j else "normal" if i == j else "easy"
                    items.append(item(f"{domain}{number}{i}{j}", domain, level=level))
                    outcomes.append(scored(right[i], wrong[j]))
                    cells = matrices.setdefault(domain.split("-")[0] + level, [])
                    cells.append([int(right[i] > wrong[j])])
    found = plain(Bench("RM-Bench", items), outcomes)
    mean = {name: 100 * float(np.mean(cells)) for name, cells in matrices.items()}
    domains, levels = ("chat", "math", "code", "safety"), ("hard", "normal", "easy")
    for domain in domains:
        assert found[domain] == pytest.approx(fmean(mean[domain + level] for level in levels))
    for level in levels:
        assert found[level] == pytest.approx(fmean(mean[domain + level] for domain in domains))
    assert found["mean of the four domains"] == pytest.approx(fmean(found[domain] for domain in domains))


def test_ppe_has_a_mean_only_with_all_five_correctness_sets() -> None:
    items = [item(name, name) for name in PPE_SETS]
    outcomes = [scored(2, 1)] * 4 + [scored(1, 2)]
    assert plain(Bench("PPE", items), outcomes) == {"mean of the five correctness sets": pytest.approx(80)}
    assert plain(Bench("PPE", items[:4]), outcomes[:4]) == {}


def test_the_mean_of_a_subset_follows_the_weights_of_a_resample() -> None:
    bench = Bench("JudgeBench", [item("1", "a"), item("2", "a"), item("3", "b")])
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 0, 3]])
    means = subset_means(bench, [scored(2, 1), scored(1, 2), scored(2, 1)], weights, as_theirs=True)
    assert means["a"][:2].tolist() == [0.5, 1.0] and math.isnan(means["a"][2])
    assert means["b"][0] == 1.0 and math.isnan(means["b"][1])
