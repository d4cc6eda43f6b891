"""Votes are about the two answers whose ids they name; what is about none is counted and said."""

from pathlib import Path

import msgspec
import pytest

from console.errors import InputError
from records import Judgment, Vote
from records.store import write_rows
from tests.trainer.pairs.test_pairs import judged
from trainer.pairs.flags import Config
from trainer.pairs.options import PairOptions
from trainer.pairs.pair_file import make_pair_file
from trainer.pairs.pairing import make_pairs
from trainer.pairs.temporal import temporal_pairs

ROWS = [judged("p", "good", 4.0), judged("p", "fair", 3.0), judged("p", "poor", 1.0)]


def vote(winner: str, voter: str = "ann", prompt: str = "p", a: str = "good", b: str = "poor", at: str = "") -> Vote:
    row = {"at": at or "2026-01-01", "voter": voter, "prompt_id": prompt, "a_id": a, "b_id": b, "winner": winner}
    return msgspec.convert({**row, "blind": True}, Vote)


def chosen(tmp_path: Path, *votes: Vote, rows: list[Judgment] = ROWS) -> str:
    """Return what is chosen where a vote for the other answer turns the pair round; nothing where it is dropped."""
    write_rows(tmp_path / "votes.jsonl", votes)
    pairs, _ = make_pairs(rows, PairOptions(votes=tmp_path / "votes.jsonl", on_vote="overrule"))
    return pairs[0].chosen[0]["content"] if pairs else ""


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (vote("b", prompt="q"), "the votes on 1 pairs, because there is no such prompt_id here: q"),
        (vote("b", b="gone"), "the votes on 1 pairs, because the prompt has no answer of that id: p: gone"),
        (vote("b", a="x", b="y"), "because the prompt has no answer of that id: p: x, y"),
        (vote("b", a="good", b="good"), "because a_id and b_id are the same: p: good"),
    ],
)
def test_a_vote_that_matches_no_two_answers_changes_nothing_and_is_said(
    tmp_path: Path, lost: Vote, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen(tmp_path, lost) == "good"
    err = capsys.readouterr().err
    assert "left out" in err and message in err
    assert chosen(tmp_path, lost, vote("b")) == "poor"


def test_many_lost_votes_are_counted_and_a_few_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen(tmp_path, *(vote("b", prompt=f"q{i}") for i in range(9)), vote("a", "bob", prompt="q0"))
    assert "the votes on 9 pairs, because there is no such prompt_id here: q0; q1; q2; ..." in capsys.readouterr().err


def test_a_vote_that_is_taken_back_counts_no_more_and_another_persons_stays(tmp_path: Path) -> None:
    back = msgspec.structs.replace(vote("b", at="2026-01-02"), winner=None)
    assert chosen(tmp_path, vote("b"), back) == "good"
    assert chosen(tmp_path, vote("b"), back, vote("b", "bob")) == "poor"
    assert chosen(tmp_path, back, vote("b", at="2026-01-03")) == "poor"


def test_how_many_votes_decide_a_pair_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen(tmp_path, vote("b"), vote("a", b="fair"))
    assert "votes on 2 pairs of answers, of which 1 decide a pair; 1 are on answers that form no pair here" in (
        capsys.readouterr().err
    )
    chosen(tmp_path, vote("b"))
    assert "votes on 1 pairs of answers, of which 1 decide a pair\n" in capsys.readouterr().err


def test_exchanged_sides_are_the_same_vote(tmp_path: Path) -> None:
    assert chosen(tmp_path, vote("b", a="poor", b="good")) == "good"
    assert chosen(tmp_path, vote("a", a="poor", b="good")) == "poor"
    both = [vote("a", "ann"), vote("a", "bob", a="poor", b="good"), vote("b", "cy")]
    assert chosen(tmp_path, *both) == "poor"
    assert chosen(tmp_path, vote("b", at="2026-01-01"), vote("b", a="poor", b="good", at="2026-01-02")) == "good"


def test_voters_who_disagree_are_said_and_even_ones_are_for_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen(tmp_path, vote("b"), vote("b", "bob"), vote("a", "cy")) == "poor"
    assert "voters disagree on 1 pairs of answers, where the majority counts: p" in capsys.readouterr().err
    assert chosen(tmp_path, vote("b"), vote("a", "bob")) == ""
    assert "and 1 are even or mostly ties, which is a vote for neither: p" in capsys.readouterr().err
    assert chosen(tmp_path, vote("b"), vote("b", "bob")) == "poor"
    assert "voters disagree" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("winners", "kept"),
    [
        (["b", "tie", "tie"], ""),
        (["a", "tie", "tie"], ""),
        (["b", "tie"], ""),
        (["a", "tie"], ""),
        (["a", "b", "tie"], ""),
        (["b", "b", "tie", "tie"], ""),
        (["tie", "tie"], ""),
        (["b", "b", "tie"], "poor"),
        (["a", "a", "tie"], "good"),
        (["b", "b", "a", "tie"], "poor"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_tie_is_a_vote_like_the_others_in_the_majority(
    winners: list[str], kept: str, turned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"a": "b", "b": "a", "tie": "tie"}
    sides = {"a": "poor", "b": "good"} if turned else {"a": "good", "b": "poor"}
    votes = [vote(other[w] if turned else w, f"voter {n}", **sides) for n, w in enumerate(winners)]
    assert chosen(tmp_path, *votes) == kept
    err = capsys.readouterr().err
    assert ("1 are even or mostly ties" in err) == (kept == "" and len(set(winners)) > 1)
    pairs, counts = make_pairs(ROWS, PairOptions(votes=tmp_path / "votes.jsonl", on_vote="drop"))
    assert (len(pairs), counts.n_outvoted) == ((1, 0) if kept == "good" else (0, 1))


def test_a_voters_last_vote_counts_by_its_time_in_whatever_order_the_file_is(tmp_path: Path) -> None:
    votes = [
        vote("b", at="2026-01-01T10:00:00+00:00"),
        vote("a", at="2026-01-01T09:59:00-01:00"),  # 10:59 UTC
        vote("b", at="2026-01-01T10:30:00Z"),
    ]
    assert chosen(tmp_path, *votes) == chosen(tmp_path, *votes[::-1]) == "good"
    assert chosen(tmp_path, vote("b", at="yesterday"), vote("a", at="2026-01-01")) == "good"
    assert chosen(tmp_path, vote("a", at="2026-01-01"), vote("b", at="yesterday")) == "good"


def test_an_id_that_several_answers_have_is_no_vote_on_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [msgspec.structs.replace(row, prompt="another prompt") for row in ROWS]
    write_rows(tmp_path / "votes.jsonl", [vote("b")])
    pairs, _ = make_pairs([*ROWS, *other], PairOptions(votes=tmp_path / "votes.jsonl", on_vote="overrule"))
    assert [pair.chosen[0]["content"] for pair in pairs] == ["good", "good"]
    assert "several answers to the prompt have the same id: p" in capsys.readouterr().err


def test_votes_are_held_against_pairs_of_two_models_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path / "votes.jsonl", [vote("b"), vote("b", prompt="q")])
    options = PairOptions(votes=tmp_path / "votes.jsonl")
    pairs, counts = temporal_pairs([ROWS[2]], [ROWS[0]], options, 0)
    assert (pairs, counts.n_outvoted) == ([], 1)
    assert "no such prompt_id here: q" in capsys.readouterr().err


def test_no_votes_say_nothing_and_a_file_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    make_pairs(ROWS, PairOptions(votes=tmp_path / "empty.jsonl"))
    assert capsys.readouterr().err == ""
    (tmp_path / "other.jsonl").write_text('{"prompt": "p"}\n')
    with pytest.raises(InputError, match="no Vote row"):
        make_pairs(ROWS, PairOptions(votes=tmp_path / "other.jsonl"))


def test_votes_beside_the_file_or_in_its_run_are_named_if_they_are_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, votes = tmp_path / "demo" / "iter2" / "judgments.jsonl", tmp_path / "demo" / "votes.jsonl"
    write_rows(file, ROWS)
    for options, is_named in ((PairOptions(), False), (PairOptions(), True), (PairOptions(votes=votes), False)):
        make_pair_file(Config(file=file, out=tmp_path / "pairs.jsonl", pairs=options))
        assert (f"{votes}: people's votes, which are not used" in capsys.readouterr().err) == is_named
        write_rows(votes, [vote("a")])
