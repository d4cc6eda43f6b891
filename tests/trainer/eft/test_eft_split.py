from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.labelled.ranked import RankedAnswers, opening_of
from judges.labelled.ranked_files import read_ranked
from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import load_rubric
from records.files import BadRows
from trainer.eft.examples import JudgeExample, from_ranks, resampled
from trainer.eft.split import Shares, split_trees

RUBRIC = load_rubric("additive")


def answers(name: str = "p", ranks: tuple[int, ...] = (0, 1, 2)) -> RankedAnswers:
    return RankedAnswers(id=name, prompt=name, responses=[f"answer {n}" for n in range(len(ranks))], ranks=list(ranks))


def test_no_tree_of_the_real_set_is_in_two_parts(data: Path) -> None:
    ranked = read_ranked(data / "oasst" / "en_100_tree.jsonl.gz", BadRows())
    split = split_trees(ranked, Shares(0.3, 0.3), 0)
    parts = [{opening_of(one) for one in part} for part in (split.ift, split.eft, split.held_out)]
    assert [len(part) for part in parts] == [30, 40, 30] and len(set.union(*parts)) == 100
    assert sum(map(len, (split.ift, split.eft, split.held_out))) == len(ranked) == 212


def test_a_split_depends_on_the_seed_and_not_on_the_order() -> None:
    ranked = [answers(f"p{n}") for n in range(30)]
    shares = Shares(0.3, 0.3)
    split, turned = split_trees(ranked, shares, 0), split_trees(ranked[::-1], shares, 0)
    assert {one.id for one in split.held_out} == {one.id for one in turned.held_out}
    assert {one.id for one in split.ift} == {one.id for one in turned.ift}
    assert {one.id for one in split.held_out} != {one.id for one in split_trees(ranked, shares, 1).held_out}


def test_a_prompt_that_stands_twice_is_in_one_part() -> None:
    ranked = [answers(f"p{n}") for n in range(12)] + [answers(f" P{n} ") for n in range(12)]
    split = split_trees(ranked, Shares(0.3, 0.3), 0)
    for part in (split.ift, split.eft, split.held_out):
        assert set(Counter(opening_of(one) for one in part).values()) == {2}


@pytest.mark.parametrize(
    ("rubric", "ranks", "scores"),
    [
        ("additive", (0, 1), [5, 0]),
        ("additive", (1, 2, 0, 3, 4, 5), [4, 3, 5, 2, 1, 0]),
        ("additive", (0, 0, 1), [5, 5, 0]),
        ("multiple_choice", (0, 1, 2), [5, 3, 1]),
        ("safety", (0, 1), [1, 0]),
    ],
)
def test_ranks_lie_evenly_on_the_rubrics_scale(rubric: str, ranks: tuple[int, ...], scores: list[float]) -> None:
    for read in ("text", "logprobs"):
        examples = from_ranks(answers(ranks=ranks), load_rubric(rubric), read)  # type: ignore[arg-type]
        assert [example.score for example in examples] == scores
        replies = [example.messages[-1]["content"] for example in examples]
        assert [parse_reply(reply, load_rubric(rubric)).value for reply in replies] == scores


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.integers(0, 5), st.integers(1, 60), min_size=1),
    max_share=st.floats(0.05, 1.0),
    seed=st.integers(0, 3),
)
def test_no_score_has_more_than_its_share(counts: dict[int, int], max_share: float, seed: int) -> None:
    examples = [
        JudgeExample(id=f"{score}-{n}", prompt_id="p", messages=[], score=score, rank=0)
        for score, count in counts.items()
        for n in range(count)
    ]
    kept = resampled(examples, max_share, seed)
    share = max(max_share, 1 / len(counts))
    after = Counter(example.score for example in kept)
    assert after.keys() == counts.keys() and max(after.values()) <= share * len(kept) + 1e-6
    assert {one.id for one in resampled(examples[::-1], max_share, seed)} == {one.id for one in kept}
    cap = max(after.values())
    assert after == {score: min(count, cap) for score, count in counts.items()}  # only the commonest are thinned
    if cap < max(counts.values()):  # and not further than needed
        assert cap + 1 > share * sum(min(count, cap + 1) for count in counts.values())
