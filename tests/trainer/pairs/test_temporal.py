from pathlib import Path

import msgspec
import pytest

from console.errors import InputError
from records import Pair
from records.store import write_rows
from tests.trainer.pairs.test_pairs import checked, judged
from trainer.pairs.options import PairOptions
from trainer.pairs.temporal import temporal_pairs

INITIAL = [judged("p", "old good", 4.0), judged("p", "old poor", 1.0), judged("p", "old mute", None)]
LATER = [judged("p", "new good", 4.5), judged("p", "new poor", 0.5)]


def texts(pair: Pair) -> tuple[str, str]:
    return pair.chosen[0]["content"], pair.rejected[0]["content"]


def test_the_later_best_is_chosen_against_the_initial_worst() -> None:
    [pair], counts = temporal_pairs(INITIAL, LATER, PairOptions())
    assert texts(pair) == ("new good", "old poor") and pair.margin == 3.5
    assert (counts.n_prompts, counts.n_pairs, counts.n_unscored) == (1, 1, 1)


def test_a_later_model_that_is_no_better_gives_no_pair() -> None:
    later = [judged("p", "new", 1.0), judged("q", "new", 3.0)]
    initial = [judged("p", "old", 1.0), judged("r", "old", 1.0)]
    pairs, counts = temporal_pairs(initial, later, PairOptions())
    assert pairs == [] and (counts.n_prompts, counts.n_tied, counts.n_too_few) == (3, 1, 2)
    worse = temporal_pairs([judged("p", "old", 2.0)], [judged("p", "new", 1.0)], PairOptions())[1]
    assert (worse.n_worse, worse.n_tied) == (1, 0)


def test_one_answer_of_each_is_enough_and_the_filters_are_those_of_other_pairs(tmp_path: Path) -> None:
    initial, later = [judged("p", "old", 1.0)], [judged("p", "new", 3.0)]
    assert temporal_pairs(initial, later, PairOptions())[1].n_pairs == 1
    assert temporal_pairs(initial, later, PairOptions(min_margin=2.0))[1].n_near == 1
    second = [msgspec.structs.replace(row, judge="second", score=2.0) for row in (*initial, *later)]
    write_rows(tmp_path / "second.jsonl", second)
    assert temporal_pairs(initial, later, PairOptions(second_judge=tmp_path / "second.jsonl"))[1].n_disagreed == 1
    refuted = [checked("p", "new", 3.0, 1, 1)], [checked("p", "old", 1.0, 1, 0)]
    assert temporal_pairs(refuted[1], refuted[0], PairOptions(evidence="no-refuted"))[1].n_refuted == 1


def test_length_control_looks_at_each_generation_apart() -> None:
    initial = [judged("p", "old, and long-winded at that", 1.2), judged("p", "old", 1.0), judged("p", "x" * 99, 4.0)]
    later = [judged("p", "new, and long-winded", 5.0), judged("p", "new", 4.8), judged("p", "n", 3.0)]
    [pair], _ = temporal_pairs(initial, later, PairOptions(rho=0.1))
    assert texts(pair) == ("new", "old, and long-winded at that")


def test_one_judge_must_have_scored_both() -> None:
    later = [msgspec.structs.replace(row, judge="other") for row in LATER]
    with pytest.raises(InputError, match="2 judges or rubrics"):
        temporal_pairs(INITIAL, later, PairOptions())
