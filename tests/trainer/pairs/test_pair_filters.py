from dataclasses import replace
from math import log
from pathlib import Path
from statistics import NormalDist

import msgspec
import pytest

from console.errors import InputError, JudgeError
from records import Judgment, Pair, Vote
from records.store import write_rows
from tests.trainer.pairs.test_pairs import checked, judged
from trainer.pairs.__main__ import main
from trainer.pairs.confidence import confidence_of
from trainer.pairs.filters import largest_class, widest_of, within_share
from trainer.pairs.flags import Config
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import make_pairs

ROWS = [judged("p", "good", 4.0), judged("p", "fair", 3.0), judged("p", "poor", 1.0)]


def vote(winner: str, voter: str = "ann", a: str = "good", b: str = "poor") -> Vote:
    return Vote(at="2026-01-01", voter=voter, prompt_id="p", a_id=a, b_id=b, winner=winner, blind=True)  # type: ignore[arg-type]


def with_votes(tmp_path: Path, *votes: Vote, rows: list[Judgment] = ROWS, **options: object) -> str:
    """Return what is chosen, or nothing where the pair is dropped."""
    write_rows(tmp_path / "votes.jsonl", votes)
    pairs, counts = make_pairs(rows, PairOptions(votes=tmp_path / "votes.jsonl", **options))  # type: ignore[arg-type]
    assert counts.n_pairs + counts.n_outvoted + counts.n_refuted == 1
    return pairs[0].chosen[0]["content"] if pairs else ""


def test_a_vote_against_a_pair_drops_it_or_turns_it_round(tmp_path: Path) -> None:
    assert with_votes(tmp_path, vote("b")) == ""
    assert with_votes(tmp_path, vote("b"), on_vote="overrule") == "poor"
    assert with_votes(tmp_path, vote("a", a="poor", b="good"), on_vote="overrule") == "poor"
    write_rows(tmp_path / "votes.jsonl", [vote("b")])
    [pair], counts = make_pairs(ROWS, PairOptions(votes=tmp_path / "votes.jsonl", on_vote="overrule"))
    assert (pair.margin, pair.confidence, counts.n_overruled, counts.n_pairs) == (-3.0, 1.0, 1, 1)


def test_a_vote_for_the_pair_or_on_other_answers_leaves_it(tmp_path: Path) -> None:
    assert with_votes(tmp_path, vote("a")) == "good"
    assert with_votes(tmp_path, vote("b", b="fair")) == "good"
    assert with_votes(tmp_path) == "good"


def test_the_majority_decides_and_a_voters_last_word_counts(tmp_path: Path) -> None:
    assert with_votes(tmp_path, vote("b"), vote("a", "bob"), vote("a", "cy")) == "good"
    assert with_votes(tmp_path, vote("b"), vote("a", "bob")) == ""
    assert with_votes(tmp_path, vote("b"), vote("a")) == "good"
    assert with_votes(tmp_path, vote("tie"), on_vote="overrule") == ""


def test_people_go_before_the_evidence(tmp_path: Path) -> None:
    rows = [checked("p", "good", 4, 1, 1), checked("p", "poor", 1, 1, 0)]
    assert with_votes(tmp_path, rows=rows, evidence="no-refuted") == ""
    assert with_votes(tmp_path, vote("a"), rows=rows, evidence="no-refuted") == "good"


def second(tmp_path: Path, scores: dict[str, float | None], judge: str = "second") -> PairOptions:
    rows = [msgspec.structs.replace(judged("p", text, score), judge=judge) for text, score in scores.items()]
    write_rows(tmp_path / "second.jsonl", rows)
    return PairOptions(second_judge=tmp_path / "second.jsonl")


@pytest.mark.parametrize(
    ("scores", "n_pairs"),
    [
        ({"good": 9.0, "poor": 2.0}, 1),
        ({"good": 2.0, "poor": 9.0}, 0),
        ({"good": 5.0, "poor": 5.0}, 0),
        ({"good": 9.0, "poor": None}, 0),
        ({"good": 9.0}, 0),
    ],
)
def test_a_second_judge_must_order_the_pair_the_same_way(
    scores: dict[str, float | None], n_pairs: int, tmp_path: Path
) -> None:
    _, counts = make_pairs(ROWS, second(tmp_path, scores))
    assert (counts.n_pairs, counts.n_disagreed) == (n_pairs, 1 - n_pairs)


def test_a_second_judge_who_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same judge"):
        make_pairs(ROWS, second(tmp_path, {"good": 1.0}, judge="fp"))
    with pytest.raises(InputError, match="no judgment on these responses"):
        make_pairs(ROWS, second(tmp_path, {"another answer": 1.0}))
    with pytest.raises(InputError, match="no such file"):
        make_pairs(ROWS, PairOptions(second_judge=tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="no such file"):
        make_pairs(ROWS, PairOptions(votes=tmp_path / "none.jsonl"))


@pytest.mark.parametrize(("scores", "is_enough"), [({"good": 9, "fair": 4, "poor": 2}, True), ({"good": 9}, False)])
def test_a_second_judge_who_scores_too_few_answers_fails_the_command_that_makes_pairs(
    scores: dict[str, int], is_enough: bool, tmp_path: Path
) -> None:
    more = [judged("q", "right", 4.0), judged("q", "wrong", 1.0)]
    write_rows(tmp_path / "j.jsonl", [*ROWS, *more])
    seconded = [*(judged("q", text, score) for text, score in (("right", 5.0), ("wrong", 2.0))),
                *(judged("p", text, score) for text, score in scores.items())]  # fmt: skip
    write_rows(tmp_path / "second.jsonl", [msgspec.structs.replace(row, judge="second") for row in seconded])
    config = Config(
        file=tmp_path / "j.jsonl", out=tmp_path / "p.jsonl", pairs=PairOptions(second_judge=tmp_path / "second.jsonl")
    )
    if not is_enough:
        with pytest.raises(JudgeError, match="only 3 of 5 answers have a score, under --min-coverage 0.9"):
            main(config)
        config = replace(config, min_coverage=0.6)
    main(config)
    assert (tmp_path / "p.jsonl").exists()


def scored(number: int, score: float) -> Pair:
    return Pair(prompt=[], chosen=[], rejected=[], prompt_id=str(number), chosen_score=score)


def test_no_class_of_scores_is_more_than_its_share_of_what_is_left() -> None:
    scores = [5.0] * 50 + [4.2] * 20 + [3.0] * 20 + [1.0] * 5
    pairs = [scored(n, score) for n, score in enumerate(scores)]
    kept = list(within_share(pairs, 0.4, 1.0, seed=0))
    fives = sum(pair.chosen_score == 5.0 for pair in kept)
    assert fives == 30 and len(kept) == 75  # 30 of 75 are 0.4, 31 of 76 are more
    assert {pair.prompt_id for pair in within_share(pairs[::-1], 0.4, 1.0, seed=0)} == {p.prompt_id for p in kept}
    assert list(within_share(pairs, 0.4, 1.0, seed=1)) != kept
    assert [pair.prompt_id for pair in kept] == sorted((pair.prompt_id for pair in kept), key=int)


def test_the_widest_margins_stay_whatever_their_size() -> None:
    bests = [0.11, 0.14, 0.12, 0.13, 0.3]
    rows = [judged(str(n), f"{n}{text}", s) for n, best in enumerate(bests) for text, s in (("a", best), ("b", 0.1))]
    pairs, counts = make_pairs(rows, PairOptions(widest=0.4))
    assert [pair.prompt_id for pair in pairs] == ["1", "4"]  # in the order of the prompts
    assert (counts.n_pairs, counts.n_narrow, counts.n_filtered) == (2, 3, 3)
    assert len(make_pairs(rows, PairOptions(widest=0.41))[0]) == 3  # rounded up
    assert len(make_pairs(rows, PairOptions(widest=0.01))[0]) == 1


def test_of_equal_margins_the_seed_draws_whatever_the_order() -> None:
    pairs = [scored(n, 5.0) for n in range(30)]
    drawn = [{pair.prompt_id for pair in widest_of(rows, 0.1, seed)} for rows, seed in
             ((pairs, 0), (pairs[::-1], 0), (pairs, 1))]  # fmt: skip
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 3


def test_a_swapped_pair_counts_with_the_size_of_its_margin() -> None:
    swapped = [msgspec.structs.replace(scored(n, 5.0), margin=margin) for n, margin in enumerate((-3.0, 1.0, 2.0))]
    assert [pair.margin for pair in widest_of(swapped, 0.5, 0)] == [-3.0, 2.0]


@pytest.mark.parametrize(
    ("sizes", "share", "largest"),
    [([80, 20], 0.4, 20), ([7], 0.4, 7), ([10, 10, 10], 0.1, 10), ([3, 1], 1.0, 3), ([100, 30, 30], 0.5, 60)],
)
def test_few_classes_are_made_as_even_as_they_can_be(sizes: list[int], share: float, largest: int) -> None:
    assert largest_class(sizes, share) == largest


def test_a_score_that_is_too_common_is_counted() -> None:
    scores = [5.0, 5.0, 5.0, 5.0, 4.0, 3.0]
    rows = [judged(str(n), f"{n}{text}", s) for n, best in enumerate(scores) for text, s in (("a", best), ("b", 0.0))]
    pairs, counts = make_pairs(rows, PairOptions(max_score_share=0.4), seed=3)
    # With three classes and 0.4 each: two fives of four rows would be 0.5, one of three is a third.
    assert (counts.n_pairs, counts.n_capped, counts.n_prompts) == (3, 3, 6)
    assert sorted(pair.chosen_score or 0 for pair in pairs) == [3.0, 4.0, 5.0]


def test_the_scale_of_an_unknown_rubric_is_not_guessed() -> None:
    rows = [msgspec.structs.replace(row, rubric="mine") for row in ROWS]
    with pytest.raises(InputError, match="'mine' is not one of this project's"):
        make_pairs(rows, PairOptions(max_score_share=0.4))


def sampled(scores: list[float | None], **changes: object) -> Judgment:
    known = [score for score in scores if score is not None]
    row = judged("p", str(scores), sum(known) / len(known))
    return msgspec.structs.replace(row, scores=scores, **{"read": "text", **changes})


def test_confidence_of_samples_counts_wins_and_half_ties() -> None:
    assert confidence_of(sampled([4, 4, 4]), sampled([1, 2, 3])) == pytest.approx(10 / 11)
    # 4 beats 3 and 3; 2 loses twice; 3 ties twice: 2 + 0 + 1 of 6.
    assert confidence_of(sampled([4, 2, 3]), sampled([3, None, 3])) == pytest.approx(4 / 8)
    assert confidence_of(sampled([5]), sampled([1])) == pytest.approx(2 / 3)


def test_judges_of_a_panel_are_compared_with_themselves() -> None:
    one, other = (sampled(scores, read="panel", members=["x", "y"]) for scores in ([4, 2], [3, 1]))
    assert confidence_of(one, other) == pytest.approx(3 / 4)  # both prefer the first, although 2 is under 3


def distributed(probabilities: dict[str, float], **changes: object) -> Judgment:
    reply = msgspec.json.encode({choice: log(p) if p else None for choice, p in probabilities.items()}).decode()
    row = judged("p", reply, sum(float(c) * p for c, p in probabilities.items()) / sum(probabilities.values()))
    return msgspec.structs.replace(row, read="logprobs", replies=[reply], **changes)


def test_confidence_of_distributions_is_the_chance_that_one_exceeds_the_other() -> None:
    chosen = distributed({"3": 0.2, "4": 0.4, "5": 0.2})  # 1/4, 1/2, 1/4 of the mass
    rejected = distributed({"3": 0.5, "4": 0.5, "5": 0.0})
    # 3 ties half: 1/4 x 1/4; 4 beats half and ties half: 1/2 x 3/4; 5 beats all: 1/4.
    assert confidence_of(chosen, rejected) == pytest.approx(1 / 16 + 3 / 8 + 1 / 4)
    assert confidence_of(chosen, chosen) == pytest.approx(0.5)
    first_version = [msgspec.structs.replace(row, read="") for row in (chosen, rejected)]
    assert confidence_of(*first_version) == confidence_of(chosen, rejected)


def test_words_are_worth_what_their_rubric_says() -> None:
    def safety(reply: str) -> Judgment:
        row = judged("p", reply, 1.0)
        return msgspec.structs.replace(row, rubric="safety", read="logprobs", replies=[reply])

    sure, unsure = safety('{"safe": 0.0, "unsafe": null}'), safety(f'{{"safe": {log(0.5)}, "unsafe": {log(0.5)}}}')
    assert confidence_of(sure, unsure) == pytest.approx(0.75)


def test_without_samples_the_margin_is_held_against_the_spread() -> None:
    rows = [
        msgspec.structs.replace(judged("p", text, score), read="logprobs", replies=["x", "y"], spread=spread)
        for text, score, spread in (("a", 4.0, 0.3), ("b", 3.5, 0.4))
    ]
    assert confidence_of(*rows) == pytest.approx(NormalDist().cdf(1.0))  # 0.5 over the root of 0.09 + 0.16
    assert confidence_of(*(msgspec.structs.replace(row, spread=0.0) for row in rows)) is None
    assert confidence_of(*(msgspec.structs.replace(row, spread=None) for row in rows)) is None


def test_a_score_that_evidence_changed_is_not_what_the_replies_say() -> None:
    chosen, rejected = sampled([5, 5], spread=0.3), sampled([1, 1], spread=0.4)
    changed = msgspec.structs.replace(chosen, score=1.5, evidence={"rubric_score": 5.0})
    assert confidence_of(changed, rejected) == pytest.approx(NormalDist().cdf(1.0))


def test_the_weight_is_how_far_the_confidence_is_from_a_coin() -> None:
    rows = [
        msgspec.structs.replace(sampled([4, 4, 4]), response="a"),
        msgspec.structs.replace(sampled([1, 2, 3]), response="b"),
    ]
    [pair], _ = make_pairs(rows, PairOptions(weight="confidence"))
    assert pair.confidence == pytest.approx(10 / 11) and pair.weight == pytest.approx(9 / 11)
    [plain], _ = make_pairs(rows, replace(PairOptions(), weight="one"))
    assert plain.weight == 1.0


def test_a_second_judge_is_asked_about_each_answer_where_all_share_an_id(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(row, response_id="q1") for row in ROWS]
    others = [msgspec.structs.replace(row, judge="second", id=f"2 {row.id}") for row in rows]
    write_rows(tmp_path / "second.jsonl", others)
    [pair], counts = make_pairs(rows, PairOptions(second_judge=tmp_path / "second.jsonl"))
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"], counts.n_disagreed) == ("good", "poor", 0)


def test_prompts_that_share_an_id_give_a_pair_each_and_none_across(tmp_path: Path) -> None:
    other = [msgspec.structs.replace(row, prompt="another prompt", score=6 - (row.score or 0)) for row in ROWS]
    pairs, counts = make_pairs([*ROWS, *other], PairOptions())
    assert counts.n_prompts == 2 and [pair.chosen[0]["content"] for pair in pairs] == ["good", "poor"]


def test_a_vote_on_an_id_that_several_answers_have_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [ROWS[0], *(msgspec.structs.replace(row, response_id="q1") for row in ROWS[1:])]
    assert with_votes(tmp_path, vote("b", b="q1"), rows=rows) == "good"
    assert "left out: the votes on 1 pairs, because several answers to the prompt have the same id" in (
        capsys.readouterr().err
    )
