"""The filter line: what it keeps, what it says of a wrong one, how it completes, and the search for texts."""

from pathlib import Path

import numpy as np
import pytest

from console.errors import InputError
from tests.tui.rows import BROKEN, COMPARISONS, PAIRS, a_run, judgment, kept, saved, view_of, vote
from tui.filters.completion import completions
from tui.filters.language import Text, parse_filter
from tui.filters.search import places_of, search


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("winner:a", [1]),
        ("winner:a,b", [1, 2]),
        ("winner!=a", [2, 3, 4]),
        ("-winner:a", [2, 3, 4]),
        ("winner:none", [4]),
        ("flipped:yes", [3]),
        ("unscored:yes", [4]),
        ("margin>=0.6", [1, 2]),
        ("margin<0.5 winner:tie", [3]),
        ("margin:none", [4]),
        ("score_b:0.8", [2]),
        ("len>10", [2]),
        ("delta<0", [2, 3, 4]),
        ("longer:won", [1, 2]),
        ("top:yes", [1, 2]),
        ("judge:CAF", [1, 2, 3, 4]),
        ("judge:none", []),
        ("model:theirs kind:comparison", [1, 2, 3, 4]),
        ("error:time", [4]),
        ("error:none", [1, 2, 3]),
        ("line>=3", [3, 4]),
        ("file:c.jsonl", [1, 2, 3, 4]),
        ("human:none", [1, 2, 3, 4]),
        ("", [1, 2, 3, 4]),
    ],
)
def test_each_field_keeps_its_rows(tmp_path: Path, line: str, rows: list[int]) -> None:
    assert kept(view_of(saved(tmp_path / "c.jsonl", COMPARISONS)), line) == rows


def test_constraints_iterations_and_refuted_claims_are_fields(tmp_path: Path) -> None:
    view = view_of(a_run(tmp_path))
    assert len(kept(view, "broken:lowercase")) == 6
    assert len(kept(view, "followed:no_comma iter:2")) == 3
    assert len(kept(view, "iter:1,2 kind:pair")) == 6
    refuted = judgment("p", "x", 1.0, evidence={"n_refuted": 2, "claims": []})
    assert kept(
        view_of(saved(tmp_path / "r.jsonl", [judgment("p", "y", 1.0, evidence=BROKEN), refuted])), "refuted>0"
    ) == [2]


def test_people_against_the_judge_are_a_filter(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", COMPARISONS)
    ids = view_of(path).tally.ids(view_of(path).table.body(0))
    assert ids is not None
    saved(tmp_path / "votes.jsonl", [vote("sql?", *ids, "b")])
    view = view_of(path)
    assert kept(view, "judge!=human") == kept(view, "agrees:no") == kept(view, "human:b") == [1]
    assert kept(view, "judge:human") == []
    assert kept(view, "votes>0") == [1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("winer:a", "no field 'winer' .*: did you mean winner?"),
        ("foo:bar", r"no field 'foo' \(in quotes it is a text to look for\): there are kind, winner, "),
        ("x:y=z", "no field 'x'"),
        ("winner:c", "winner:c: winner: can be none, a, b, tie"),
        ("winner<2", "winner is no number"),
        ("margin<x", "'x' is no number: margin takes a number"),
        ("iter:", "a value is missing"),
    ],
)
def test_a_wrong_filter_says_what_is_possible(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_filter(line)


def test_words_and_quoted_texts_are_looked_for_and_addresses_are_no_fields() -> None:
    assert parse_filter('"two words" sql -no http://x.y "xyz=3"').texts == (
        Text("two words"),
        Text("sql"),
        Text("no", without=True),
        Text("http://x.y"),
        Text("xyz=3"),
    )


def test_a_text_is_found_in_prompt_and_answers_whatever_its_case_and_hits_come_in_steps(tmp_path: Path) -> None:
    texts = [("SQL?", "x", "y"), ("b", "use sql", "y"), ("c", "x", "no Sql"), ("score", "x", "ſql STRASSE")]
    rows = [judgment(*three[:2], 1.0, rubric="sql", replies=["sql"]) for three in texts]
    view = view_of(saved(tmp_path / "j.jsonl", rows))

    def found(*wanted: Text) -> list[int]:
        hits = [row for _, part in search(view.table, np.arange(4), wanted) for row in part.tolist()]
        return [row + 1 for row in hits]

    assert found(Text("sQl")) == [1, 2]  # not in the rubric or the replies
    assert found(Text("sql", without=True)) == [3, 4]
    assert found(Text("prompt_id")) == []
    assert list(search(view.table, np.arange(4), [Text("x")], stopped=lambda: True)) == []


def test_rows_in_another_order_or_with_gaps_give_the_same_hits(tmp_path: Path) -> None:
    rows = [judgment(f"q{n}", ("Zebra ß" if n % 7 == 0 else "horse") + " é" * (n % 3), 1.0) for n in range(60)]
    view = view_of(saved(tmp_path / "j.jsonl", rows))
    expected = set(range(0, 60, 7))
    for order in (np.arange(60), np.arange(60)[::-1], np.arange(0, 60, 7), np.random.default_rng(0).permutation(60)):
        found = [row for _, part in search(view.table, order, [Text("zEBRA")]) for row in part.tolist()]
        assert found == [row for row in order.tolist() if row in expected]
    assert len([row for _, part in search(view.table, np.arange(60), [Text("ss")]) for row in part]) == 9


def test_letters_that_json_escapes_or_that_fold_are_found(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"prompt": "Stra\\u00dfe", "response": "caf\\u00e9 \\u0041bc \\"q\\""}\n')
    view = view_of(path)
    for wanted in ("strasse", "CAFÉ", "abc", '"q"'):
        assert [len(part) for _, part in search(view.table, np.arange(1), [Text(wanted)])] == [1], wanted


def test_the_last_word_is_completed_with_fields_and_the_values_that_there_are(tmp_path: Path) -> None:
    table = view_of(saved(tmp_path / "p.jsonl", PAIRS)).table
    assert completions("win", table) == ["winner:"]
    assert completions("winner:a mar", table) == ["winner:a margin>"]
    assert completions("-flipped:", table) == ["-flipped:none", "-flipped:no", "-flipped:yes"]
    assert completions("winner:a,t", table) == ["winner:a,tie"]
    assert "judge:f00d" in completions("judge:f", table)
    assert completions("judge!=h", table) == ["judge!=human"]
    assert completions("winner:a ", table) == completions('"some text"', table) == []


def test_hits_are_marked_at_their_places() -> None:
    assert places_of(["sql", "a"], "A SQL, sql") == [(0, 1), (2, 5), (7, 10)]
    assert places_of(["x"], "İx") == [(1, 2)]
