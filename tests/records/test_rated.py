"""KTO learns from its own data, answers that are good or bad by themselves, and from pairs."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from records import Pair
from records.files import BadRows
from records.rated import Rated, rated_of, read_rated
from trainer.dpo import __main__ as dpo
from trainer.kto import __main__ as kto

SINGLE = {"prompt": "Q", "completion": "A"}
CHAT = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]


@pytest.mark.parametrize(
    ("record", "is_good"),
    [
        ({**SINGLE, "label": True}, True),
        ({**SINGLE, "label": False}, False),
        ({**SINGLE, "label": "True"}, True),
        ({**SINGLE, "label": "false"}, False),
        ({**SINGLE, "label": 1}, True),
        ({**SINGLE, "label": 0.0}, False),
        ({"prompt": CHAT[:1], "completion": CHAT[1:], "label": True}, True),
        ({"instruction": "Q", "output": "A", "kto_tag": False}, False),
        ({"messages": CHAT, "label": False}, False),
    ],
)
def test_an_answer_has_its_label(record: dict[str, Any], is_good: bool) -> None:
    [row] = rated_of(record)
    assert isinstance(row, Rated) and row.is_good is is_good
    assert [*row.prompt, *row.answer] == CHAT


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (SINGLE, "no label"),
        ({**SINGLE, "label": None}, "no label"),
        ({**SINGLE, "label": "good"}, "'label' is 'good', and must be true or false"),
        ({**SINGLE, "label": 0.5}, "must be true or false"),
        ({**SINGLE, "label": True, "kto_tag": False}, "contradict each other"),
        ({"prompt": "Q", "completion": "", "label": True}, "the answer is empty"),
        ({"prompt": "Q", "label": True}, "no response"),
    ],
)
def test_an_answer_without_a_label_is_a_bad_row(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        rated_of(record)


def test_pairs_and_answers_may_stand_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    tie = {"instruction": "Q", "output_1": "A", "output_2": "B", "label": "tie"}
    rows = [{**SINGLE, "label": True}, {"prompt": "Q", "chosen": "A", "rejected": "B"}, tie, SINGLE]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [type(row) for row in read_rated(path, BadRows())] == [Rated, Pair]
    err = capsys.readouterr().err
    assert f"{path}:4: no label" in err and "1 of 3 rows are ties" in err


def test_a_table_of_kto_is_learnt_by_kto_and_named_by_dpo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("prompt,completion,label\nQ,A,True\nQ,B,False\n")
    kto.main(parse(kto.Config, [str(path), "--dry-run"], "prog"))
    assert "on 2 answers of" in capsys.readouterr().out
    with pytest.raises(InputError, match="no usable row"):
        dpo.main(parse(dpo.Config, [str(path), "--dry-run"], "prog"))
    assert "trainer.kto learns from answers with a label" in capsys.readouterr().err
