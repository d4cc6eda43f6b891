import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.audit.stored import stored_verdicts, unlabelled_verdicts
from judges.labelled.columns import Columns
from judges.labelled.ranked_files import read_ranked
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows
from tests.mutants import mutants

INSIDE = "###The instruction to evaluate:\nQ{n}\n\n###Response to evaluate:\n{text}\n\n###Score Rubrics:"
CHAT = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]


def inside(n: int, answer: str) -> str:
    return INSIDE.format(n=n, text=answer)


def reply(text: str, rank: int) -> dict[str, Any]:
    return {"message_id": text, "text": text, "role": "assistant", "rank": rank, "replies": []}


def rows_of(kind: str, n: int) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {
        "mtbench": {"question_id": n, "model_a": "x", "model_b": "y", "winner": "model_a", "judge": "e_1", "turn": 1,
                    "conversation_a": CHAT, "conversation_b": [CHAT[0], {"role": "assistant", "content": "B"}]},
        "mtbench-games": {"question_id": n, "model_1": "x", "model_2": "y", "judge": ["gpt-4", "pair-v2"], "turn": 1,
                          "g1_winner": "model_1", "g2_winner": "tie"},
        "mtbench-scores": {"question_id": n, "model": "x", "judge": "gpt-4", "score": 7, "turn": 1},
        "oasst": {"message_tree_id": f"t{n}", "prompt": {"message_id": f"m{n}", "text": "Q", "role": "prompter",
                  "replies": [reply(f"a{n}", 0), reply(f"b{n}", 1)]}},
        "pandalm": {"idx": n, "instruction": "Q", "input": "", "response1": "a", "response2": "b", "annotator1": 1,
                    "annotator2": 1, "annotator3": 2, "cmp_key": "x_y"},
        "autoj": {"query": "Q", "response 1": "a", "response 2": "b", "label": 0, "scenario": "s"},
        "rmbench": {"id": n, "prompt": "Q", "chosen": ["a", "aa", "aaa"], "rejected": ["b", "bb", "bbb"]},
        "rewardbench": {"id": n, "prompt": "Q", "chosen": "a", "rejected": "b", "subset": "s"},
        "llmbar": {"input": f"Q{n}", "output_1": "a", "output_2": "b", "label": 1},
        "judgebench": {"pair_id": f"p{n}", "question": "Q", "response_A": "a", "response_B": "b", "label": "A>B"},
        "hhh": {"chosen_instruction": inside(n, "a"), "rejected_instruction": inside(n, "b")},
        "prometheus": {"idx": n, "instruction": inside(n, "a"), "gpt4_score": [4, 5], "response_source": "x"},
        "ranked": {"id": f"r{n}", "prompt": "Q", "responses": [f"a {n}", f"b {n}"], "ranks": [0, 1]},
        "scores": {"id": f"s{n}", "prompt": "Q", "response": "a", "human": 3},
        "pairs": {"id": f"p{n}", "prompt": "Q", "response_a": "a", "response_b": "b", "human": "a", "verdict": "b"},
    }  # fmt: skip
    return found[kind]


KINDS = (
    "mtbench", "mtbench-scores", "oasst", "pandalm", "autoj", "rmbench", "rewardbench", "llmbar", "judgebench", "hhh",
    "prometheus", "ranked", "scores", "pairs", "mtbench-games",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_lacks_something_is_a_bad_row_and_the_others_are_kept(tmp_path: Path, kind: str) -> None:
    good = [rows_of(kind, 1), rows_of(kind, 2)]
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in good))
    found = read_labelled(path, kind, Columns(), BadRows(strict=True))  # type: ignore[arg-type]
    n_good = len(found.pairs) + len(found.scores)
    n_bad = 0
    for mutant in mutants(rows_of(kind, 3)):
        path.write_text("".join(json.dumps(row) + "\n" for row in [good[0], mutant, good[1]]))
        bad = BadRows(quiet=True)
        after = read_labelled(path, kind, Columns(), bad)  # type: ignore[arg-type]
        assert len(after.pairs) + len(after.scores) >= n_good, mutant
        assert bad.n_bad <= 1
        n_bad += bad.n_bad
    assert n_bad > 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_first_row_does_not_hide_which_format_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"nothing": 1}, rows_of(kind, 1), rows_of(kind, 2)]))
    bad = BadRows(quiet=True)
    assert read_labelled(path, None, Columns(), bad).format == kind
    assert bad.n_bad == 1


@pytest.mark.parametrize(
    ("kind", "without", "message"),
    [("mtbench", "question_id", "lacks 'question_id'"), ("mtbench-scores", "question_id", "lacks 'question_id'")],
)
def test_a_bad_row_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, without: str, message: str
) -> None:
    row = {name: value for name, value in rows_of(kind, 1).items() if name != without}
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [rows_of(kind, 2), row]))
    read_labelled(path, kind, Columns(), BadRows())  # type: ignore[arg-type]
    err = capsys.readouterr().err
    assert f"{path}:2: " in err and message in err


@pytest.mark.parametrize("kind", ["oasst", "ranked"])
def test_a_bad_row_of_ranked_answers_is_left_out(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "set.jsonl"
    for mutant in mutants(rows_of(kind, 3)):
        path.write_text("".join(json.dumps(row) + "\n" for row in [rows_of(kind, 1), mutant, rows_of(kind, 2)]))
        assert len(read_ranked(path, BadRows(quiet=True))) >= 2, mutant


def test_a_ranked_text_that_is_no_unicode_is_a_bad_row_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [rows_of("ranked", 1), {**rows_of("ranked", 2), "responses": ["\ud800", "b"]}]
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read_ranked(path, BadRows())) == 1
    assert f"{path}:2: not a row of ranked answers: a text is not valid Unicode" in capsys.readouterr().err


def test_faireval_files_with_a_bad_row_are_named(tmp_path: Path) -> None:
    (tmp_path / "question.jsonl").write_text('{"question_id": 1, "text": "Q"}\n{"text": "R"}\n')
    for model in ("x", "y"):
        (tmp_path / f"answer_{model}.jsonl").write_text('{"question_id": 1, "text": "A"}\n{"question_id": 2}\n')
    (tmp_path / "review_x_y_human.txt").write_bytes(b"\xff\xfeX\0\n\0Y\0\n\0")
    with pytest.raises(InputError, match="2 verdicts for 1 questions"):
        read_labelled(tmp_path, None, Columns(), BadRows())
    (tmp_path / "review_x_y_human.txt").write_text("X\n")
    assert len(read_labelled(tmp_path, None, Columns(), BadRows()).pairs) == 1


def verdict_rows(n: int) -> list[dict[str, Any]]:
    """Rows of tables of verdicts on the pairs with the ids `p<n>`."""
    sides = {"response_a": "a", "response_b": "b"}
    return [
        {"id": f"p{n}", "verdict": "a"},
        {"id": f"p{n}", "prompt": "Q", **sides, "winner": "b", "model_a": "x", "model_b": "y", "turn": 1},
        {"id": f"p{n}", "model_1": "x", "model_2": "y", "g1_winner": "model_1", "g2_winner": "model_1"},
        {"id": f"p{n}", "judgments": [{"decision": "A>B"}, {"decision": "B>A"}]},
        {"id": f"p{n}", "score": [3, 4]},
        {"id": f"p{n}", "model": "x", "response": "a", "score": 4},
        {"id": f"p{n}", "score_a": 1, "score_b": 2.5},
        {"id": f"c{n}", "prompt_id": "p", "prompt": "Q", **sides, "model_a": "x", "model_b": "y", "winner": "a",
         "first_order": "a", "second_order": "a", "flipped": False, "preference_b": 0.1, "replies": [], "error": None,
         "rubric": "pairwise", "judge": "j", "usage": {}},
    ]  # fmt: skip


@pytest.mark.parametrize("kind", range(8))
def test_a_bad_row_of_verdicts_is_no_verdict_and_the_others_are_kept(tmp_path: Path, kind: int) -> None:
    path, table = tmp_path / "set.jsonl", tmp_path / "v.jsonl"
    labels = [{**rows_of("pairs", n), "response_b": f"b{n}", "verdict": None} for n in (1, 2, 3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in labels))
    labelled = read_labelled(path, "pairs", Columns(), BadRows())
    good = [
        {**verdict_rows(n)[kind], **({"response_b": f"b{n}"} if "response_b" in verdict_rows(n)[kind] else {})}
        for n in (1, 2)
    ]
    if kind == 5:
        good += [{**row, "model": "y", "response": f"b{n}"} for n, row in enumerate(good, start=1)]
    n_told = 0
    for mutant in mutants(verdict_rows(3)[kind]):
        table.write_text("".join(json.dumps(row) + "\n" for row in [mutant, *good]))
        try:
            found = stored_verdicts(table, labelled, Columns(), BadRows(quiet=True))
        except InputError as error:
            assert "v.jsonl" in str(error) or "no verdict" in str(error), mutant
            continue
        n_told += 1
        ids = {pair.id: verdict for pair, verdict in zip(found.labelled.pairs, found.verdicts, strict=True)}
        assert {"p1", "p2"} <= ids.keys() and all(ids[name].winner for name in ("p1", "p2")), mutant
        try:
            unlabelled_verdicts(table, Columns(), BadRows(quiet=True))
        except InputError:
            continue
    assert n_told > 10
