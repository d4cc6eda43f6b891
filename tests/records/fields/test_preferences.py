import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import InputError
from records.files import BadRows
from records.shapes import chats_of, pairs_of, prompt_of, read_chats, read_responses, responses_of
from tests.mutants import mutants

USER = {"role": "user", "content": "Q"}
FIRST = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def turn(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


HH = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Q\n\nAssistant: "
FORMATS: dict[str, tuple[dict[str, Any], list[dict[str, str]]]] = {
    "ultrafeedback_binarized": (
        {"prompt": "Q", "prompt_id": "p", "chosen": [USER, said("A")], "rejected": [USER, said("B")],
         "messages": [USER, said("A")], "score_chosen": 8.0}, [USER]),
    "with a conversation before": (
        {"prompt": "Hi", "chosen": [*FIRST, USER, said("A")], "rejected": [*FIRST, USER, said("B")]}, [*FIRST, USER]),
    "with the last request": (
        {"prompt": "Q", "chosen": [*FIRST, USER, said("A")], "rejected": [*FIRST, USER, said("B")]}, [*FIRST, USER]),
    "with the request before": (
        {"prompt": [*FIRST, USER], "chosen": [said("A")], "rejected": [said("B")]}, [*FIRST, USER]),
    "without a prompt": ({"chosen": [USER, said("A")], "rejected": [USER, said("B")]}, [USER]),
    "orca": (
        {"system": "S", "question": "Q", "chosen": "A", "rejected": "B"}, [{"role": "system", "content": "S"}, USER]),
    "instruction": ({"instruction": "Q", "input": "", "chosen": "A", "rejected": "B"}, [USER]),
    "sharegpt": (
        {"conversations": [turn("human", "Q")], "chosen": turn("gpt", "A"), "rejected": turn("gpt", "B")}, [USER]),
    "sharegpt in full": (
        {"chosen": [turn("human", "Q"), turn("gpt", "A")], "rejected": [turn("human", "Q"), turn("gpt", "B")]}, [USER]),
    "messages before": ({"messages": [USER], "chosen": "A", "rejected": "B"}, [USER]),
    "hh-rlhf": ({"chosen": HH + "A", "rejected": HH + "B"}, [*FIRST, USER]),
    "rm-static": ({"prompt": HH, "response": " A", "chosen": " A", "rejected": " B"}, [*FIRST, USER]),
    "rewardbench 2": ({"prompt": "Q", "chosen": ["A"], "rejected": ["B"], "num_rejected": 1}, [USER]),
    "arena": ({"model_a": "x", "model_b": "y", "winner": "model_a", "conversation_a": [USER, said("A")],
               "conversation_b": [USER, said("B")]}, [USER]),
    "judgebench": ({"question": "Q", "response_A": "A", "response_B": "B", "label": "A>B"}, [USER]),
    "a comparison of this project": (
        {"prompt": "Q", "response_a": "A", "response_b": "B", "winner": "a", "model_a": "x", "model_b": "y"}, [USER]),
    "in the cells of a table": (
        {"prompt": "Q", "chosen": json.dumps([USER, said("A")]), "rejected": json.dumps([USER, said("B")])}, [USER]),
    "parts": ({"prompt": "Q", "chosen": [said([{"type": "text", "text": "A"}])],  # type: ignore[arg-type]
               "rejected": [said("B")]}, [USER]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_pair_responses_and_chat(name: str) -> None:
    record, head = FORMATS[name]
    [pair] = pairs_of(record)
    assert (pair.prompt, pair.chosen, pair.rejected) == (head, [said("A")], [said("B")])
    assert [row.response for row in responses_of(record)] == ["A", "B"]
    assert all(row.prompt == head or [{"role": "user", "content": row.prompt}] == head for row in responses_of(record))
    assert chats_of(record) == [[*head, said("A")]]  # what was rejected is not learnt


def test_one_chosen_answer_and_several_rejected_ones_are_several_pairs() -> None:
    record = {"prompt": "Q", "chosen": ["A"], "rejected": ["B", "C", "A"]}
    pairs = pairs_of(record)
    assert [(pair.chosen[0]["content"], pair.rejected[0]["content"]) for pair in pairs] == [("A", "B"), ("A", "C")]
    assert len({pair.prompt_id for pair in pairs}) == 1
    assert [row.response for row in responses_of(record)] == ["A", "B", "C", "A"]
    assert chats_of(record) == [[USER, said("A")]]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"prompt": "other", "chosen": [USER, said("A")], "rejected": [USER, said("B")]}, "not what 'chosen' opens"),
        ({"chosen": [USER, said("A")], "rejected": [*FIRST, USER, said("B")]}, "do not share their prompt"),
        ({"chosen": HH + "A", "rejected": HH + "B\n\nHuman: more\n\nAssistant: C"}, "do not share their prompt"),
        ({"chosen": HH + "A", "rejected": "B"}, "do not share their prompt"),
        ({"chosen": "A", "rejected": "B"}, "no prompt"),
        ({"prompt": "Q", "chosen": [USER], "rejected": [USER]}, "'chosen' does not end with an assistant turn"),
        ({"prompt": "Q", "chosen": [], "rejected": ["B"]}, "'chosen' must be an answer"),
        ({"prompt": "Q", "chosen": 5, "rejected": "B"}, "'chosen' must be text, found int"),
        ({"prompt": "Q", "chosen": "A"}, "no pair"),
        ({"prompt": "Q", "chosen": "A", "rejected": None}, "no pair"),
        ({"prompt": "Q", "chosen": "A", "rejected": "B", "output_1": "A", "output_2": "C", "label": 1},
         "several pairs of answers: chosen, rejected and output_1, output_2"),
        ({"prompt": "Q", "chosen": [{"role": "narrator", "content": "A"}], "rejected": [said("B")]}, "be placed"),
        ({"prompt": "Q", "chosen": ["A"], "rejected": ["A"]}, "the same"),
    ],
)  # fmt: skip
def test_what_is_no_pair_says_why(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pairs_of(record)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"prompt": "Q", "response": "A", "output": "B"}, "several answers that differ: response, output"),
        ({"prompt": "Q", "response": "C", "chosen": "A", "rejected": "B"}, "'response' is neither 'chosen' nor"),
        ({"messages": [USER, said("C")], "chosen": "A", "rejected": "B", "prompt": "Q"}, "'messages' is neither"),
        ({"messages": [USER, said("A")], "response": "B"}, "several answers that differ: response, messages"),
        ({"prompt": "other", "messages": [USER, said("A")]}, "'prompt' is no turn of the conversation"),
        ({"question": "Q", "answer": ["A", "B"]}, "'answer' holds a part of the type 'str'"),
    ],
)
def test_several_answers_of_the_same_meaning_are_not_guessed_at(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        responses_of(record)


@pytest.mark.parametrize(
    ("record", "texts"),
    [
        ({"conversations": [turn("human", "Q"), turn("gpt", "A")]}, ["A"]),
        ({"messages": [USER, {"role": "assistant", "content": {"answer": "A"}}], "model": "m", "uid": "u"}, ["A"]),
        ({"prompt": "Q", "messages": [*FIRST, USER, said("A")]}, ["A"]),
        ({"messages": [USER], "response": "A"}, ["A"]),
        ({"prompt": "Q", "response": "A", "output": " A"}, ["A"]),
        ({"prompt": "Q", "response": "A", "answer": "the right one"}, ["A"]),
        ({"instruction": "Q", "completions": [{"model": "x", "response": "A"}, {"response": "B"}]}, ["A", "B"]),
        ({"prompt": HH, "answers": [{"answer": "A", "rank": 1, "model": "x"}, {"answer": "B", "rank": 2}]}, ["A", "B"]),
        ({"prompt": "Q", "responses": ["A", "B"], "ranks": [0, 1]}, ["A", "B"]),
        ({"prompt": "Q", "response": [{"type": "text", "text": "A"}]}, ["A"]),
    ],
)  # fmt: skip
def test_more_shapes_of_responses_are_read(record: dict[str, Any], texts: list[str]) -> None:
    assert [row.response for row in responses_of(record)] == texts


def test_the_models_of_both_sides_are_known() -> None:
    named = {"instruction": "Q", "output_1": "A", "output_2": "B", "generator_1": "x", "generator_2": "y"}
    assert [row.model for row in responses_of(named)] == ["x", "y"]
    completions = [{"model": "x", "response": "A"}, {"model": "y", "response": "B"}]
    assert [row.model for row in responses_of({"instruction": "Q", "completions": completions})] == ["x", "y"]
    assert [row.model for row in responses_of(FORMATS["arena"][0])] == ["x", "y"]


def test_only_the_chosen_answers_are_learnt_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    rows = [
        FORMATS["ultrafeedback_binarized"][0],
        {"prompt": "Q", "response": "A"},
        {"instruction": "Q", "output_1": "A", "output_2": "B", "label": "tie"},
        {"prompt": "Q", "completion": "B", "label": False},
        {"prompt": "Q", "completion": "A", "label": True},
        {"prompt": "Q", "responses": ["A", "B"]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bad = BadRows()
    assert list(read_chats(path, bad)) == [[USER, said("A")]] * 3
    err = capsys.readouterr().err
    assert "1 rows are pairs, of which only the chosen answers are learnt" in err
    assert "1 of 5 rows are ties" in err and "1 of 5 answers are labelled False" in err
    assert f"{path}:6: several answers, and none is said to be the best" in err


def test_a_rendered_template_is_named_once_with_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"prompt": "Q", "response": f"A{n}" + "<|im_end|>" * (n > 1)} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(list(read_responses(path, BadRows()))) == 4
    err = capsys.readouterr().err
    assert err.count("warning") == 1
    assert f"2 rows hold a rendered chat template, the first <|im_end|> in {path}:3" in err
    assert len(list(read_responses(path, BadRows(quiet=True)))) == 4
    assert capsys.readouterr().err == ""


def test_real_preferences_are_read_whole(data: Path) -> None:
    from records.shapes import read_pairs

    for name, n_pairs, n_bad in (
        ("hh-rlhf/harmless-base_test.jsonl.gz", 2303, 9),  # 5 part before the last answer, 4 have an empty one
        ("judgebench/gpt-4o-2024-05-13.jsonl.gz", 350, 0),
        ("llmbar/Natural.json", 100, 0),
        ("alpaca_eval/ae1_annotations/alpaca-7b.json.gz", None, None),
    ):
        bad = BadRows(quiet=True)
        pairs = list(read_pairs(data / name, bad))
        assert all(pair.prompt and pair.prompt[-1]["role"] == "user" for pair in pairs), name
        assert n_pairs is None or (len(pairs), bad.n_bad) == (n_pairs, n_bad), name


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_record_is_read_or_says_what_is_wrong(name: str) -> None:
    extra = {"history": [["Hi", "Hello"]], "weight": 1.0, "margin": 2, "model": "m", "n_tokens": 3, "label": 1}
    for mutant in [*mutants(FORMATS[name][0]), *mutants(FORMATS[name][0] | extra)]:
        for read in (prompt_of, responses_of, pairs_of, chats_of):
            try:
                found = read(mutant)
            except InputError as error:
                assert str(error) and "\n" not in str(error)
            else:
                assert msgspec.json.encode(found)
