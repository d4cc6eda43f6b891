"""What a record says twice, and differently, is never taken one way without a word."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from records.decoding.lines import decode_line
from records.fields.labels import by_model_name, winner_in
from records.files import BadRows
from records.shapes import pairs_of, prompt_of, read_pairs, read_responses, responses_of

SIDES = {"prompt": "P", "response_a": "AAA", "response_b": "BBB"}
CHOSEN = {"prompt": "P", "chosen": "AAA", "rejected": "BBB"}


@pytest.mark.parametrize(
    ("prompts", "named"),
    [
        ({"prompt": "p", "question": "q"}, "'prompt' and 'question'"),
        ({"prompt": "p", "instruction": "q"}, "'prompt' and 'instruction'"),
        ({"instruction": "p", "question": "q"}, "'instruction' and 'question'"),
        ({"question": "x", "query": "y"}, "'question' and 'query'"),
        ({"question": "x", "input": "y"}, "'question' and 'input'"),
        ({"prompt": [{"role": "user", "content": "p"}], "question": "q"}, "'prompt' and 'question'"),
    ],
)
def test_two_prompts_that_differ_are_a_bad_row(prompts: dict[str, Any], named: str) -> None:
    for record in ({**prompts, "response": "x"}, {**prompts, "output_1": "x", "output_2": "y", "label": 1}):
        with pytest.raises(InputError, match=f"{named}, and neither holds the other: keep one"):
            responses_of(record)
    with pytest.raises(InputError, match=named):
        prompt_of(prompts)


@pytest.mark.parametrize(
    ("prompts", "asked"),
    [
        ({"prompt": "Answer this: q?", "question": "q?"}, "Answer this: q?"),
        ({"prompt": "q?", "question": ""}, "q?"),
        ({"prompt": "q?", "question": None}, "q?"),
        ({"prompt": "q?", "instruction": " q?\n"}, "q?"),
        ({"instruction": "do", "input": "this"}, "do\n\nthis"),
        ({"instruction": "do", "input": "this", "prompt": "Below is a task.\n\ndo\n\nthis"}, None),
        ({"prompt": [{"role": "user", "content": "p"}], "question": "p"}, None),
        ({"prompt": "q", "question": 5}, "q"),
    ],
)
def test_a_question_beside_the_prompt_that_was_made_of_it_is_no_second_prompt(
    prompts: dict[str, Any], asked: str | None
) -> None:
    [row] = responses_of({**prompts, "response": "x"})
    assert asked is None or row.prompt == asked


PRINTED = [
    "[{'role': 'user', 'content': 'q'}]",
    "[{'content': 'q', 'role': 'user'}\n {'content': 'a', 'role': 'assistant'}]",
    "array([{'role': 'user', 'content': \"it's\"}], dtype=object)",
    " [{'from': 'human', 'value': 'q'}]",
]


@pytest.mark.parametrize("printed", PRINTED)
@pytest.mark.parametrize(
    "record",
    [
        {"prompt": None, "response": "a"},
        {"question": None, "response": "a"},
        {"messages": None},
        {"prompt": "q", "response": None},
        {"prompt": "q", "chosen": None, "rejected": "b"},
        {"prompt": "q", "chosen": "b", "rejected": None},
    ],
)
def test_a_conversation_as_python_prints_it_is_a_bad_row_in_every_field(record: dict[str, Any], printed: str) -> None:
    with pytest.raises(InputError, match="a list that is written as text, and not as JSON"):
        responses_of({name: printed if value is None else value for name, value in record.items()})


@pytest.mark.parametrize("answers", [("['a1', 'a2']", "[\"b's\", 'b2']"), ("['a1']", "['b1', None]")])
def test_the_arenas_turns_as_python_prints_them_are_a_bad_row(answers: tuple[str, str]) -> None:
    row = {"prompt": "['q1', 'q2']", "response_a": answers[0], "response_b": answers[1], "winner": "model_a"}
    for read in (responses_of, pairs_of):
        with pytest.raises(InputError, match="lists that are written as text, and not as JSON"):
            read(row)
    plain = {**row, "prompt": "Sort the list."}  # then they are answers
    assert [one.response for one in responses_of(plain)] == [*answers]


@pytest.mark.parametrize("text", ["[{'role': 'user'}] is what I send. Why does it fail?", "[{'a': 1}]", "[1, 2]"])
def test_a_question_about_python_stays_a_text(text: str) -> None:
    [row] = responses_of({"prompt": text, "response": "a"})
    assert row.prompt == text


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt":"p","response":"a","response":"b"}',
        '{"a":{"b":1},"prompt":"p","a":{"b":2}}',
        '{"s":1,"s":null}',
        '{"s":1,"s" :2}',
        '{"s"\t:\n1,"s"\n:2}',
    ],
)
def test_a_field_that_is_there_twice_with_two_values_is_a_bad_row(line: str) -> None:
    with pytest.raises(InputError, match="is there twice, with different values"):
        decode_line(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt":"p","response":"a","response":"a"}',
        '{"text":"t","replies":[{"text":"u"},{"text":"v"}]}',
        '{"prompt":"what is \\"prompt\\"?"}',
        '{"prompt":"prompt","x":"prompt"}',
        '{"id":123456789012345678901234567890,"x":"id","y":"\\":"}',
    ],
)
def test_a_name_that_also_stands_inside_is_no_second_field(line: str) -> None:
    assert decode_line(line.encode()) == json.loads(line)


def test_a_row_with_a_field_twice_is_named_in_lines_and_in_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice, good = '{"prompt":"p","response":"a","response":"b"}', '{"prompt":"p","response":"c"}'
    for name, text in (("a.jsonl", f"{twice}\n{good}\n"), ("a.json", f"[{twice},\n{good}]")):
        (tmp_path / name).write_text(text)
        assert [row.response for row in read_responses(tmp_path / name, BadRows())] == ["c"]
        assert "'response' is there twice" in capsys.readouterr().err


@pytest.mark.parametrize("label", [{"winner": "rejected"}, {"label": "Rejected"}, {"preference": "rejected"}])
def test_a_label_that_says_the_reverse_of_chosen_and_rejected_is_a_bad_row(label: dict[str, str]) -> None:
    with pytest.raises(InputError, match="and the better answer stands in 'chosen': keep one"):
        pairs_of({**CHOSEN, **label})


@pytest.mark.parametrize("label", [{"winner": "chosen"}, {"label": True}, {"preference": 1}, {"label": 0}])
def test_a_label_beside_chosen_and_rejected_that_is_of_something_else_is_let_be(label: dict[str, Any]) -> None:
    assert len(pairs_of({**CHOSEN, **label})) == 1


@pytest.mark.parametrize("names", [("chosen_score", "rejected_score"), ("score_chosen", "score_rejected")])
def test_scores_that_say_the_reverse_are_counted_and_the_names_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str]
) -> None:
    rows = [{**CHOSEN, names[0]: 1, names[1]: 9}, {**CHOSEN, names[0]: 9, names[1]: 1}, CHOSEN]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(read_pairs(tmp_path / "p.jsonl", BadRows(strict=True)))
    assert {pair.chosen[0]["content"] for pair in found} == {"AAA"}
    assert "in 1 of 3 rows the chosen answer has the lower score" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row",
    [
        {"model_a": "B", "model_b": "A", "winner": "A"},
        {"model_a": "b", "model_b": "a", "winner": "A"},
        {"model_a": "2", "model_b": "1", "winner": 1},
        {"model_a": "model_b", "model_b": "model_a", "winner": "model_a"},
    ],
)
def test_a_label_that_is_one_answers_model_and_the_others_place_is_a_bad_row(row: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="names the model of one answer and the place of the other"):
        pairs_of({**SIDES, **row})


@pytest.mark.parametrize(
    ("label", "models", "side"),
    [
        ("x", ("x", "y"), "a"),
        ("Y", ("x", "y"), "b"),
        ("Y", ("y", "Y"), "b"),
        ("x", ("x", "x"), None),
        ("X", ("x", "x"), None),
        ("z", ("x", "y"), None),
        (True, ("True", "y"), None),
        ("x", (None, "x"), None),
    ],
)
def test_a_models_name_says_its_side(label: object, models: tuple[object, object], side: str | None) -> None:
    assert by_model_name(label, models) == side


@pytest.mark.parametrize("word", ["tied", "Tied", "equally good", "both", "bothbad", "no preference"])
def test_every_word_for_a_tie_is_one(word: str) -> None:
    assert winner_in(word) == "tie" and pairs_of({**SIDES, "winner": word}) == []
