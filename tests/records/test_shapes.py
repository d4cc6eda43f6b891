import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from records.files import BadRows
from records.shapes import pairs_of, prompt_of, read_chats, read_prompts, read_responses, responses_of

USER = [{"role": "user", "content": "Q"}]
ANSWER = {"role": "assistant", "content": "A"}


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        ({"prompt": "Q"}, "Q"),
        ({"prompt": USER}, USER),
        ({"instruction": "Q"}, "Q"),
        ({"instruction": "Q", "input": ""}, "Q"),
        ({"instruction": "Q", "input": "more"}, "Q\n\nmore"),
        ({"messages": [*USER, ANSWER]}, USER),
        ({"question": "Q"}, "Q"),
        ({"turns": ["Q", "second"]}, "Q"),
        ({"turns": [{"content": "Q"}]}, "Q"),
        ({"prompt": {"text": "Q", "role": "prompter"}, "message_tree_id": "t"}, "Q"),
    ],
)
def test_every_shape_of_prompt_is_read(record: dict[str, Any], prompt: object) -> None:
    assert prompt_of(record).prompt == prompt


@pytest.mark.parametrize(
    ("record", "texts"),
    [
        ({"prompt": "Q", "response": "A"}, ["A"]),
        ({"instruction": "Q", "output": "A", "generator": "m"}, ["A"]),
        ({"prompt": USER, "completion": [ANSWER]}, ["A"]),
        ({"messages": [*USER, ANSWER]}, ["A"]),
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, ["A", "B"]),
        ({"chosen": [*USER, ANSWER], "rejected": [*USER, {"role": "assistant", "content": "B"}]}, ["A", "B"]),
        ({"instruction": "Q", "output_1": "A", "output_2": "B", "label": 2}, ["A", "B"]),
    ],
)
def test_every_shape_of_response_is_read(record: dict[str, Any], texts: list[str]) -> None:
    responses = responses_of(record)
    assert [row.response for row in responses] == texts
    assert {row.prompt_id for row in responses} == {responses[0].prompt_id}
    assert len({row.id for row in responses}) == len(texts)


@pytest.mark.parametrize(("label", "chosen"), [(1, "A"), (2, "B"), ("1", "A")])
def test_a_label_says_which_output_is_chosen(label: object, chosen: str) -> None:
    [pair] = pairs_of({"instruction": "Q", "output_1": "A", "output_2": "B", "label": label})
    assert pair.chosen[0]["content"] == chosen


@pytest.mark.parametrize("label", [0, 1.5, "tie"])
def test_a_tie_gives_no_pair(label: object) -> None:
    assert pairs_of({"instruction": "Q", "output_1": "A", "output_2": "B", "preference": label}) == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"response": "A"}, "no prompt"),
        ({"prompt": "", "response": "A"}, "'prompt' is empty"),
        ({"prompt": "Q"}, "no response"),
        ({"prompt": 3, "response": "A"}, "'prompt' must be text, found int"),
        ({"prompt": "Q", "response": None}, "'response' must be text, found NoneType"),
        ({"prompt": "Q\x00", "response": "A"}, r"'prompt' holds U\+0000 at character 1"),
        ({"prompt": "Q", "response": "ab\ud800"}, r"'response' holds U\+D800 at character 2"),
        ({"messages": USER}, "does not end with an assistant turn"),
        ({"messages": []}, "must be a list of messages"),
        ({"prompt": "Q", "completion": [ANSWER, ANSWER]}, "must be one assistant message"),
    ],
)
def test_a_bad_record_says_what_is_wrong(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        responses_of(record)


def test_equal_sides_are_not_a_pair() -> None:
    with pytest.raises(InputError, match="the same"):
        pairs_of({"prompt": "Q", "chosen": "A", "rejected": "A"})


def test_a_bad_row_among_good_ones_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "Q", "response": "A"}\n{"response": "A"}\n{"prompt": "Q", "response": "a\\u0000"}\n')
    bad = BadRows()
    assert len(list(read_responses(path, bad))) == 1
    assert bad.n_bad == 2
    errors = capsys.readouterr().err
    assert f"{path}:2: no prompt" in errors and f"{path}:3: 'response' holds U+0000" in errors


def test_an_escaped_lone_surrogate_is_a_bad_row(tmp_path: Path) -> None:
    for name, text in (("x.jsonl", '{"prompt": "\\ud800"}\n'), ("x.json", '[{"prompt": "\\ud800"}]')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="bad"):
            list(read_prompts(tmp_path / name, BadRows()))


def test_the_same_file_gives_the_same_ids(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"instruction": "Q", "output": str(n), "generator": "m"} for n in range(5)]))
    first, second = (list(read_responses(path, BadRows())) for _ in range(2))
    assert first == second and len({row.id for row in first}) == 5 and len({row.prompt_id for row in first}) == 1


def test_chats_end_with_the_assistant(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"instruction": "Q", "output": "A"}\n')
    assert list(read_chats(path, BadRows())) == [[*USER, ANSWER]]


def test_the_real_files_are_read(data: Path) -> None:
    expected = {
        "alpaca_eval/model_outputs/text_davinci_003.json.gz": 805,
        "llmbar/Natural.json": 200,
        "hh-rlhf/harmless-base_test.jsonl.gz": 2 * 2307,  # in 5 of 2312 rows the two sides part before the last answer
        "self-instruct/text-davinci-003_predictions.jsonl.gz": 252,
    }
    for name, n_rows in expected.items():
        bad = BadRows()
        assert len(list(read_responses(data / name, bad))) == n_rows, name
    for name, n_rows in {
        "arena-hard/question_v0.1.jsonl.gz": 500,
        "fastchat/mt_bench_question.jsonl": 80,
        "koala/koala_test_set.jsonl": 180,
        "oasst/en_100_tree.jsonl.gz": 100,
        "gsm8k/test.jsonl.gz": 1319,
    }.items():
        assert len(list(read_prompts(data / name, BadRows(strict=True)))) == n_rows, name
