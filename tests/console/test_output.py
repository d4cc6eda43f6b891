import ast
import io
import json
import sys
from pathlib import Path

import pytest

from console.errors import EngineError
from console.output import say, tell, tell_encoded, tell_json, tell_text
from console.table import Row, fitted, markdown_table, print_table
from console.visible import is_hidden, one_line, visible
from tests.conftest import ROOT

ROOMS = ("console", "records", "engines", "judges", "trainer", "evals", "tui", "experiments")
HIDDEN = {
    "escape": "\x1b[2K\x1b[31m",
    "title of the window": "\x1b]0;owned\x07",
    "C1 control sequence": "\x9b31m",
    "next line": "\x85",
    "backspace": "\x08\x08",
    "return": "\rforged",
    "delete": "\x7f",
    "direction override": "\u202egnp.exe\u202c",
    "isolate": "\u2067x\u2069",
    "Arabic letter mark": "\u061c",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "zero width space": "gpt\u200b-4",
    "word joiner": "gpt\u2060-4",
    "joiner between ASCII letters": "gpt\u200d-4",
    "byte order mark": "\ufeffgpt",
    "soft hyphen": "gpt\u00ad4",
    "tag letters": "\U000e0041\U000e007f",
    "selector": "a\U000e0101",
    "filler": "\u3164",
    "half a surrogate": "\ud800",
    "no character": "\uffff",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_what_a_terminal_obeys_or_hides_is_drawn(text: str) -> None:
    shown = one_line(f"before {text} after")
    assert not any(is_hidden(character) for character in shown)
    assert len(shown) == len(f"before {text} after")
    assert shown != f"before {text} after"


@pytest.mark.parametrize("text", ["Score: 4", "日本語", "می‌خواهم", "👨‍👩‍👧", "é", "naïve", "क्‍ष", "x ≤ y"])
def test_text_that_people_write_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


def test_a_tab_becomes_spaces_and_a_line_break_is_drawn_where_one_line_is_wanted() -> None:
    assert visible("a\tb\r\nc") == "a   b\nc"
    assert one_line("a\nb\r\nc") == "a␊b␊c"


def test_a_line_break_in_a_name_makes_no_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    tell("judged by m\n| forged | 5.00 |", "second")
    say("unscored: \x1b[2Jbody\nforged")
    out, err = capsys.readouterr()
    assert out == "judged by m␊| forged | 5.00 |\nsecond\n"
    assert err == "unscored: ␛[2Jbody␊forged\n"


def test_a_whole_text_keeps_its_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    tell_text("first\n\x1b[1msecond")
    assert capsys.readouterr().out == "first\n␛[1msecond\n"


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_json_says_the_same_with_escapes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell_json({"model": text, "answer": "日本語 👍"})
    out = capsys.readouterr().out
    assert not any(is_hidden(character) for character in out.replace("\n", ""))
    assert json.loads(out) == {"model": text, "answer": "日本語 👍"}
    assert "日本語 👍" in out


def test_encoded_json_is_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    tell_json('{"model":"a\u202eb\u009b"}'.encode())
    tell_encoded('["\u2028\U000e0041"]')
    first, second = capsys.readouterr().out.split("\n}\n")
    assert json.loads(first + "}") == {"model": "a\u202eb\u009b"}
    assert second == '["\\u2028\\udb40\\udc41"]\n'


def test_a_terminal_of_another_encoding_gets_escapes_and_json_that_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    tell("naïve 日本")
    tell_json({"text": "日本 👍"})
    sys.stdout.flush()
    first, rest = raw.getvalue().decode("ascii").split("\n", 1)
    assert first == "na\\xefve \\u65e5\\u672c"
    assert json.loads(rest) == {"text": "日本 👍"}


def test_a_name_forges_no_row_and_no_column_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"model": "m | 5.00\n| forged | 1", "score": 1.0}])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2] == "| m \\| 5.00␊\\| forged \\| 1 |  1.00 |"
    assert "\n" not in markdown_table([{"a\nb": 1}]).splitlines()[0]


def test_an_error_is_one_line_whatever_a_server_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    from console.command import Flags, run

    def fail(config: Flags) -> None:
        raise EngineError("the server says: \x1b]0;x\x07\nerror: all is well")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(sys, "argv", ["x"])
        run(Flags, fail, "x")
    assert capsys.readouterr().err == "error: the server says: ␛]0;x␇␊error: all is well\n"


def test_nothing_else_prints() -> None:
    # all that is printed goes through console.output, so that no text of a model reaches the terminal as it is
    found = []
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        if path.name != "output.py":
            found += [f"{path.relative_to(ROOT)}:{line}" for line in _prints(path)]
    assert found == []


def _prints(path: Path) -> list[int]:
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return [
        node.lineno for node in calls if ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write")
    ]


WIDE: dict[str, list[Row]] = {
    "many columns": [{"model": f"m{n}"} | {f"column {name}": 12345.678 for name in "abcdefghijkl"} for n in range(9)],
    "one row": [{"model": "m"} | {f"a longer column {name}": "2.31 ± 0.05" for name in "abcdefghi"}],
    "long names": [{"model": "organisation/" + "a-very-long-name-" * 9, "score": 1.0}] * 2,
    "long words": [{"out": "/".join(["folder"] * 40)}],
    "wide letters": [{"模型": "語" * 90, "score": 1.0}],
    "a long column name": [{"what is measured " * 8: 1}],
    "a sentence": [{"reason": "a reason in words " * 20, "n": 3}],
    "a sentence at the end": [{"measure": "kappa", "value": 1.0, "n": 4, "note": "a note in words " * 9}] * 3,
}


@pytest.mark.parametrize("rows", WIDE.values(), ids=WIDE)
def test_no_line_is_wider_than_the_screen_and_nothing_is_cut(rows: list[Row]) -> None:
    from rich.cells import cell_len

    text = fitted(rows, 80)
    assert max(map(cell_len, text.splitlines())) <= 80
    squeezed = "".join(text.split())
    for row in rows:
        for name, value in row.items():
            shown = f"{value:.2f}" if isinstance(value, float) else str(value)
            assert "".join(name.split()) in squeezed and "".join(shown.split()) in squeezed


def test_a_table_that_fits_is_markdown_and_a_wider_one_is_turned() -> None:
    rows: list[Row] = [
        {"model": "a", "n": 1, "mean score": 2.0, "out": "x"},
        {"model": "b", "n": None, "mean score": 3.0, "out": "y"},
    ]
    assert fitted(rows, 80).splitlines() == [
        "| model |   n | mean score | out |",
        "| ----- | --: | ---------: | --- |",
        "| a     |   1 |       2.00 | x   |",
        "| b     |   - |       3.00 | y   |",
    ]
    assert fitted(rows, 30).splitlines() == [
        "| model      |    a |    b |",
        "| ---------- | ---: | ---: |",
        "| n          |    1 |    - |",
        "| mean score | 2.00 | 3.00 |",
        "| out        |    x |    y |",
    ]


def test_many_rows_of_many_columns_become_tables_that_each_name_the_row() -> None:
    text = fitted(WIDE["many columns"], 80)
    parts = text.split("\n\n")
    assert len(parts) == 2 and all(part.startswith("| model |") for part in parts)


def test_wide_letters_are_aligned() -> None:
    from rich.cells import cell_len

    widths = {cell_len(line) for line in markdown_table([{"m": "日本語", "n": 1}, {"m": "ab", "n": 2}]).splitlines()}
    assert len(widths) == 1


def test_a_column_of_sentences_is_listed_below_the_others() -> None:
    rows: list[Row] = [{"measure": "kappa", "n": 4, "note": "a note " * 12}, {"measure": "tau", "n": 5, "note": None}]
    text = fitted([{**rows[0]}, {**rows[1]}, {"measure": "rho", "n": 6, "note": "short"}], 80)
    table, notes = text.split("\n\n")
    assert len(table.splitlines()) == 5
    assert notes.splitlines()[0] == "note:" and notes.splitlines()[-1] == "  rho: short" and "tau" not in notes


def test_a_part_of_a_wide_table_has_the_rows_that_say_something_in_it() -> None:
    rows: list[Row] = [
        {
            "measure": f"measure number {n}",
            "interval": "[0.1234, 0.5678]",
            "n": n,
            "note": "the judge says none" * (n == 3),
        }
        for n in range(6)
    ]
    first, notes = fitted(rows, 50).split("\n\n")
    assert len(first.splitlines()) == 8
    assert notes.splitlines()[2:] == ["| measure number 3 | the judge says none |"]
    nothing = [{**row, "note": ""} for row in rows]
    assert len(fitted(nothing, 43).splitlines()) == 8 + 1 + 8  # a column without a word is there all the same


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.003, "0.003"), (0.01234, "0.012"), (-0.0456, "-0.046"), (0.0, "0.00"), (0.12, "0.12"), (31.5, "31.50")],
)
def test_a_small_number_keeps_its_digits_in_a_table(number: float, text: str) -> None:
    assert f" {text} |" in markdown_table([{"validation loss": number}])
