"""Votes and what follows of them, statistics, frequencies, sorting and export, without a screen."""

import csv
import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from console.errors import InputError, StoreError
from records.disk.locked import locked
from records.rows import text_id
from tests.tui.rows import COMPARISONS, PAIRS, a_run, comparison, judgment, pair, saved, view_of, vote
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import make_pairs
from tui.filters.fields import View
from tui.reading.table import Table
from tui.summary.columns import COLUMNS, columns_for, sorted_rows
from tui.summary.export import export, format_of
from tui.summary.statistics import agreement_lines, bar, frequencies, sparkline, statistics
from tui.voting.agreement import cohens_kappa, corrected_rate
from tui.voting.ids import AnswerIds
from tui.voting.log import VoteLog, open_votes
from tui.voting.queue import is_swapped, queue_of


def every(view: View) -> np.ndarray:
    return np.arange(len(view.rows))


def test_a_vote_is_appended_counts_until_it_is_taken_back_and_nothing_is_edited(tmp_path: Path) -> None:
    log = VoteLog(tmp_path / "votes.jsonl")
    log.append(vote("p", "x", "y", "a"))
    log.append(vote("p", "y", "x", "a", at="2026-01-02T00:00:00Z"))
    assert [found["ann"].winner for found in log.by_pair().values()] == ["a"]
    before = log.path.read_bytes()
    last = log.last_of("ann")
    assert last is not None and last.a_id == "y"
    log.append(vote("p", "x", "y", None, at="2026-01-03T00:00:00Z"))
    assert log.path.read_bytes().startswith(before)
    assert log.by_pair() == {} and VoteLog(log.path).last_of("ann") is None


def test_a_locked_votes_file_and_a_full_disk_are_errors_that_leave_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = VoteLog(tmp_path / "votes.jsonl")
    log.append(vote("p", "x", "y", "a"))
    before = log.path.read_bytes()
    with locked(log.path), pytest.raises(StoreError, match="another process is writing"):
        log.append(vote("p", "x", "y", "b"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="free some space"):
        log.append(vote("p", "x", "y", "b"))
    assert log.path.read_bytes() == before


def test_a_line_that_is_no_vote_is_named_and_the_others_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "votes.jsonl"
    VoteLog(path).append(vote("p1", "a1", "b1", "a"))
    path.write_bytes(b'{"voter": 3}\n' + path.read_bytes() + b'{"at": "torn')
    log = open_votes(path)
    assert [one.winner for one in log.votes] == ["a"]
    told = capsys.readouterr().err
    assert "votes.jsonl:1: not a vote" in told and "votes.jsonl:3: not a vote" in told
    log.append(vote("p2", "a2", "b2", "b"))
    assert [one.prompt_id for one in VoteLog(path).votes] == ["p1", "p2"], "the torn line does not take the next one"


def test_a_pair_of_a_run_is_voted_on_by_the_ids_of_its_judgments_which_training_uses(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    view = view_of(run)
    row = int(np.flatnonzero(view.rows["kind"] == 3)[0])
    body = view.table.body(row)
    ids = view.tally.ids(body)
    assert ids == (f"r-{body.item.text_a}", f"r-{body.item.text_b}")
    VoteLog(run / "votes.jsonl").append(vote(body.item.prompt_id, *ids, "b"))
    judgments = [judgment("name a fruit", body.item.text_a, 3.0), judgment("name a fruit", str(body.item.text_b), 1.0)]
    pairs, _ = make_pairs(judgments, PairOptions(votes=run / "votes.jsonl", on_vote="overrule"))
    assert pairs[0].chosen[0]["content"] == body.item.text_b
    assert view_of(run).tally.votes_on(row) == {"ann": 2}


def test_a_pair_without_judgments_has_ids_of_its_texts_and_evidence_may_name_them(tmp_path: Path) -> None:
    named = pair("p", "x", "y", evidence=[{"chosen_id": "c1", "rejected_id": "r1"}])
    table = view_of(saved(tmp_path / "p.jsonl", [pair("p", "x", "y"), named, judgment("p", "x", 1.0)])).table
    answers = AnswerIds(table)
    assert answers.ids(table.body(0)) == ("r-x", text_id("y"))
    assert answers.ids(table.body(1)) == ("c1", "r1")
    assert answers.ids(table.body(2)) is None


def test_votes_that_match_no_row_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", COMPARISONS)
    saved(tmp_path / "votes.jsonl", [vote("sql?", "gone", "lost", "a"), vote("else", "x", "y", "a")])
    assert [key[0] for key in view_of(path).tally.unmatched()] == ["sql?", "else"]


def voted(tmp_path: Path, *votes: tuple[int, Any, str]) -> View:
    path = saved(tmp_path / "c.jsonl", [comparison(f"q{n}", f"a{n}", f"b{n}", "ab"[n % 2]) for n in range(8)])
    rows = [vote(f"q{n}", text_id(f"a{n}"), text_id(f"b{n}"), winner, voter) for n, winner, voter in votes]
    saved(tmp_path / "votes.jsonl", rows)
    return view_of(path)


def test_agreement_and_kappa_are_those_of_scikit_learn(tmp_path: Path) -> None:
    view = voted(
        tmp_path, *((n, "aabba"[n % 5], "ann") for n in range(6)), *((n, "abbaa"[n % 5], "bob") for n in range(6))
    )
    lines = agreement_lines(view)
    assert lines[0].startswith("ann and the judge: ")
    assert any(line.startswith("ann and bob: ") and "of 6 the same" in line for line in lines)
    both = [(1, 1), (2, 1), (3, 3), (1, 2), (2, 2), (1, 1)]
    assert cohens_kappa(both) == pytest.approx(cohen_kappa_score(*zip(*both, strict=True)))
    assert cohens_kappa([]) is cohens_kappa([(1, 1)]) is None


def test_the_win_rate_is_corrected_by_the_mean_error_on_the_voted_rows(tmp_path: Path) -> None:
    view = voted(tmp_path, (0, "b", "ann"), (1, "b", "ann"), (2, "a", "ann"), (3, "b", "ann"))
    found = corrected_rate(view.tally, every(view))
    assert (found.n, found.n_voted, found.judge) == (8, 4, 0.5)
    assert found.corrected == pytest.approx(0.5 + 0.25)  # one of four votes says b and the judge a
    variance = np.var([1, 1, 0, 1], ddof=1) / 8 + (1 / 4 - 1 / 8) * np.var([1, 0, 0, 0], ddof=1)
    assert found.error == pytest.approx(variance**0.5)
    assert found.interval is not None and found.interval[1] <= 1.0


def test_the_corrected_rate_meets_the_truth_over_many_draws_though_the_judge_is_biased() -> None:
    random = np.random.default_rng(0)
    people = (random.random(400) < 0.4).astype(float)
    judge = np.where(random.random(400) < 0.3, 1.0, people)  # it says b too often
    estimates = []
    for _ in range(300):
        drawn = random.permutation(400)[:60]
        estimates.append(judge.mean() + (people - judge)[drawn].mean())
    assert abs(np.mean(estimates) - people.mean()) < 0.01 < abs(judge.mean() - people.mean())


def test_queues_put_first_what_they_say_and_last_what_the_voter_has_done(tmp_path: Path) -> None:
    view = voted(tmp_path, (0, "b", "ann"), (1, "b", "bob"))
    random = queue_of("random", view.tally, every(view), "ann", 0).tolist()
    assert random[-1] == 0 and sorted(random) == list(range(8)) and random != list(range(8))
    assert queue_of("random", view.tally, every(view), "ann", 0).tolist() == random
    assert queue_of("disagreement", view.tally, every(view), "ann", 0)[0] == 0
    rows = [comparison("x", "1", "2", "a"), comparison("y", "3", "4", "tie", flipped=True), judgment("z", "5", 1.0)]
    other = view_of(saved(tmp_path / "u.jsonl", rows))
    assert queue_of("uncertain", other.tally, every(other), "ann", 0).tolist() == [1, 0]


def test_the_sides_of_a_blind_vote_are_shuffled_and_the_same_each_time() -> None:
    sides = [is_swapped(1, f"p{n}", ("a", "b")) for n in range(200)]
    assert 70 < sum(sides) < 130
    assert sides == [is_swapped(1, f"p{n}", ("a", "b")) for n in range(200)]


def test_each_column_sorts_with_missing_values_last_in_both_directions(tmp_path: Path) -> None:
    view = view_of(saved(tmp_path / "p.jsonl", PAIRS))
    assert (sorted_rows(view, every(view), "margin", descending=False) + 1).tolist() == [1, 4, 2, 3]
    assert (sorted_rows(view, every(view), "margin", descending=True) + 1).tolist() == [2, 4, 1, 3]
    assert (sorted_rows(view, every(view), "prompt", descending=True) + 1).tolist() == [4, 3, 2, 1]
    for column in COLUMNS:
        assert sorted(sorted_rows(view, every(view), column.name, descending=False)) == [0, 1, 2, 3]
        assert sum(count.n for count in frequencies(view, every(view), column.name)) == 4
        assert isinstance(column.cell(view, 2), str)


def test_columns_give_way_on_a_small_screen_but_never_the_prompt_and_the_winner() -> None:
    for kind in ("pair", "comparison", "judgment", "response"):
        for width in (40, 80, 120, 200):
            names = [column.name for column in columns_for(kind, width)]
            assert "prompt" in names and "number" in names
            used = sum(column.cells + 1 for column in columns_for(kind, width))
            assert used <= width or width == 40
    assert {"error", "judge", "iter"} <= {column.name for column in columns_for("pair", 120)}
    assert "judge" not in {column.name for column in columns_for("pair", 80)}


def test_statistics_and_frequencies_say_how_many(tmp_path: Path) -> None:
    view = view_of(saved(tmp_path / "c.jsonl", COMPARISONS))
    found = statistics(view, every(view))
    assert [found[name] for name in ("rows", "a wins", "b wins", "ties", "order flips", "without a verdict")] == [
        4,
        1,
        1,
        1,
        1,
        1,
    ]
    assert found["win rate of b, judge"] == 0.5
    winners = frequencies(view, every(view), "winner")
    assert {count.value: count.n for count in winners} == {"a": 1, "b": 1, "tie": 1, "-": 1}
    assert {count.filter for count in winners} == {"winner:a", "winner:b", "winner:tie", "winner:none"}
    assert statistics(view, every(view)[:0])["rows"] == 0
    assert (bar(0.5, 8), bar(1 / 64, 8), bar(2, 3)) == ("████", "▏", "███")
    assert sparkline([1, None, 3]) == "▁·█"


def test_every_format_is_written_and_a_vote_overrules_the_pair(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", [*COMPARISONS[:2], comparison("=x", "```\nfence", "-1", "a")])
    saved(tmp_path / "votes.jsonl", [vote("sql?", text_id("Use SQL."), text_id("no"), "b")])
    view = view_of(path)
    assert export(view, every(view), tmp_path / "o.jsonl", "jsonl") == 3
    assert (tmp_path / "o.jsonl").read_text() == path.read_text()
    assert export(view, every(view), tmp_path / "o.pairs.jsonl", format_of(tmp_path / "o.pairs.jsonl")) == 3
    first = json.loads((tmp_path / "o.pairs.jsonl").read_text().splitlines()[0])
    assert (first["chosen"][0]["content"], first["judge"]) == ("no", "human")
    assert Table(view.table.source).read_all().kinds() == {"comparison": 3}
    export(view, every(view), tmp_path / "o.md", "md")
    assert "````\n```\nfence\n````" in (tmp_path / "o.md").read_text()
    export(view, every(view), tmp_path / "o.csv", "csv")
    rows = list(csv.reader((tmp_path / "o.csv").read_text().splitlines()))
    assert len(rows) >= 4 and any("'=x" in row for row in rows)
    with pytest.raises(InputError, match="nothing to export"):
        export(view, every(view)[:0], tmp_path / "n.md", "md")
    with pytest.raises(InputError, match="the ending says"):
        format_of(tmp_path / "o.txt")
