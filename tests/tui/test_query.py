import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, RowError
from records.rows import Pair
from records.store import write_rows
from tui.query import WINDOW_ROWS, PairRow, counts_text, find_pairs, load_pairs, sorted_rows, window
from tui.text import CELL_CHARS, DETAIL_CHARS, cell_text, detail_text

ROOT = Path(__file__).parents[2]


def pair(prompt: str, chosen: str, rejected: str, **known: Any) -> Pair:
    return Pair(
        prompt=[{"role": "user", "content": prompt}],
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        **{"prompt_id": prompt[:8], **known},
    )


def row(number: int, margin: float | None) -> PairRow:
    return PairRow(number, f"p{number}", "", None, None, margin, 0, 0, None)


def saved(folder: Path, *pairs: Pair, name: str = "pairs.jsonl") -> Path:
    write_rows(folder / name, list(pairs))
    return folder / name


def in_python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_the_query_code_and_the_help_load_no_textual() -> None:
    loaded = in_python("import sys, tui.query, tui.__main__; print(*sys.modules)").split()
    assert "tui.query" in loaded
    assert "textual" not in loaded


def test_a_row_sums_up_its_pair(tmp_path: Path) -> None:
    path = saved(tmp_path / "iter2", pair("Why?", "12345", "123", chosen_score=4.5, rejected_score=2.0, margin=2.5))
    found = load_pairs(path).rows
    assert found == [PairRow(1, "Why?", "Why?", 4.5, 2.0, 2.5, chosen_chars=5, delta_chars=2, iteration=2)]


def test_a_score_that_is_no_number_is_no_score(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    record = {"prompt": "p", "chosen": "a", "rejected": "b", "chosen_score": "high", "margin": float("nan")}
    path.write_text(json.dumps([record]))
    found = load_pairs(path).rows[0]
    assert (found.chosen_score, found.rejected_score, found.margin) == (None, None, None)


def test_each_body_is_read_from_its_own_line(tmp_path: Path) -> None:
    path = saved(tmp_path, *(pair(f"prompt {n} ä\n", "a" * n, "b") for n in range(2, 30)))
    text = path.read_text()
    path.write_text("\n" + text.replace("\n", "\nnot JSON\n\n", 3))
    pairs = load_pairs(path)
    assert len(pairs.rows) == 28
    assert [pairs.body(found).chosen[0]["content"] for found in pairs.rows] == ["a" * n for n in range(2, 30)]


def test_bad_rows_are_counted_or_stop_a_strict_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, pair("p", "a", "b"))
    path.write_text(path.read_text() + '{"prompt": "x"}\n[1]\n{"torn": ')
    pairs = load_pairs(path)
    assert (len(pairs.rows), pairs.n_bad) == (1, 3)
    assert f"{path}:2: no pair" in capsys.readouterr().err
    with pytest.raises(RowError, match=r"pairs.jsonl:2"):
        load_pairs(path, strict=True)


TIE = '{"prompt": "p", "output_1": "a", "output_2": "b", "label": 0}\n'


@pytest.mark.parametrize("content", ["", "\n\n", "nothing here\n", TIE])
def test_a_file_without_a_pair_is_an_input_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match="pairs.jsonl"):
        load_pairs(path)


def test_a_body_of_a_file_that_has_changed_is_an_input_error_not_another_pair(tmp_path: Path) -> None:
    path = saved(tmp_path, pair("one", "a", "b"), pair("two", "a", "b"))
    pairs = load_pairs(path)
    saved(tmp_path, pair("six", "a", "b"))
    for found in pairs.rows:
        with pytest.raises(InputError, match="has changed"):
            pairs.body(found)


def test_the_filter_looks_in_prompt_and_both_answers_whatever_the_case(tmp_path: Path) -> None:
    texts = [("SQL?", "x", "y"), ("b", "use sql", "y"), ("c", "x", "no Sql"), ("d", "x", "y")]
    pairs = load_pairs(saved(tmp_path, *(pair(*three) for three in texts)))
    assert [found.number for found in pairs.matching("sQl")] == [1, 2, 3]
    assert pairs.matching("") == pairs.rows
    assert pairs.matching("nowhere") == []


@pytest.mark.parametrize("name", ["pairs.json", "pairs.jsonl"])
def test_a_file_in_memory_and_an_indexed_file_give_the_same(tmp_path: Path, name: str) -> None:
    records = [{"instruction": f"q{n}", "output_1": "yes", "output_2": "maybe", "label": n % 3} for n in range(6)]
    lines = [json.dumps(record) for record in records]
    (tmp_path / name).write_text("\n".join(lines) if name == "pairs.jsonl" else f"[{','.join(lines)}]")
    pairs = load_pairs(tmp_path / name)
    assert [found.delta_chars for found in pairs.rows] == [-2, 2, -2, 2]
    assert [pairs.body(found).prompt[0]["content"] for found in pairs.rows] == ["q1", "q2", "q4", "q5"]
    assert [found.prompt_start for found in pairs.matching("Q4")] == ["q4"]


def test_rows_without_a_value_come_last_in_both_directions() -> None:
    rows = [row(1, None), row(2, 0.5), row(3, 2.0), row(4, 0.5)]
    assert [found.number for found in sorted_rows(rows, "margin")] == [2, 4, 3, 1]
    assert [found.number for found in sorted_rows(rows, "margin", descending=True)] == [3, 2, 4, 1]


def test_only_a_list_too_long_for_the_table_is_cut_and_the_header_says_so() -> None:
    assert len(window([row(n, None) for n in range(2000)])) == 2000
    assert len(window([row(n, None) for n in range(2001)])) == WINDOW_ROWS
    assert counts_text(24, 24, 24, 0) == "24 pairs, 24 shown"
    assert counts_text(1, 0, 0, 1) == "1 pair, 0 shown, 1 bad row"
    assert counts_text(100_000, 3000, 500, 2) == "100,000 pairs, 500 shown (first of 3,000), 2 bad rows"


def test_a_run_a_folder_and_nothing_name_the_last_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/demo")
    for number in (1, 2, 10):
        saved(run / f"iter{number}", pair("p", "a", "b"))
    (run / "iter11").mkdir()
    (run / "run.toml").touch()
    last = run / "iter10" / "pairs.jsonl"
    assert find_pairs(None) == find_pairs(Path("demo")) == find_pairs(run) == last
    assert find_pairs(run / "iter2") == find_pairs(Path("demo/iter2")) == run / "iter2" / "pairs.jsonl"
    assert find_pairs(last) == last


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "no run in runs/"),
        ("demmo", "no run 'demmo'"),
        ("runs/demmo", "no run 'runs/demmo'"),
        ("missing.jsonl", "missing.jsonl: no such file"),
        ("empty", "empty: is a folder"),
    ],
)
def test_what_names_no_pairs_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(InputError, match=message):
        load_pairs(find_pairs(None if name is None else Path(name)))


def test_a_run_without_pairs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/new/iter0").mkdir(parents=True)
    Path("runs/new/run.toml").touch()
    with pytest.raises(InputError, match="no iteration has a pairs.jsonl yet"):
        find_pairs(None)


def test_a_cell_is_one_short_line_without_control_characters() -> None:
    cell = cell_text("\n a\tb\r\n\x1b[31mred\x07\x9b\u202e " + "x" * 500)
    assert cell.startswith("a b ␛[31mred␇��")
    assert len(cell) == CELL_CHARS
    assert cell.endswith("…")


def test_a_long_text_is_cut_and_an_empty_one_named() -> None:
    assert detail_text("x" * DETAIL_CHARS) == "x" * DETAIL_CHARS
    cut = detail_text("x" * DETAIL_CHARS + "y" * 1000)
    assert "y" * 10 not in cut
    assert "20,000 of 21,000 characters" in cut
    assert detail_text("") == "(empty)"
    assert detail_text("a\r\n\tb\x00") == "a\n    b␀"
