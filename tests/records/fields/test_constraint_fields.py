import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from console.errors import InputError
from engines.answers import answer_into
from engines.protocol import Sampling
from engines.scripted import ScriptedEngine
from records import Response, Store
from records.fields.constraints import constraints_in, constraints_or_error
from records.files import BadRows
from records.rows import Constraint
from records.shapes import prompt_of, read_prompts, read_responses, responses_of
from tests.conftest import DATA

COMMA = Constraint(kind="punctuation:no_comma")
WORDS = Constraint(kind="length_constraints:number_words", kwargs={"relation": "at least", "num_words": 300})
IDS = [COMMA.kind, WORDS.kind]
ROW: dict[str, Any] = {"key": 1000, "prompt": "Q", "instruction_id_list": IDS, "kwargs": [{}, WORDS.kwargs]}


@pytest.mark.parametrize(
    "kwargs",
    [
        [{}, WORDS.kwargs],
        [None, {**WORDS.kwargs, "num_highlights": None}],
        [{}, {"relation": "at least", "num_words": 300.0}],
        json.dumps([{}, WORDS.kwargs]),
        str([None, WORDS.kwargs]),
        ["{}", json.dumps(WORDS.kwargs)],
    ],
)
def test_ifevals_fields_are_read_however_the_settings_are_written(kwargs: object) -> None:
    assert constraints_in(ROW | {"kwargs": kwargs}) == [COMMA, WORDS]


def test_tulus_ground_truth_and_our_own_field_are_read() -> None:
    truth = str([{"instruction_id": IDS, "kwargs": [None, WORDS.kwargs]}])
    own = [{"kind": COMMA.kind}, {"kind": WORDS.kind, "kwargs": WORDS.kwargs}]
    for record in ({"ground_truth": truth}, {"constraints": own}, {"constraints": json.dumps(own)}):
        assert constraints_in(record) == [COMMA, WORDS]


def test_a_function_that_tulu_names_is_a_constraint_too() -> None:
    truth = json.dumps({"func_name": "verify_paragraph_count", "N": 4, "quantifier": None})
    assert constraints_in({"ground_truth": truth}) == [Constraint(kind="verify_paragraph_count", kwargs={"N": 4})]


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({}, None),
        ({"constraints": None}, None),
        ({"constraints": []}, []),
        ({"instruction_id_list": []}, []),
        ({"instruction_id_list": ""}, None),  # an empty cell
        ({"instruction_id_list": [COMMA.kind]}, [COMMA]),
        ({"constraints": " "}, None),
        ({"constraints": [], "instruction_id_list": [COMMA.kind]}, [COMMA]),
        ({"ground_truth": "42"}, None),
        ({"ground_truth": r"[\d, 5 is 6]"}, None),
    ],
)
def test_a_row_without_constraints_is_told_from_one_that_says_that_it_has_none(
    record: dict[str, Any], found: list[Constraint] | None
) -> None:
    assert constraints_in(record) == found


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kwargs": [{}]}, "one of each is needed: 'instruction_id_list' has 2, 'kwargs' has 1"),
        ({"kwargs": [{}, 5]}, "the settings of 'length_constraints:number_words' must be an object"),
        ({"kwargs": 5}, "'kwargs' must be a list"),
        ({"instruction_id_list": "no_comma"}, "'instruction_id_list' must be a list"),
        ({"instruction_id_list": [1, 2]}, "'instruction_id_list' must be a list"),
        ({"constraints": [{"kind": 5}]}, "'kind' must be the name of a constraint"),
        ({"kwargs": [{}, {"phrase": "\ud800"}]}, "hold what is no text"),
    ],
)
def test_constraints_that_cannot_be_read_are_an_error_that_says_why(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        constraints_in(ROW | fields)


@pytest.mark.parametrize(
    "value",
    [
        COMMA.kind,
        [COMMA.kind],  # Tülu's personas name no settings
        {"kind": COMMA.kind},
        3,
        True,
        "no_comma, at_most_words",
        [{"kind": COMMA.kind}, "no_comma"],
        [{"name": COMMA.kind}],
    ],
)
def test_a_field_of_another_shape_is_no_missing_one(value: object) -> None:
    with pytest.raises(InputError, match=r"'constraints' must be a list such as \[\{"):
        constraints_in({"constraints": value})
    found, error = constraints_or_error({"constraints": value, "instruction_id_list": [COMMA.kind]})
    assert found is None and error is not None and "'constraints' must be a list" in error


def test_settings_beside_the_kind_are_no_missing_ones() -> None:
    with pytest.raises(InputError, match="unknown field 'num_words' beside 'kind': put it in 'kwargs'"):
        constraints_in({"constraints": [{"kind": "judgeloop:at_most_words", "num_words": 3}]})
    filled = [{"kind": COMMA.kind, "kwargs": None, "num_words": None}]  # as Parquet gives it
    assert constraints_in({"constraints": filled}) == [COMMA]


def test_our_own_field_and_another_sets_are_joined() -> None:
    own = [{"kind": COMMA.kind}, {"kind": "startend:quotation"}]
    kinds = [constraint.kind for constraint in constraints_in(ROW | {"constraints": own}) or ()]
    assert kinds == [COMMA.kind, "startend:quotation", WORDS.kind]
    truth = {"instruction_id": [WORDS.kind], "kwargs": [WORDS.kwargs]}
    assert constraints_in({"constraints": [{"kind": COMMA.kind}], "ground_truth": truth}) == [COMMA, WORDS]


@pytest.mark.parametrize("value", ["at most 3 words", [1, 2], {"a": [None]}, 3.5, ["\ud800"]])
def test_other_peoples_columns_of_that_name_harm_nobody(value: object, tmp_path: Path) -> None:
    record = {"prompt": "Q", "response": "A", "constraints": value}
    (tmp_path / "r.jsonl").write_text(json.dumps(record) + "\n")
    [read] = read_responses(tmp_path / "r.jsonl", BadRows(strict=True))
    [prompt] = read_prompts(tmp_path / "r.jsonl", BadRows(strict=True))
    assert read.constraints is None and prompt.constraints is None
    with Store(tmp_path / "copy.jsonl", Response) as store:
        rows = answer_into(store, ScriptedEngine(reply=lambda _: "A"), [prompt], Sampling())
    [again] = read_responses(tmp_path / "copy.jsonl", BadRows(strict=True))
    assert again.constraints_error == rows[0].constraints_error == prompt.constraints_error is not None


def test_rows_that_differ_in_their_constraints_alone_stay_two(tmp_path: Path) -> None:
    own = [None, [{"kind": COMMA.kind}], [{"kind": WORDS.kind, "kwargs": WORDS.kwargs}], [{"kind": COMMA.kind}], "x"]
    rows = [{"id": "1", "prompt": "Q", "response": "A", "constraints": value} for value in own]
    (tmp_path / "r.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ids = [row.id for row in read_responses(tmp_path / "r.jsonl", BadRows())]
    assert ids[0] == "1" and ids[1] == ids[3] and len(set(ids)) == 4
    prompts = [row.id for row in read_prompts(tmp_path / "r.jsonl", BadRows())]
    assert prompts[0] == "1" and prompts[1] == prompts[3] and len(set(prompts)) == 3


def test_prompts_and_answers_carry_them_and_the_key_is_the_prompts_id() -> None:
    assert (prompt_of(ROW).id, prompt_of(ROW).constraints) == ("1000", [COMMA, WORDS])
    assert prompt_of({"prompt": "Q", "key": 7}).id != "7"
    for record in (ROW | {"response": "A"}, ROW | {"chosen": "A", "rejected": "B"}):
        assert {row.prompt_id for row in responses_of(record)} == {"1000"}
        assert all(row.constraints == [COMMA, WORDS] for row in responses_of(record))


def test_every_kind_of_file_keeps_them(tmp_path: Path) -> None:
    rows = [ROW, {"key": 2, "prompt": "P", "instruction_id_list": [], "kwargs": []}]
    (tmp_path / "p.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "p.json").write_text(json.dumps(rows))
    with (tmp_path / "p.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerows({name: json.dumps(value) for name, value in row.items()} for row in rows)
    filled = [
        {**row, "kwargs": [{"relation": None, "num_words": None, **kwargs} for kwargs in row["kwargs"]]} for row in rows
    ]
    pa.parquet.write_table(pa.Table.from_pylist(filled), tmp_path / "p.parquet")
    for name in ("p.jsonl", "p.json", "p.csv", "p.parquet"):
        read = list(read_prompts(tmp_path / name, BadRows()))
        assert [(row.id, row.constraints) for row in read] == [("1000", [COMMA, WORDS]), ("2", [])], name


def test_rows_with_too_few_settings_are_counted_as_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [ROW, ROW | {"kwargs": [{}]}, ROW | {"kwargs": []}]
    (tmp_path / "p.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    bad = BadRows()
    assert len(list(read_prompts(tmp_path / "p.jsonl", bad))) == 1 and bad.n_bad == 2
    assert "one of each is needed: 'instruction_id_list' has 2, 'kwargs' has 1" in capsys.readouterr().err


def test_an_answer_has_the_constraints_of_its_prompt(tmp_path: Path) -> None:
    with Store(tmp_path / "r.jsonl", Response) as store:
        rows = answer_into(store, ScriptedEngine(reply=lambda _: "A"), [prompt_of(ROW)], Sampling())
    assert rows[0].constraints == [COMMA, WORDS]
    assert next(iter(read_responses(tmp_path / "r.jsonl", BadRows()))).constraints == [COMMA, WORDS]


@pytest.mark.skipif(not (DATA / "ifeval").exists(), reason="needs shared/data/ifeval")
def test_ifeval_ifbench_and_stored_answers_are_read_whole() -> None:
    folder = DATA / "ifeval"
    prompts = list(read_prompts(folder / "input_data.jsonl", BadRows(strict=True)))
    assert len(prompts) == 541 and sum(len(row.constraints or ()) for row in prompts) == 834
    bench = list(read_prompts(folder / "ifbench_test.jsonl", BadRows(strict=True)))
    assert len(bench) == 300 and all(row.constraints for row in bench)
    answers = list(read_responses(folder / "gpt4_responses_checked.jsonl.gz", BadRows(strict=True)))
    assert len(answers) == 540 and all(row.constraints for row in answers)
