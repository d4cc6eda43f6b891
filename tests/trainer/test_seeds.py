import json
from pathlib import Path

import pytest

from console.errors import InputError
from judges.rubrics.rubric import load_rubric
from trainer.prompts.seeds.reading import eft_chats

ROW = {
    "id": "i",
    "prompt": "q",
    "responses": ["a", "b"],
    "ranks": [0, 1],
    "scores": [4, 1],
    "rationales": ["good", "bad"],
}


def chats(path: Path, row: object) -> int:
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(row) + "\n")
    return len(list(eft_chats(path, load_rubric("additive"), "text")))


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"messages": []},
        {"messages": [{"role": 1, "content": 2}]},
        ROW | {"prompt": None},
        ROW | {"prompt": "a\0b"},
        ROW | {"responses": 1},
        ROW | {"scores": None},
        ROW | {"scores": [4]},
        ROW | {"rationales": ["good", "bad", "more"]},
    ],
)
def test_a_seed_for_judging_that_is_none_names_its_line(tmp_path: Path, row: object) -> None:
    with pytest.raises(InputError, match=r"seeds\.jsonl:2: "):
        chats(tmp_path / "seeds.jsonl", row)


def test_each_answer_of_a_seed_is_a_chat(tmp_path: Path) -> None:
    assert chats(tmp_path / "seeds.jsonl", ROW) == 4
