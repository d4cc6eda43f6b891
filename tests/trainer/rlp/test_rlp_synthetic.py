"""Synthetic pairs of answers whose meanings and rewards are known: a text means what its first letter says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainer.rlp.synthetic
from console.errors import InputError
from console.ranges import check_ranges
from engines.protocol import Engine, Request
from engines.scripted import ScriptedEngine
from judges.cluster.equivalence import FloatNN
from judges.cluster.equivalences.options import EquivalenceOptions
from judges.cluster.equivalences.texts import SameText
from records import Comparison, Judgment, Pair, Usage, read_rows
from records.store import write_rows
from tests.fences import plain as uncoded
from trainer.rlp.preferences import labelled_pairs, n_turned_round, with_noise
from trainer.rlp.synthetic import OUTCOMES, synthetic_pairs
from trainer.rlp.synthetic_options import Method, SyntheticOptions

Answers = Sequence[tuple[str, float | None]]
SETS: dict[str, Answers] = {
    "half agree": [("a1", 0.1), ("a2", 0.9), ("a3", 0.5), ("b", 2.0), ("c", 3.0), ("d", -1.0)],
    "all agree": [("a1", 0.1), ("a2", 0.9), ("a3", 0.5)],
    "all differ": [("a", 0.1), ("b", 0.9), ("c", 0.5), ("d", 0.0)],
    "a tie in size": [("a1", 0.1), ("a2", 0.2), ("b1", 0.3), ("b2", 0.0)],
    "no rewards": [("a1", None), ("a2", None), ("b", None)],
    "none in the largest": [("a1", None), ("a2", None), ("b", 1.0)],
    "one text": [("a", 0.1), ("a", 0.1)],
    "one answer": [("a", 0.1), ("", None)],
}


def letters(texts: list[str]) -> tuple[FloatNN, tuple[int, ...]]:
    return np.array([[float(a[0] == b[0]) for b in texts] for a in texts]), ()


@pytest.fixture(autouse=True)
def meanings(monkeypatch: pytest.MonkeyPatch) -> None:
    same = SameText("letters", "letters", letters)
    monkeypatch.setattr(trainer.rlp.synthetic, "open_equivalence", lambda options, engine: same)


def judgment(prompt: str, number: int, text: str, score: float | None) -> Judgment:
    return Judgment(
        id=f"{prompt} {number} judged", response_id=f"{prompt} {number}", prompt_id=prompt, prompt=prompt,
        response=text, model="iter2", score=score, scores=[score], replies=[],
        error=None if score is not None else "no reward", spread=None, rubric="reward", judge="r", usage=Usage(),
    )  # fmt: skip


def no_policy() -> Engine:
    raise AssertionError("the policy is not to be asked")


def made(
    folder: Path,
    sets: dict[str, Answers],
    options: SyntheticOptions,
    policy: ScriptedEngine | None = None,
    seed: int = 0,
) -> tuple[dict[str, int], dict[str, Pair]]:
    rows = [judgment(name, n, *answer) for name, answers in sets.items() for n, answer in enumerate(answers)]
    write_rows(folder / "judgments.jsonl", rows)
    counts = synthetic_pairs(
        folder / "judgments.jsonl", folder, options, seed, no_policy if policy is None else lambda: policy
    )
    return counts, {pair.prompt_id: pair for pair in read_rows(folder / "pairs.jsonl", Pair)}


def sides(pair: Pair) -> tuple[str, str]:
    return pair.chosen[0]["content"], pair.rejected[0]["content"]


def test_spg_chooses_the_best_rewarded_of_the_largest_cluster_and_rejects_any_answer_outside(tmp_path: Path) -> None:
    counts, pairs = made(tmp_path, SETS, SyntheticOptions(weight=0.5))
    assert counts == dict.fromkeys(OUTCOMES, 0) | {
        "pair": 2, "all agree": 2, "under gamma": 1, "unscored": 2, "too few": 1,
    }  # fmt: skip
    assert set(pairs) == {"half agree", "a tie in size"}
    chosen, rejected = sides(pairs["half agree"])
    assert chosen == "a2" and rejected in ("b", "c", "d")
    half = pairs["half agree"]
    assert (half.confidence, half.chosen_score, half.judge, half.weight) == (0.5, 0.9, "r", 0.5)
    assert sides(pairs["a tie in size"])[0] == "b1"  # of two equal clusters the one with the highest reward


def test_the_rejected_answer_is_drawn_from_all_others_whatever_its_reward(tmp_path: Path) -> None:
    options = SyntheticOptions()
    drawn = {sides(made(tmp_path, SETS, options, seed=seed)[1]["half agree"])[1] for seed in range(20)}
    assert drawn == {"b", "c", "d"}


def test_select_all_takes_the_prompts_that_gamma_leaves_out(tmp_path: Path) -> None:
    counts, pairs = made(tmp_path, SETS, SyntheticOptions(method="select_all"))
    assert (counts["pair"], counts["under gamma"]) == (3, 0)
    assert sides(pairs["all differ"])[0] == "b"  # clusters of one: the highest reward


def test_by_reward_two_different_answers_are_drawn_and_the_better_rewarded_one_is_chosen(tmp_path: Path) -> None:
    sets = SETS | {"equal": [("a", 1.0), ("b", 1.0)]}
    counts, pairs = made(tmp_path, sets, SyntheticOptions(method="reward"))
    assert counts["tied"] == 1 and counts["all agree"] == 1 and counts["too few"] == 1
    assert counts["unscored"] >= 1 and sum(counts.values()) == len(sets)
    rewards = {name: dict(answers) for name, answers in sets.items()}
    for name, pair in pairs.items():
        chosen, rejected = sides(pair)
        high, low = rewards[name][chosen], rewards[name][rejected]
        assert high is not None and low is not None and high > low and pair.margin == high - low
    drawn = {
        sides(made(tmp_path, sets, SyntheticOptions(method="reward"), seed=seed)[1]["all differ"]) for seed in range(40)
    }
    assert len(drawn) == 6  # every two of four, each in the order of its rewards


def likes_late_letters(request: Request, choices: Sequence[str]) -> list[float]:
    a, b = (uncoded(request.messages[0]["content"]).split(f"<answer_{side}>\n")[1].split("\n")[0] for side in "ab")
    return [-0.1, -3.0] if a[0] > b[0] else [-3.0, -0.1] if a[0] < b[0] else [-0.5, -2.0]


def test_rlaif_asks_the_policy_in_both_orders_about_the_same_two_and_drops_what_it_flips(tmp_path: Path) -> None:
    policy = ScriptedEngine(logprobs=likes_late_letters)
    counts, pairs = made(tmp_path, SETS, SyntheticOptions(method="rlaif"), policy)
    assert len(policy.asked) == 2 * 6  # six prompts have two texts
    assert sum(counts.values()) == len(SETS) and counts["pair"] == len(pairs) and counts["tied"] > 0
    assert all(chosen[0] > rejected[0] for chosen, rejected in map(sides, pairs.values()))
    assert all(pair.chosen_score is None for pair in pairs.values())
    _, by_reward = made(tmp_path / "reward", SETS, SyntheticOptions(method="reward"))
    assert all(set(sides(pairs[name])) == set(sides(by_reward[name])) for name in pairs.keys() & by_reward.keys())
    assert pairs.keys() & by_reward.keys()
    again = ScriptedEngine(logprobs=likes_late_letters)
    assert made(tmp_path, SETS, SyntheticOptions(method="rlaif"), again) == (counts, pairs) and again.asked == []


@pytest.mark.parametrize("method", ["spg", "reward"])
def test_nothing_depends_on_the_order_of_the_answers(tmp_path: Path, method: Method) -> None:
    turned = {name: answers[::-1] for name, answers in SETS.items()}
    options = SyntheticOptions(method=method)
    first, second = (made(tmp_path / name, sets, options) for name, sets in (("one", SETS), ("two", turned)))
    assert first[0] == second[0] and {n: sides(p) for n, p in first[1].items()} == {
        n: sides(p) for n, p in second[1].items()
    }


def test_the_clusters_are_kept_beside_the_pairs(tmp_path: Path) -> None:
    made(tmp_path, SETS, SyntheticOptions())
    rows = [json.loads(line) for line in (tmp_path / "clusters.jsonl").read_text().splitlines()]
    assert [row["prompt_id"] for row in rows] == list(SETS)
    assert [row["sizes"] for row in rows][:4] == [[3, 1, 1, 1], [3], [1, 1, 1, 1], [2, 2]]


def plain(n: int) -> list[Pair]:
    return [
        Pair(
            prompt=[{"role": "user", "content": f"Q{k}"}], prompt_id=str(k),
            chosen=[{"role": "assistant", "content": "x"}], rejected=[{"role": "assistant", "content": "y"}],
        )
        for k in range(n)
    ]  # fmt: skip


def test_label_noise_is_seeded_counted_and_independent_of_the_order() -> None:
    pairs = plain(1000)
    noisy = with_noise(pairs, 0.25, seed=1)
    assert noisy == with_noise(pairs, 0.25, seed=1) != with_noise(pairs, 0.25, seed=2)
    assert with_noise(pairs[::-1], 0.25, seed=1) == noisy[::-1]
    turned = [sides(pair) == ("y", "x") for pair in noisy]
    assert n_turned_round(noisy) == sum(turned) and abs(sum(turned) - 250) < 3 * (1000 * 0.25 * 0.75) ** 0.5
    assert with_noise(pairs, 0.0, seed=1) == pairs


def compared(winner: Any, preference_b: float | None = None) -> Comparison:
    return Comparison(
        id=f"{winner} {preference_b}", prompt_id="p", prompt="Q", response_a="x", response_b="y", model_a="a",
        model_b="b", winner=winner, first_order=None, second_order=None, flipped=None, preference_b=preference_b,
        replies=[], error=None, rubric="pairwise", judge="j", usage=Usage(),
    )  # fmt: skip


def test_only_a_verdict_for_one_answer_is_a_preference() -> None:
    rows = [compared(winner) for winner in ("a", "b", "tie", None)]
    assert [sides(pair) for pair in labelled_pairs(rows)] == [("x", "y"), ("y", "x")]


def test_by_the_mean_a_judge_that_names_the_same_place_in_both_orders_still_prefers_an_answer() -> None:
    rows = [compared("tie", 0.49), compared("tie", 0.52), compared("tie", 0.5), compared("b", 0.9), compared(None)]
    assert [sides(pair) for pair in labelled_pairs(rows, by_mean=True)] == [("x", "y"), ("y", "x"), ("y", "x")]
    assert [sides(pair) for pair in labelled_pairs(rows)] == [("y", "x")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SyntheticOptions(gamma=1.5), r"gamma must be in \[0, 1\]"),
        (SyntheticOptions(weight=0.0), "weight must be above 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(options: SyntheticOptions, words: str) -> None:
    assert options.relation == EquivalenceOptions()
    with pytest.raises(InputError, match=words):
        check_ranges(options)
