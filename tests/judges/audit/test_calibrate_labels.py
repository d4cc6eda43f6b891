"""No label is ever compared with itself, and one file with labels and verdicts is read row by row."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.calibrate import __main__ as calibrate
from judges.labelled.columns import Columns, columns_of
from judges.labelled.readers.pairs import read_pairs
from records.files import BadRows
from tests.judges.audit.conftest import preferred
from tests.verdict_tables import joined, jsonl, pairs, right, verdicts


def run(*arguments: str) -> dict[str, Any]:
    calibrate.main(parse(calibrate.Config, [*arguments, "--resamples", "20", "--out", "out"], "prog"))
    found: dict[str, Any] = json.loads(Path("out/audit.json").read_text())
    return {one["name"]: one["value"] for one in found["measures"]} | {"n": found["n_pairs"] or found["n_answers"]}


# -- labels are never compared with themselves


def test_a_named_label_column_is_no_verdict_and_the_judge_is_asked(engine: ScriptedEngine, tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "label"} | {"winner": row["label"]} for row in pairs()]
    rows[0]["winner"] = "a"  # the judge disagrees with it
    jsonl(tmp_path / "w.jsonl", rows)
    ask = ("--rubric", "pairwise", "--read", "text", "--samples", "1")
    found = run("w.jsonl", "--human-column", "winner", *ask)
    assert len(engine.asked) == 12 and found["accuracy, a tie is wrong"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("name", ["preference", "prediction", "verdict", "score"])
def test_whatever_the_label_column_is_called_it_is_no_verdict(
    engine: ScriptedEngine, tmp_path: Path, name: str
) -> None:
    rows = [{k: v for k, v in row.items() if k != "label"} | {name: row["label"]} for row in pairs(2)]
    jsonl(tmp_path / "w.jsonl", rows)
    run("w.jsonl", "--human-column", name, "--rubric", "pairwise", "--read", "text", "--samples", "1")
    assert len(engine.asked) == 4


def test_scores_of_people_are_not_compared_with_themselves(engine: ScriptedEngine, tmp_path: Path) -> None:
    engine.reply = lambda _: "Score: 3"
    jsonl(tmp_path / "s.jsonl", [{"prompt": "q", "response": f"r{i}", "score": i} for i in range(4)])
    run("s.jsonl", "--human-column", "score", "--read", "text", "--samples", "1")
    assert len(engine.asked) == 4


@pytest.mark.parametrize(
    "more",
    [
        ("--verdict-column", "label"),
        ("--verdicts", "l.jsonl", "--verdict-column", "label"),
        ("--human-column", "winner", "--verdict-column", "winner"),
        ("--human-column", "winner", "--verdicts", "l.jsonl", "--verdict-column", "winner"),
    ],
)
def test_one_column_for_both_is_refused(engine: ScriptedEngine, tmp_path: Path, more: tuple[str, ...]) -> None:
    jsonl(tmp_path / "l.jsonl", [row | {"winner": row["label"]} for row in pairs()])
    with pytest.raises(InputError, match="compared with themselves"):
        run("l.jsonl", *more)
    assert engine.asked == []


def test_a_copy_of_the_labels_is_the_labels(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pairs(id=str)
    jsonl(tmp_path / "l.jsonl", rows)
    jsonl(tmp_path / "copy.jsonl", rows)
    with pytest.raises(InputError, match="compared with themselves"):
        run("l.jsonl", "--verdicts", "copy.jsonl", "--verdict-column", "label")
    jsonl(tmp_path / "other.jsonl", rows[::-1])
    run("l.jsonl", "--verdicts", "other.jsonl", "--verdict-column", "label")
    assert "every 'label' is that of the labelled file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["winner", "preference"])
def test_a_file_without_a_known_label_is_told_how_to_name_it(engine: ScriptedEngine, tmp_path: Path, name: str) -> None:
    jsonl(tmp_path / "w.jsonl", [{"prompt": "q", "response_a": "x", "response_b": "y", name: "a"}])
    with pytest.raises(InputError, match=f"if '{name}' is what people said, --human-column {name}"):
        run("w.jsonl")


@pytest.mark.parametrize("rubric", ["pairwise", "additive"])
def test_stored_rows_in_any_order_are_the_same_audit(engine: ScriptedEngine, tmp_path: Path, rubric: str) -> None:
    def reply(request: Request) -> str:
        return preferred(request) if rubric == "pairwise" else f"Score: {len(request.messages[0]['content']) % 6}"

    engine.reply = reply
    jsonl(tmp_path / "l.jsonl", pairs(8))
    run("l.jsonl", "--rubric", rubric, "--read", "text", "--samples", "1")
    name = "comparisons" if rubric == "pairwise" else "judgments"
    lines = Path(f"out/{name}.jsonl").read_text().splitlines(keepends=True)
    failed = {**json.loads(lines[0]), "winner": None, "score": None, "error": "call failed"}
    failed = {key: value for key, value in failed.items() if key in json.loads(lines[0])}
    again = [json.dumps(failed) + "\n", *lines]
    found = []
    for some in (lines, lines[::-1], again, again[::-1]):
        Path("stored.jsonl").write_text("".join(some))
        found.append(run("l.jsonl", "--verdicts", "stored.jsonl"))
    assert found == [found[0]] * 4 and found[0]["unscored"] == 0


def test_the_labels_own_column_in_the_table_of_verdicts_is_passed_over(tmp_path: Path) -> None:
    labels = [{**row, "winner": row["label"]} for row in pairs(id=str)]
    for row in labels:
        del row["label"]
    table = [{"id": row["id"], "winner": row["winner"], "prediction": "a"} for row in labels]
    found = joined(tmp_path, labels, table, columns_of(None, "winner", None, None))
    assert right(found) == [False, True] * 3


def test_an_error_for_want_of_verdicts_names_no_label_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="what the judge said.*ask a judge"):
        joined(tmp_path, pairs(id=str), [{"id": str(i), "note": "x"} for i in range(6)])


@pytest.mark.parametrize("flag", ["--human-column", "--verdict-column"])
def test_a_named_column_that_is_not_there_is_an_error(engine: ScriptedEngine, tmp_path: Path, flag: str) -> None:
    jsonl(tmp_path / "l.jsonl", pairs())
    with pytest.raises(InputError, match=f"{flag} nope: there is no such column"):
        run("l.jsonl", flag, "nope")
    assert engine.asked == []


# -- with files


def test_of_tables_of_other_lengths_the_common_part_is_used_and_the_rest_named(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pairs(10, question_id=lambda i: i)
    table = [*verdicts(labels, "question_id", wrong=(0,))[:8], {"question_id": 77, "verdict": "a"}]
    jsonl(tmp_path / "l.jsonl", labels)
    jsonl(tmp_path / "v.jsonl", table[::-1])
    with pytest.raises(
        JudgeError, match="only 8 of 10 labelled rows have a verdict, under --min-coverage 0.9.*no row on"
    ):
        run("l.jsonl", "--verdicts", "v.jsonl")
    found = run("l.jsonl", "--verdicts", "v.jsonl", "--min-coverage", "0.8")
    assert (found["n"], found["accuracy, a tie is wrong"]) == (8, pytest.approx(7 / 8))
    err = capsys.readouterr().err
    assert "1 verdicts that are about no labelled row: 77" in err and "verdicts on 8 of 10 labelled rows" in err
    assert "the 8 of 10 rows on which the file has a verdict" in Path("out/report.md").read_text()


@pytest.mark.parametrize(
    ("n_rows", "n_silent", "is_enough"), [(18, 0, True), (18, 1, False), (20, 2, True), (20, 3, False)]
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_rows_that_are_missing_and_rows_without_a_verdict_are_held_against_one_gate(
    tmp_path: Path, engine: ScriptedEngine, n_rows: int, n_silent: int, is_enough: bool, as_json: tuple[str, ...]
) -> None:
    labels = pairs(20, id=str)
    table = verdicts(labels, "id")[:n_rows]
    jsonl(tmp_path / "l.jsonl", labels)
    jsonl(tmp_path / "v.jsonl", [{**row, "verdict": None} if n < n_silent else row for n, row in enumerate(table)])
    how = ("l.jsonl", "--verdicts", "v.jsonl", *as_json)
    if not is_enough:
        with pytest.raises(JudgeError, match="only 17 of 20 labelled rows have a verdict.*--min-coverage") as failed:
            run(*how)
        assert failed.value.exit_code == 1 and Path("out/audit.json").exists()
        how = (*how, "--min-coverage", "0.5")
    assert run(*how)["n"] == n_rows


def test_a_sample_is_drawn_after_the_rows_are_joined(engine: ScriptedEngine, tmp_path: Path) -> None:
    labels = pairs(10)
    jsonl(tmp_path / "l.jsonl", labels)
    jsonl(tmp_path / "v.jsonl", verdicts(labels))
    found = run("l.jsonl", "--verdicts", "v.jsonl", "--limit", "4")
    assert (found["n"], found["accuracy, a tie is wrong"]) == (4, 1.0)


# -- one file with both


def test_ids_that_repeat_in_one_file_mix_no_rows_up(engine: ScriptedEngine, tmp_path: Path) -> None:
    rows = [{**row, "id": "q1", "verdict": "a"} for row in pairs()]
    jsonl(tmp_path / "l.jsonl", rows)
    assert run("l.jsonl")["accuracy, a tie is wrong"] == 0.5
    assert engine.asked == []


# -- two columns that may hold the verdicts


@pytest.mark.parametrize(
    "columns",
    [("verdict", "winner"), ("winner", "preference"), ("verdict", "prediction"), ("verdict", "gpt_result")],
)
def test_two_columns_of_verdicts_that_contradict_each_other_are_refused(
    tmp_path: Path, columns: tuple[str, str]
) -> None:
    rows = [{"id": i, "question": f"q{i}", "answer_a": "x", "answer_b": "y", "human": "ab"[i % 2]} for i in range(6)]
    said = [{"id": i, columns[0]: "ab"[i % 2], columns[1]: "ba"[i % 2]} for i in range(6)]
    for table, own in ((said, False), ([row | one for row, one in zip(rows, said, strict=True)], True)):
        with pytest.raises(InputError, match=f"'{columns[0]}' and '{columns[1]}' contradict each other.*--verdict-col"):
            settled(table, own=own)
    assert right(joined(tmp_path, rows, said, columns_of(columns[1], None, None, None))) == [False] * 6


@pytest.mark.parametrize("other", ["label", "gold", "human_label"])
def test_two_columns_of_labels_that_contradict_each_other_are_refused(tmp_path: Path, other: str) -> None:
    texts = {"answer_a": "x", "answer_b": "y"}
    rows = [{"id": i, "question": f"q{i}", **texts, "human": "ab"[i % 2], other: "ba"[i % 2]} for i in range(6)]
    said = [{"id": i, "verdict": "ab"[i % 2]} for i in range(6)]
    with pytest.raises(InputError, match=f"'human' and '{other}' contradict each other.*--human-column"):
        read_pairs([("l:1", row) for row in rows], BadRows(strict=True), Columns())
    found = joined(tmp_path, rows, said, columns_of(None, other, None, None))
    assert right(found) == [False] * 6


@pytest.mark.parametrize("other", [{"winner": "a"}, {"winner": "tie"}, {"winner": None}, {"score": 2}, {"winner": "?"}])
def test_a_second_column_that_agrees_or_says_nothing_changes_nothing(other: dict[str, Any]) -> None:
    assert settled([{"verdict": "a", **other}], own=False).usual == "verdict"


def settled(rows: list[dict[str, Any]], *, own: bool) -> Columns:
    return Columns().settled(rows, "human" if own else None)


def test_nothing_is_said_of_the_order_where_labels_and_verdicts_are_in_one_file(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": 0, "question": f"q{i}", "human": "ab"[i % 2], "verdict": "ab"[i % 2]} for i in range(6)]
    jsonl(tmp_path / "one.jsonl", rows)
    assert run("one.jsonl")["accuracy, a tie is wrong"] == 1
    assert "matched" not in capsys.readouterr().err
