"""The verdicts that other projects write: Auto-J, PandaLM, FastChat, FairEval, JudgeBench, reward models."""

from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.audit.stored import stored_verdicts, unlabelled_verdicts
from judges.labelled.columns import Columns, columns_of
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows
from tests.verdict_tables import joined, jsonl, pairs, right


def test_the_sets_own_codes_hold_for_its_verdicts(tmp_path: Path) -> None:
    labels = [
        {"scenario": "x", "prompt": f"q{i}", "response 1": f"x{i}", "response 2": f"y{i}", "label": i % 3}
        for i in range(6)
    ]
    table = [{"output": label} for label in (0, 1, 2, 1, 1, 0)]
    found = joined(tmp_path, labels, table, columns_of("output", None, None, None))
    assert right(found) == [True, True, True, False, True, False]
    both = [row | one for row, one in zip(labels, table, strict=True)]
    own = read_labelled(jsonl(tmp_path / "both.jsonl", both), None, columns_of("output", None, None, None), BadRows())
    again = stored_verdicts(tmp_path / "both.jsonl", own, columns_of("output", None, None, None), BadRows(), own=True)
    assert right(again) == right(found)
    words = [{"output": said} for said in ("Response 1", "Response 2", "tie", -1, None, "garbage")]
    assert right(joined(tmp_path, labels, words, columns_of("output", None, None, None))) == [True] * 3 + [None] * 3


@pytest.mark.parametrize("name", ["pandalm_result", "gpt_result", "claude_result"])
def test_pandalms_columns_of_verdicts_are_known(tmp_path: Path, name: str) -> None:
    labels = [
        {"idx": i, "cmp_key": "m_n", "instruction": f"q{i}", "input": "", "response1": f"x{i}", "response2": f"y{i}",
         "annotator1": i % 3, "annotator2": i % 3, "annotator3": 0}
        for i in range(6)
    ]  # fmt: skip
    table = [{"idx": i, name: ("Tie", "1", "2")[i % 3], "reason": "r"} for i in range(6)]
    assert all(right(joined(tmp_path, labels, table[::-1])))
    if name == "claude_result":
        with pytest.raises(InputError, match="several columns may hold the verdicts"):
            joined(tmp_path, labels, [{**row, "other_result": 1} for row in table])


def test_a_coin_of_ours_is_no_side_of_theirs(tmp_path: Path) -> None:
    labels = [{"id": i, "prompt": f"q{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(12)]
    words = [{"id": i, "verdict": "rejected" if i == 3 else "chosen"} for i in range(12)]
    assert right(joined(tmp_path, labels, words[::-1])) == [i != 3 for i in range(12)]
    scores = [{"id": i, "score_chosen": 2.0, "score_rejected": 2.5 if i == 3 else -1.0} for i in range(12)]
    assert right(joined(tmp_path, labels, scores)) == [i != 3 for i in range(12)]
    texts = [
        {"response_a": f"bad {i}", "response_b": f"good {i}", "verdict": "a" if i == 3 else "b"} for i in range(12)
    ]
    assert right(joined(tmp_path, labels, texts[::-1])) == [i != 3 for i in range(12)]
    with pytest.raises(InputError, match="which answer is a cannot be told"):
        joined(tmp_path, labels, [{"id": i, "verdict": "a"} for i in range(12)])


def test_games_and_decisions_are_read_for_a_win_rate_too(tmp_path: Path) -> None:
    rows = [
        {"question_id": 1, "model_1": "x", "model_2": "y", "g1_winner": "model_2", "g2_winner": "model_2"},
        {"question_id": 2, "model_1": "x", "model_2": "y", "g1_winner": "model_1", "g2_winner": "error"},
    ]
    found, groups = unlabelled_verdicts(jsonl(tmp_path / "t.jsonl", rows), Columns(), BadRows())
    assert [one.winner for one in found] == ["b", None] and groups == ["1", "2"]


# -- FastChat


def vote(question: int, a: str, b: str, winner: str, turn: int = 1, judge: str = "expert_1") -> dict[str, Any]:
    return {"question_id": question, "model_a": a, "model_b": b, "winner": winner, "judge": judge, "turn": turn}


def game(question: int, one: str, two: str, first: str, second: str, turn: int = 1) -> dict[str, Any]:
    return {
        "question_id": question, "model_1": one, "model_2": two, "g1_winner": first, "g2_winner": second,
        "judge": ["gpt-4", "pair-v2"], "g1_judgment": "[[A]]", "g2_judgment": "[[B]]", "turn": turn, "tstamp": 1.0,
    }  # fmt: skip


VOTES = [
    vote(81, "x", "y", "model_a"),
    vote(81, "x", "y", "model_b", turn=2),
    vote(82, "y", "x", "model_a"),
    vote(82, "z", "x", "tie"),
    vote(83, "z", "x", "model_b"),
]
GAMES = [
    game(81, "x", "y", "model_1", "model_1"),
    game(81, "x", "y", "model_1", "model_2", turn=2),
    game(82, "x", "y", "model_2", "model_2"),
    game(82, "x", "z", "tie", "tie"),
    game(83, "x", "z", "model_1", "error"),
]


def test_fastchats_games_are_joined_by_question_turn_and_models_and_turned_to_their_sides(tmp_path: Path) -> None:
    for order in (GAMES, GAMES[::-1], [GAMES[i] for i in (3, 1, 4, 0, 2)]):
        found = joined(tmp_path, VOTES, order)
        assert right(found) == [True, False, True, True, None]
        assert [one.winner for one in found.verdicts] == ["a", "tie", "b", "tie", None]
        assert (found.verdicts[1].first_order, found.verdicts[1].second_order) == ("a", "b")
        assert found.verdicts[4].error == "no verdict in game 2"


def test_votes_may_stand_on_the_hub_in_either_order_of_the_models(tmp_path: Path) -> None:
    table = [
        {**vote(82, "x", "y", "model_b"), "judge": ["gpt-4", "pair-v2"]},
        {**vote(81, "y", "x", "model_b"), "judge": ["gpt-4", "pair-math-v1"]},
    ]
    found = joined(tmp_path, VOTES, table)
    assert [(one.keys["question_id"], said) for one, said in zip(found.labelled.pairs, right(found), strict=True)] == [
        ("81", True), ("82", True)
    ]  # fmt: skip


def test_games_are_labels_too(tmp_path: Path) -> None:
    bad = BadRows(quiet=True)
    found = read_labelled(jsonl(tmp_path / "gpt-4_pair.jsonl", GAMES), None, Columns(), bad)
    assert (found.format, found.labeller, bad.n_bad) == ("mtbench-games", "gpt-4", 1)
    assert [pair.label for pair in found.pairs] == ["a", "tie", "b", "tie"]
    with pytest.raises(InputError, match="compared with themselves"):
        stored_verdicts(tmp_path / "gpt-4_pair.jsonl", found, Columns(), BadRows(), own=True)


def single(question: int, model: str, score: float, turn: int = 1, judge: str = "gpt-4") -> dict[str, Any]:
    return {"question_id": question, "model": model, "judge": [judge, "single-v1"], "score": score, "turn": turn}


def test_minus_one_is_no_score_in_a_table_of_verdicts(tmp_path: Path) -> None:
    labels = [single(q, m, s) for q in (81, 82) for m, s in (("x", 8), ("y", 3))]
    table = [single(q, m, s, judge="other") for q in (81, 82) for m, s in (("x", 7), ("y", -1))]
    for order in (table, table[::-1]):
        assert [grade.score for grade in joined(tmp_path, labels, order).grades] == [7, None, 7, None]
    bare = [{"question_id": r["question_id"], "model": r["model"], "score": r["score"]} for r in table]
    assert [grade.score for grade in joined(tmp_path, labels, bare).grades] == [7, None, 7, None]
    rewards = [{**row, "score": row["score"] / 7} for row in bare]
    rewards[1]["score"] = -1
    assert [grade.score for grade in joined(tmp_path, labels, rewards).grades][1] == -1


def test_single_scores_order_the_two_answers_of_a_pair(tmp_path: Path) -> None:
    table = [
        *(single(81, m, s) for m, s in (("x", 8), ("y", 3))),
        *(single(81, m, s, turn=2) for m, s in (("x", 5), ("y", 5))),
        *(single(82, m, s) for m, s in (("x", 2), ("y", 9), ("z", -1))),
    ]
    found = joined(tmp_path, VOTES, table[::-1])
    assert [one.winner for one in found.verdicts] == ["a", "tie", "b", None]
    scored = [
        {"prompt": row["prompt"], "response": row[side], "score": 9 if "GOOD" in row[side] else 1}
        for row in pairs()
        for side in ("response_a", "response_b")
    ]
    assert all(right(joined(tmp_path, pairs(), scored[::-1])))


def test_two_scores_in_a_cell_are_faireval_and_minus_one_is_none(tmp_path: Path) -> None:
    labels = pairs(question_id=lambda i: i)
    table = [{"question_id": i, "question": f"question {i}", "score": [2 + i % 2, 3 - i % 2]} for i in range(6)]
    table[4]["score"] = [-1, -1]
    assert right(joined(tmp_path, labels, table[::-1])) == [True] * 4 + [None, True]


def test_judgebenchs_two_decisions_are_one_comparison(tmp_path: Path) -> None:
    def row(i: int, *decisions: str | None) -> dict[str, Any]:
        made = {"pair_id": f"p{i}", "question": f"q{i}", "response_A": f"x{i}", "response_B": f"y{i}", "label": "A>B"}
        return {**made, "judgments": [one and {"decision": one} for one in decisions]} if decisions else made

    labels = [row(i) for i in range(4)]
    table = [row(0, "A>B", "B>A"), row(1, "A>B", "A>B"), row(2, "B>A", "A>B"), row(3, "A>B", None)]
    found = joined(tmp_path, labels, table[::-1])
    assert [one.winner for one in found.verdicts] == ["a", "tie", "b", None]


def test_labels_of_another_column_than_the_sets_own_are_read(tmp_path: Path) -> None:
    rows = [{"input": f"q{i}", "output_1": "x", "output_2": "y", "label": 1, "mine": 2} for i in range(2)]
    path = jsonl(tmp_path / "set.jsonl", rows)
    found = read_labelled(path, None, columns_of(None, "mine", None, None), BadRows())
    assert {pair.label for pair in found.pairs} == {"b"} and found.label == "mine"
    assert {pair.label for pair in read_labelled(path, None, Columns(), BadRows()).pairs} == {"a"}


@pytest.mark.parametrize("said", [(0, 1), (1,), (0,), (1, "tie"), (-1, 1), (0.5, 1), ("response_0", "response_1")])
def test_verdicts_that_may_mean_either_side_ask_for_codes(tmp_path: Path, said: tuple[object, ...]) -> None:
    labels = pairs(id=str)
    table = [{"id": str(i), "verdict": said[i % len(said)]} for i in range(6)]
    with pytest.raises(InputError, match="the verdicts: .*--codes"):
        joined(tmp_path, labels, table)
    with pytest.raises(InputError, match="the verdicts: .*--codes"):
        unlabelled_verdicts(tmp_path / "verdicts.jsonl", Columns(), BadRows())


@pytest.mark.parametrize("said", [(1,), (2,), (1, 2), (1, 2, -1), (1, 2, 0), (1.2, 1)])
def test_verdicts_in_the_labels_own_numbers_are_read(tmp_path: Path, said: tuple[float, ...]) -> None:
    labels = [{**row, "label": 1 + i % 2} for i, row in enumerate(pairs(id=str))]
    table = [{"id": str(i), "verdict": said[i % len(said)]} for i in range(6)]
    means = {1: "a", 2: "b", 0: "tie", 1.2: "a"}
    found = joined(tmp_path, labels, table)
    assert [one.winner for one in found.verdicts] == [means.get(said[i % len(said)]) for i in range(6)]


def test_codes_of_verdicts_leave_llmbars_own_labels_alone(tmp_path: Path) -> None:
    labels = [{"input": f"q{i}", "output_1": "x", "output_2": "y", "label": 1 + i % 2} for i in range(6)]
    table = [{"output_1": "x", "output_2": "y", "input": f"q{i}", "verdict": i % 2} for i in range(6)]
    assert all(right(joined(tmp_path, labels, table, columns_of(None, None, None, "0=a,1=b"))))
