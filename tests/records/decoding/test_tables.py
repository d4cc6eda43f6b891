import random
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, RowError
from records.files import BadRows, read_records
from records.shapes import pairs_of, read_pairs, read_responses


def records(path: Path, text: str | bytes, bad: BadRows | None = None) -> list[dict[str, Any]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [record for _, record in read_records(path, bad or BadRows(strict=True))]


def test_a_row_with_more_cells_than_columns_is_a_bad_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("prompt,chosen,rejected\nQ1?,yes, of course,no\nQ2?,yes,no\n")
    bad = BadRows()
    [pair] = read_pairs(path, bad)
    assert (pair.prompt[0]["content"], bad.n_bad) == ("Q2?", 1)
    assert f"{path}:2: 4 cells for 3 columns" in capsys.readouterr().err
    with pytest.raises(RowError, match="4 cells for 3 columns"):
        list(read_pairs(path, BadRows(strict=True)))


def test_a_row_with_fewer_cells_lacks_the_last_fields(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert records(path, "prompt,response,note\nQ,A\n") == [{"prompt": "Q", "response": "A"}]
    bad = BadRows(quiet=True)
    path.write_text("prompt,response\nQ1\nQ2,A\n")
    assert [row.response for row in read_responses(path, bad)] == ["A"]
    assert bad.n_bad == 1


def test_a_last_line_that_is_cut_off_is_a_bad_row(tmp_path: Path) -> None:
    bad = BadRows(quiet=True)
    assert records(tmp_path / "x.tsv", "prompt\tresponse\tnote\nQ\tA\tn\nQ2\tan ans", bad) == [
        {"prompt": "Q", "response": "A", "note": "n"}
    ]
    assert bad.n_bad == 1


@pytest.mark.parametrize(("cell", "weight"), [("0.5", 0.5), ("2", 2.0), ("", 1.0), (" 1e-1 ", 0.1)])
def test_a_number_in_a_cell_is_a_number_where_one_is_meant(tmp_path: Path, cell: str, weight: float) -> None:
    [row] = records(tmp_path / "x.csv", f"prompt,chosen,rejected,weight,margin\nQ,42,43,{cell},1.5\n")
    [pair] = pairs_of(row, used=["weight"])
    assert (pair.weight, pair.margin) == (weight, 1.5)
    assert pair.chosen[0]["content"] == "42"  # and text where text is meant


@pytest.mark.parametrize("weight", ["NaN", "heavy", "inf", "1,5"])
def test_a_weight_that_is_no_number_is_a_bad_row(tmp_path: Path, weight: str) -> None:
    [row] = records(tmp_path / "x.csv", f'prompt,chosen,rejected,weight\nQ,a,b,"{weight}"\n')
    with pytest.raises(InputError, match=r"'weight' must be (a number|at most 1e\+30), found"):
        pairs_of(row, used=["weight"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('prompt,response\nQ,A\nQ2,"never ends\nQ3,A\n', r"x\.csv:3: not CSV"),
        ('prompt,response\nQ,"a" b\nQ2,A\n', r"x\.csv:2: not CSV"),
        ("prompt;response\nQ;A\n", r"x\.csv:1: .*separated by semicolons.*sep=;"),
        ("prompt\tresponse\nQ\tA\n", r"x\.csv:1: .*separated by tabs"),
        ("prompt,response,response\nQ,A,B\n", "two columns are named 'response'"),
        (b"prompt,response\nQ,caf\xe9\n", r"x\.csv:2: not UTF-8: byte 0xE9"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        records(tmp_path / "x.csv", text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nprompt;response\nQ;A, b\n",
        "\ufeffsep=;\r\nprompt;response\r\nQ;A, b\r\n",
        "\ufeffprompt, response\r\n\r\nQ,\"A, b\"\r\n,\r\n",
        "prompt,response\rQ,\"A, b\"\r",
        "prompt,response\rQ,\"A, b\"",
    ],
)  # fmt: skip
def test_tables_from_a_spreadsheet_are_read(tmp_path: Path, text: str) -> None:
    assert records(tmp_path / "x.csv", text) == [{"prompt": "Q", "response": "A, b"}]


def test_a_tsv_file_in_utf_16_is_read(tmp_path: Path) -> None:
    found = records(tmp_path / "x.tsv", "prompt\tresponse\r\nQ\tä\r\n".encode("utf-16"))
    assert found == [{"prompt": "Q", "response": "ä"}]


def test_a_damaged_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "x.parquet"
    rows = [{"prompt": f"prompt {n * 7919}", "response": "a" * (n % 50), "score": n / 7} for n in range(400)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, data_page_size=512)
    whole = path.read_bytes()
    dice = random.Random(0)
    n_errors = 0
    for _ in range(60):
        damaged = bytearray(whole)
        start = dice.randrange(len(damaged))
        damaged[start : start + 16] = dice.randbytes(16)
        path.write_bytes(damaged if dice.random() < 0.7 else damaged[: dice.randrange(len(damaged))])
        try:
            list(read_records(path, BadRows()))
        except InputError as error:
            n_errors += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert n_errors > 20
