"""Verdicts are joined with labelled rows only where both files say what is about what: nothing is guessed."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.labelled.columns import columns_of
from tests.verdict_tables import joined, pairs, right, verdicts

Row = dict[str, Any]


def shuffled(rows: Sequence[Row]) -> list[Row]:
    found = list(rows)
    random.Random(1).shuffle(found)
    return found


# -- the order of the rows is nothing to go by where there are texts


def twice(n: int = 12) -> list[Row]:
    """Two labelled pairs a question."""
    return [{**row, "prompt": f"question {i % (n // 2)}"} for i, row in enumerate(pairs(n))]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("name", ["prompt", "question", "instruction"])
def test_prompts_that_several_labelled_rows_have_are_refused(tmp_path: Path, name: str, in_order: bool) -> None:
    labels = twice()
    table = verdicts(labels, "prompt", prompt=name)
    with pytest.raises(InputError, match="the prompts have several labelled rows that differ.*row 1.*cannot be told"):
        joined(tmp_path, labels, table if in_order else shuffled(table))
    chats = [{"messages": [{"role": "user", "content": row["prompt"]}], "verdict": row["label"]} for row in labels]
    with pytest.raises(InputError, match="the prompts have several labelled rows"):
        joined(tmp_path, labels, chats)


def test_a_prompt_that_only_one_labelled_row_has_counts_and_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [*twice(4), *[{**row, "prompt": f"other {i}"} for i, row in enumerate(pairs(5))]]
    found = joined(tmp_path, labels, shuffled(verdicts(labels, "prompt")))
    assert right(found) == [True] * 5
    assert "4 verdicts that may be about several labelled rows that differ" in capsys.readouterr().err


@pytest.mark.parametrize("frame", ["User: {}", "{} Answer in one word.", "something else about {:.1}"])
def test_prompts_of_no_labelled_row_are_refused(tmp_path: Path, frame: str) -> None:
    labels = pairs()
    table = [{**row, "prompt": frame.format(row["prompt"])} for row in verdicts(labels, "prompt")]
    with pytest.raises(InputError, match="those of no labelled row, so the order of the rows is not to be trusted"):
        joined(tmp_path, labels, shuffled(table))


@pytest.mark.parametrize("name", ["response_a", "response_b"])
def test_the_text_of_one_answer_alone_is_refused(tmp_path: Path, name: str) -> None:
    labels = pairs()
    with pytest.raises(InputError, match="the text of one alone"):
        joined(tmp_path, labels, shuffled(verdicts(labels, name)))


def test_answers_of_no_labelled_row_are_refused(tmp_path: Path) -> None:
    labels = pairs()
    table = [{"output_1": f"x {i}", "output_2": f"y {i}", "verdict": "a"} for i in range(6)]
    with pytest.raises(InputError, match="not to be trusted"):
        joined(tmp_path, labels, table)


def scored(n: int = 12, questions: int = 4) -> list[Row]:
    return [{"prompt": f"q{i % questions}", "response": f"r{i}", "human_score": i % 5 + 1} for i in range(n)]


def test_scores_are_joined_by_a_prompt_of_one_answer_and_refused_for_several(tmp_path: Path) -> None:
    once = scored(6, questions=6)
    table = [{"prompt": row["prompt"], "score": row["human_score"]} for row in once]
    found = joined(tmp_path, once, shuffled(table))
    assert [grade.score for grade in found.grades] == [item.score for item in found.labelled.scores]
    table = [{"prompt": row["prompt"], "score": row["human_score"]} for row in scored()]
    with pytest.raises(InputError, match="the prompts have several labelled rows"):
        joined(tmp_path, scored(), shuffled(table))


def test_scores_of_the_models_that_answered_a_prompt_are_told_apart_by_the_models(tmp_path: Path) -> None:
    labels = pairs(model_a=lambda i: "m", model_b=lambda i: "n")
    table = [
        {"prompt": row["prompt"], "model": model, "score": 5 if row["label"] == side else 1}
        for row in labels
        for model, side in (("m", "a"), ("n", "b"))
    ]
    assert right(joined(tmp_path, labels, shuffled(table))) == [True] * 6


def test_a_text_that_says_nothing_of_the_answers_leaves_the_order(tmp_path: Path) -> None:
    labels = pairs()
    table = [{**row, "reply": "Better: A", "output": "because"} for row in verdicts(labels, wrong=(2,))]
    assert right(joined(tmp_path, labels, table)) == [True, True, False, True, True, True]


def test_in_the_order_of_the_rows_models_turn_the_sides_and_other_models_are_refused(tmp_path: Path) -> None:
    labels = pairs(model_a=lambda i: "m", model_b=lambda i: "n")
    other = {"a": "b", "b": "a"}
    table = [{"model_a": "n", "model_b": "m", "verdict": other[row["label"]]} for row in labels]
    assert right(joined(tmp_path, labels, table)) == [True] * 6
    table[2]["model_a"] = "third"
    with pytest.raises(InputError, match=r"about other models \(row 3\)"):
        joined(tmp_path, labels, table)


# -- turns


def voted(turns: tuple[int, ...] = (1, 2), questions: int = 6) -> list[Row]:
    """FastChat's votes: in the first turn model_a wins, in the second model_b; every turn has answers of its own."""

    def chat(who: str, q: int) -> list[Row]:
        texts = [f"q{q}", f"{who} {q} first", "and then?", f"{who} {q} second"]
        return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]

    return [
        {
            "question_id": q, "model_a": "x", "model_b": "y", "winner": "model_a" if turn == turns[0] else "model_b",
            "judge": "h", "turn": turn, "conversation_a": chat("x", q), "conversation_b": chat("y", q),
        }
        for q in range(questions)
        for turn in turns
    ]  # fmt: skip


def said(rows: Sequence[Row], *names: str) -> list[Row]:
    return [{name: row[name] for name in ("question_id", "model_a", "model_b", "winner", *names)} for row in rows]


def games(rows: Sequence[Row], *names: str) -> list[Row]:
    both = {"model_1": "x", "model_2": "y"}
    return [
        {**{name: row[name] for name in ("question_id", *names)}, **both,
         **dict.fromkeys(("g1_winner", "g2_winner"), row["winner"])}
        for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        said(voted()[::2]),
        said(voted()[1::2]),
        said(voted()),
        [{**row, "turn": None} for row in said(voted()[::2])],
        games(voted()[::2]),
        [{"question_id": q, "model": m, "score": s} for q in range(6) for m, s in (("x", 9), ("y", 3))],
    ],
)
@pytest.mark.parametrize("labels", [voted(), [{**row, "judge": "gpt-4"} for row in games(voted(), "turn")]])
def test_a_verdict_without_a_turn_on_rows_of_two_turns_is_refused(
    tmp_path: Path, table: list[Row], labels: list[Row]
) -> None:
    with pytest.raises(InputError, match="'question_id' has several labelled rows that differ.*a turn"):
        joined(tmp_path, labels, table)


def test_questions_of_one_turn_are_judged_and_those_of_two_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [row for row in voted() if row["turn"] == 1 or row["question_id"] < 2]
    found = joined(tmp_path, labels, said(voted()[::2]))
    assert right(found) == [True] * 4
    assert "2 verdicts that may be about several labelled rows that differ: 0, 1" in capsys.readouterr().err


@pytest.mark.parametrize("turns", [(1, 2), ("1", "2"), (1.0, 2.0), (0, 1), ("0", "1")])
def test_turns_are_told_apart_however_they_are_written(tmp_path: Path, turns: tuple[Any, Any]) -> None:
    table = [{**row, "turn": turns[row["turn"] - 1]} for row in said(voted(), "turn")]
    assert right(joined(tmp_path, voted(), shuffled(table))) == [True] * 12


def test_a_first_turn_that_is_left_out_beside_a_second_is_the_first(tmp_path: Path) -> None:
    table = [{k: v for k, v in row.items() if (k, v) != ("turn", 1)} for row in said(voted(), "turn")]
    assert right(joined(tmp_path, voted(), shuffled(table))) == [True] * 12


def test_labels_of_one_turn_take_verdicts_without_one_and_of_the_first(tmp_path: Path) -> None:
    assert right(joined(tmp_path, voted((1,)), said(voted((1,))))) == [True] * 6
    assert right(joined(tmp_path, voted((1,)), said(voted(), "turn"))) == [True] * 6


# -- keys that only count


def counted(rows: Sequence[Row], name: str, first: int) -> list[Row]:
    return [{name: i + first, "verdict": row["label"]} for i, row in enumerate(rows)]


@pytest.mark.parametrize("theirs", ["index", "idx", "question_id", "row_id", "Unnamed: 0", "__index_level_0__"])
@pytest.mark.parametrize("missing", [0, 1])
def test_a_count_from_0_is_no_key_from_1_but_the_place(
    tmp_path: Path, theirs: str, missing: int, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pairs(7, id=lambda i: i + 1)
    table = counted(labels, theirs, 0)[: 7 - missing]
    assert right(joined(tmp_path, labels, table[::-1])) == [True] * (7 - missing)
    assert f"by '{theirs}', which counts the labelled rows from 0" in capsys.readouterr().err


@pytest.mark.parametrize("mine", ["index", "idx", "id"])
def test_a_count_from_1_is_no_key_from_0_but_the_place(tmp_path: Path, mine: str) -> None:
    labels = pairs(7, **{mine: lambda i: i})
    assert right(joined(tmp_path, labels, counted(labels, "question_id", 1)[::-1])) == [True] * 7


def test_counts_from_the_same_number_and_other_numbers_are_keys_under_two_names(tmp_path: Path) -> None:
    for first in (0, 1, 80):
        labels = shuffled(pairs(7, id=lambda i, first=first: i + first))
        table = [{"question_id": row["id"], "verdict": row["label"]} for row in labels]
        assert right(joined(tmp_path, labels, table[::-1])) == [True] * 7
    labels = pairs(7, id=lambda i: i + 1)
    table = [{"index": row["id"], "verdict": row["label"]} for row in labels]
    assert right(joined(tmp_path, labels, table[::-1])) == [True] * 7


@pytest.mark.parametrize(("mine", "theirs"), [(0, 1), (1, 0)])
def test_one_key_that_counts_from_0_here_and_from_1_there_is_refused_unless_named_or_told_by_texts(
    tmp_path: Path, mine: int, theirs: int
) -> None:
    labels = pairs(id=lambda i: i + mine)
    table = counted(labels, "id", theirs)
    with pytest.raises(InputError, match="'id' counts from 0 in one file and from 1 in the other"):
        joined(tmp_path, labels, table)
    assert len(joined(tmp_path, labels, table, columns_of(None, None, "id", None)).verdicts) == 5
    worded = [{**row, "prompt": label["prompt"]} for row, label in zip(table, labels, strict=True)]
    assert right(joined(tmp_path, labels, shuffled(worded))) == [True] * 6


def test_a_part_of_the_rows_under_one_key_is_no_other_count(tmp_path: Path) -> None:
    labels = pairs(7, id=lambda i: i)
    table = counted(labels, "id", 0)
    assert right(joined(tmp_path, labels, table[1:])) == [True] * 6
    assert right(joined(tmp_path, labels[1:], table)) == [True] * 6


def test_a_count_whose_texts_are_others_than_the_rows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = twice()
    table = [{"id": i, **row} for i, row in enumerate(verdicts(labels, "prompt"))]
    framed = [{**row, "prompt": f"User: {row['prompt']}"} for row in table]
    assert right(joined(tmp_path, labels, framed[::-1])) == [True] * 12
    with pytest.raises(InputError, match="'id', which counts .* others than those of the verdicts"):
        joined(tmp_path, labels, [{**row, "id": i} for i, row in enumerate(framed[::-1])])
    framed[3]["prompt"] = "something else"
    assert right(joined(tmp_path, labels, framed)) == [True] * 11
    assert "other prompts, answers or models: row 4" in capsys.readouterr().err


# -- a table that says that the answers were shown in the other order


@pytest.mark.parametrize("field", [{"swapped": True}, {"is_switched_outputs": 1}, {"order": "BA"}, {"swap": "true"}])
def test_a_verdict_on_answers_that_were_exchanged_is_refused_if_nothing_tells_the_sides(
    tmp_path: Path, field: Row
) -> None:
    labels = [{"id": f"k{i}", **row} for i, row in enumerate(pairs())]
    table = [{"id": row["id"], "verdict": row["label"]} for row in labels]
    assert right(joined(tmp_path, labels, [{**row, "swapped": False, "order": "ab"} for row in table])) == [True] * 6
    with pytest.raises(InputError, match="shown the other way round, not whether its verdict was turned back"):
        joined(tmp_path, labels, [table[0], {**table[1], **field}, *table[2:]])
    sided = [{**row, "response_a": label["response_a"], "response_b": label["response_b"], **field}
             for row, label in zip(table, labels, strict=True)]  # fmt: skip
    assert right(joined(tmp_path, labels, sided)) == [True] * 6
