"""Verdict tables are joined with labelled sets by what their rows say, and by their order only at last."""

from pathlib import Path

import pytest

from console.errors import InputError
from judges.audit.stored import stored_verdicts
from judges.labelled.columns import Columns, columns_of
from judges.labelled.labels import Verdict
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows
from tests.verdict_tables import exchanged, joined, jsonl, pairs, right, verdicts

# -- keys


@pytest.mark.parametrize("name", ["question_id", "idx", "id", "pair_id", "uid", "prompt_id", "example_id", "index"])
def test_rows_are_found_by_their_key_in_any_order(tmp_path: Path, name: str) -> None:
    labels = pairs(**{name: lambda i: 80 + i})
    table = verdicts(labels, name, wrong=(0,))
    expected = [False, *[True] * 5]
    for order in (table, table[::-1], [*table[3:], *table[:3]]):
        assert right(joined(tmp_path, labels, order)) == expected
    assert right(joined(tmp_path, labels[::-1], table)) == expected[::-1]


def test_keys_are_one_whether_written_as_numbers_or_as_text(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: i)
    table = [{**row, "idx": f"{row['idx']}.0"} for row in verdicts(labels, "idx")]
    assert all(right(joined(tmp_path, labels, table[::-1])))


def test_a_key_of_another_name_is_found_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = pairs(pair_id=lambda i: f"p{i}")
    table = verdicts(labels, "pair_id", pair_id="question_id")
    assert all(right(joined(tmp_path, labels, table[::-1])))
    assert "'question_id', which is 'pair_id' in the labelled file" in capsys.readouterr().err
    found = joined(tmp_path, labels, table[::-1], columns_of(None, None, "question_id", None))
    assert all(right(found))


def test_a_key_of_ones_own_is_named(tmp_path: Path) -> None:
    labels = pairs(number_of_row=lambda i: 7 * i)
    table = verdicts(labels, "number_of_row", wrong=(1,))[::-1]
    found = joined(tmp_path, labels, table, columns_of(None, None, "number_of_row", None))
    assert right(found) == [True, False, *[True] * 4]
    with pytest.raises(InputError, match="--id-column colour"):
        joined(tmp_path, labels, table, columns_of(None, None, "colour", None))


def test_one_question_for_several_pairs_is_told_apart_by_models_and_texts(tmp_path: Path) -> None:
    labels = []
    for i, row in enumerate(pairs(6)):
        labels.append({**row, "question_id": i // 2, "model_a": f"m{i % 2}", "model_b": "base"})
    by_models = [{**v, "model_a": r["model_a"], "model_b": r["model_b"]}
                 for v, r in zip(verdicts(labels, "question_id", wrong=(3,)), labels, strict=True)]  # fmt: skip
    expected = [True, True, True, False, True, True]
    assert right(joined(tmp_path, labels, by_models[::-1])) == expected
    by_texts = verdicts(labels, "question_id", "response_a", "response_b", wrong=(3,))
    assert right(joined(tmp_path, labels, by_texts[::-1])) == expected


def test_an_ambiguous_key_is_named_and_no_verdict_is_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pairs(question_id=lambda i: min(i, 4))
    found = joined(tmp_path, labels, verdicts(labels, "question_id")[::-1])
    assert len(found.labelled.pairs) == 4 and all(right(found))
    assert "may be about several labelled rows that differ: 4" in capsys.readouterr().err


def test_keys_that_only_count_the_rows_of_either_file_do_not_outweigh_the_prompts(tmp_path: Path) -> None:
    labels = pairs(id=lambda i: i)
    table = [{**row, "id": i} for i, row in enumerate(verdicts(labels, "prompt", wrong=(1,))[::-1])]
    assert right(joined(tmp_path, labels, table)) == [True, False, *[True] * 4]


def test_a_verdict_on_another_prompt_under_the_same_key_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pairs(id=lambda i: i)
    table = verdicts(labels, "id", "prompt")
    table[3]["prompt"] = "something else"
    assert len(joined(tmp_path, labels, table).verdicts) == 5
    assert "other prompts, answers or models: row 4" in capsys.readouterr().err


def test_a_key_that_is_always_ambiguous_is_refused_and_says_so(tmp_path: Path) -> None:
    labels = pairs(prompt_id=lambda i: f"p{i // 2}")
    with pytest.raises(InputError, match="several labelled rows that differ.*p0.*--id-column"):
        joined(tmp_path, labels, verdicts(labels, "prompt_id"))


def test_doubled_verdicts_count_once_and_contradicting_ones_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pairs(idx=lambda i: i)
    table = verdicts(labels, "idx")
    found = joined(tmp_path, labels, [*table, table[2], {"idx": 3, "verdict": "b"}])
    assert right(found) == [True, True, True, None, True, True]
    assert found.verdicts[3].error == "the file contradicts itself on this row"
    err = capsys.readouterr().err
    assert "1 labelled rows have the same verdict several times: 2" in err
    assert "1 labelled rows have verdicts that contradict each other, so none: 3" in err


def test_a_reply_that_was_asked_for_again_counts_whichever_stands_first(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: i)
    table = [*verdicts(labels, "idx"), {"idx": 0, "verdict": None}, {"idx": 1, "verdict": "?"}]
    assert all(right(joined(tmp_path, labels, table))) and all(right(joined(tmp_path, labels, table[::-1])))


# -- texts, sides


def test_without_a_key_the_texts_say_what_belongs_together(tmp_path: Path) -> None:
    labels = pairs()
    table = verdicts(labels, "prompt", "response_a", "response_b", wrong=(5,))
    assert right(joined(tmp_path, labels, table[::-1])) == [*[True] * 5, False]


def test_short_answers_are_told_apart_by_their_prompt(tmp_path: Path) -> None:
    labels = [{**row, "response_a": "Yes.", "response_b": "No."} for row in pairs()]
    table = verdicts(labels, "prompt", "response_a", "response_b", wrong=(2,))
    assert right(joined(tmp_path, labels, table[::-1])) == [True, True, False, True, True, True]


@pytest.mark.parametrize("names", [("response_a", "response_b"), ("model_a", "model_b")])
@pytest.mark.parametrize("key", [("idx",), ("prompt",)])
def test_exchanged_sides_are_turned_back(tmp_path: Path, names: tuple[str, str], key: tuple[str, ...]) -> None:
    labels = pairs(idx=lambda i: i, model_a=lambda i: "x" if i % 3 else "y", model_b=lambda i: "y" if i % 3 else "x")
    table = verdicts(labels, *key, *names, wrong=(1,))
    some = [exchanged(row) if i % 2 else row for i, row in enumerate(table)]
    expected = [True, False, *[True] * 4]
    for one in (table, [exchanged(row) for row in table], some[::-1]):
        assert right(joined(tmp_path, labels, one)) == expected


def test_answers_under_other_names_are_the_same_answers(tmp_path: Path) -> None:
    labels = pairs()
    table = [
        {"instruction": r["prompt"], "output_1": r["response_b"], "output_2": r["response_a"],
         "preference": 2 if r["label"] == "a" else 1}
        for r in labels
    ]  # fmt: skip
    assert all(right(joined(tmp_path, labels, table[::-1])))


def test_a_key_with_other_answers_is_another_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = pairs(idx=lambda i: i)
    table = verdicts(labels, "idx", "response_a", "response_b")
    table[2] |= {"response_a": "something else"}
    found = joined(tmp_path, labels, table)
    assert len(found.verdicts) == 5 and all(right(found))
    assert "1 verdicts that have the key of a labelled row but other prompts, answers or models: 2" in (
        capsys.readouterr().err
    )


def test_two_orders_in_two_rows_are_one_comparison_and_a_tie_where_they_disagree(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: i)
    table = verdicts(labels, "idx", "response_a", "response_b")
    turned = [exchanged(row) for row in table]
    turned[4]["verdict"] = {"a": "b", "b": "a"}[turned[4]["verdict"]]
    found = joined(tmp_path, labels, [*table, *turned])
    assert [verdict.winner for verdict in found.verdicts] == ["b", "a", "b", "a", "tie", "a"]
    assert found.verdicts[4] == Verdict("tie", None, None, "b", "a")


def test_a_winner_may_be_the_models_name(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: i, model_a=lambda i: "gpt-4", model_b=lambda i: "vicuna")
    table = [
        {"idx": i, "model_a": "vicuna", "model_b": "gpt-4", "winner": "gpt-4" if r["label"] == "a" else "vicuna"}
        for i, r in enumerate(labels)
    ]
    assert all(right(joined(tmp_path, labels, table)))
    bare = [{"idx": row["idx"], "winner": row["winner"]} for row in table]
    assert all(right(joined(tmp_path, labels, bare[::-1])))
    mixed = [{**row, "winner": "llama" if row["idx"] == 2 else row["winner"]} for row in bare]
    assert right(joined(tmp_path, labels, mixed))[2] is None


# -- the order of the rows is the last resort


def test_without_key_and_texts_the_order_decides_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pairs()
    assert all(right(joined(tmp_path, labels, verdicts(labels))))
    assert "by the order of the rows, because there is no key" in capsys.readouterr().err
    with pytest.raises(InputError, match="5 verdicts without a key for 6 labelled rows"):
        joined(tmp_path, labels, verdicts(labels)[:5])


def test_a_bad_row_moves_no_verdict_to_another_row(tmp_path: Path) -> None:
    labels = pairs()
    table = verdicts(labels, wrong=(3,))
    labels[1]["label"] = "?"
    labelled = read_labelled(jsonl(tmp_path / "l.jsonl", labels), None, Columns(), BadRows(quiet=True))
    found = stored_verdicts(jsonl(tmp_path / "v.jsonl", table), labelled, Columns(), BadRows())
    assert right(found) == [True, True, False, True, True]
    path = jsonl(tmp_path / "l.jsonl", labels)
    path.write_text(path.read_text().replace('{"prompt": "question 0"', "{", 1))
    labelled = read_labelled(path, None, Columns(), BadRows(quiet=True))
    with pytest.raises(InputError, match="cannot be read"):
        stored_verdicts(jsonl(tmp_path / "v.jsonl", table[1:]), labelled, Columns(), BadRows())


@pytest.mark.parametrize("first", [0, 1])
def test_a_key_that_counts_the_rows_is_a_place(tmp_path: Path, first: int, capsys: pytest.CaptureFixture[str]) -> None:
    labels = pairs()
    table = [{"id": i + first, **row} for i, row in enumerate(verdicts(labels, wrong=(2,)))]
    assert right(joined(tmp_path, labels, table[::-1])) == [True, True, False, True, True, True]
    assert f"'id', which counts the labelled rows from {first}" in capsys.readouterr().err
    with pytest.raises(InputError, match="add the key to it"):
        joined(tmp_path, labels, [{**row, "id": 100 + i} for i, row in enumerate(table)])


def test_keys_with_no_value_in_common_are_refused(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: f"x{i}")
    with pytest.raises(InputError, match="no value in common; name the right column with --id-column"):
        joined(tmp_path, labels, [{"idx": f"y{i}", "verdict": "a"} for i in range(6)])


def test_verdicts_of_several_judges_are_refused(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: i)
    table = [{**row, "judge": f"j{i % 2}"} for i, row in enumerate(verdicts(labels, "idx"))]
    with pytest.raises(InputError, match="by 2 judges"):
        joined(tmp_path, labels, table)


def test_zero_and_one_alone_do_not_say_which_answer_they_mean(tmp_path: Path) -> None:
    labels = pairs(idx=lambda i: i)
    table = [{"idx": i, "verdict": i % 2} for i in range(6)]
    with pytest.raises(InputError, match="--codes"):
        joined(tmp_path, labels, table)
