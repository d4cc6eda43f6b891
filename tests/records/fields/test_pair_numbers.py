"""Numbers of a row that count in a training: a wrong one is named with its line, and one that is not used is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from records.fields.wanted import CONFIDENCE, MARGIN
from records.files import BadRows
from records.rated import read_rated
from records.shapes import pairs_of, read_chats, read_pairs
from tests.console.test_dry_runs import command_at

PAIR = {"prompt": "Q", "chosen": "A", "rejected": "B"}


def saved(path: Path, *more: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps({**PAIR, "prompt": f"Q{n}", **one}) + "\n" for n, one in enumerate(more)))
    return path


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (3, "'confidence' must be at most 1, found 3"),
        (-0.5, "'confidence' must be 0 or more, found -0.5"),
        ("high", "'confidence' must be a number, found 'high'"),
        (float("nan"), "'confidence' must be a number, found"),
    ],
)
def test_a_wrong_confidence_is_named_with_its_line_if_it_is_used(
    value: Any, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(PAIR | {"confidence": 0.5}) + "\n" + json.dumps(PAIR | {"confidence": value}) + "\n")
    assert [pair.confidence for pair in read_pairs(path, BadRows(), used=(CONFIDENCE,))] == [0.5]
    assert f"p.jsonl:2: {problem}" in capsys.readouterr().err
    with pytest.raises(InputError, match="p.jsonl:2: 'confidence' must be"):
        list(read_pairs(path, BadRows(strict=True), used=(CONFIDENCE,)))
    assert len(list(read_pairs(path, BadRows(strict=True)))) == 2, "it is not used, so it is no reason to drop a pair"


def test_a_wrong_margin_is_named_with_its_line_if_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "p.jsonl", {"margin": 1.5}, {"margin": "wide"}, {"margin": -1}, {"margin": "2"})
    assert [pair.margin for pair in read_pairs(path, BadRows(), used=(MARGIN,))] == [1.5, 2.0]
    said = capsys.readouterr().err
    assert "p.jsonl:2: 'margin' must be a number, found 'wide'" in said
    assert "p.jsonl:3: 'margin' must be 0 or more, found -1" in said
    assert [pair.margin for pair in read_pairs(path, BadRows(strict=True))] == [1.5, None, -1.0, 2.0]


@pytest.mark.parametrize(
    ("command", "flags", "name"),
    [("trainer.dpo", ["--labels", "soft"], "confidence"), ("trainer.reward_model", ["--margins"], "margin")],
)
def test_a_training_names_the_row_whose_number_it_cannot_use(
    command: str, flags: list[str], name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "p.jsonl", {name: 1}, {name: 0.5}, {name: "none at all"})
    module = command_at(command)
    module.main(parse(module.Config, [str(path), "--model", str(tiny_model), "--dry-run", *flags], command))
    assert f"p.jsonl:3: '{name}' must be a number, found 'none at all'" in capsys.readouterr().err


@pytest.mark.parametrize("weight", [1e308, 1e31, "1e400", 10**400], ids=["1e308", "1e31", "text", "whole"])
def test_a_weight_whose_sum_would_be_infinite_is_said_to_be_too_large(
    weight: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f"{json.dumps(PAIR)}\n{json.dumps(PAIR | {'weight': weight})}\n")
    for read in (read_pairs, read_chats):
        assert len(list(read(path, BadRows()))) == 1
        assert "p.jsonl:2: 'weight' must be at most 1e+30, found" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["much", -1, 1e308])
def test_kto_tells_that_weights_are_not_used_and_drops_no_row_for_one(
    bad: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "p.jsonl", {"weight": 1.0}, {"weight": 2}, {"weight": bad}, {})
    with path.open("a") as file:
        file.write(json.dumps({"prompt": "R", "completion": "A", "label": True, "weight": bad}) + "\n")
    assert len(list(read_rated(path, BadRows(strict=True)))) == 5
    assert "3 of 5 rows have a 'weight', which is not used here: all count alike" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("trainer.kto", []),
        ("trainer.ppo", ["--reward", "os.path:join"]),
        ("trainer.grpo", ["--reward", "os.path:join", "--batch-size", "8"]),
    ],
)
def test_a_plan_tells_that_weights_are_not_used(
    command: str, flags: list[str], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "p.jsonl", {"weight": 2}, {"weight": 1})
    module = command_at(command)
    module.main(parse(module.Config, [str(path), "--model", str(tiny_model), "--dry-run", *flags], command))
    assert "1 of 2 rows have a 'weight', which is not used here" in capsys.readouterr().err


def test_a_weight_is_no_reason_not_to_look_at_a_pair() -> None:
    [pair] = pairs_of(PAIR | {"weight": "much", "confidence": "high"}, empty=True)
    assert (pair.weight, pair.confidence) == (1.0, None)
