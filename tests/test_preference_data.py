"""Other people's preference data go through every command that takes pairs, and mean the same in each."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from judges.judging.contests import read_contests
from judges.judging.stream import survey
from judges.labelled.columns import Columns
from judges.labelled.readers.formats import read_labelled
from judges.rubrics.rubric import load_rubric
from records.files import BadRows
from records.rows import messages_of
from tui.reading.table import open_files

TRAINERS = ("trainer.dpo", "trainer.orpo", "trainer.kto", "trainer.simpo", "trainer.reward_model")


def chat(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def row(kind: str, n: int) -> dict[str, Any]:
    q = f"Q{n}"
    found: dict[str, dict[str, Any]] = {
        "ultrafeedback_binarized": {"prompt": q, "prompt_id": str(n), "chosen": chat(q, "A"), "rejected": chat(q, "B"),
                                    "messages": chat(q, "A"), "score_chosen": 8.0, "score_rejected": 2.0},
        "orca": {"system": "S", "question": q, "chosen": "A", "rejected": "B"},
        "instruction": {"instruction": q, "chosen": "A", "rejected": "B"},
        "hh-rlhf": {"chosen": f"\n\nHuman: {q}\n\nAssistant: A", "rejected": f"\n\nHuman: {q}\n\nAssistant: B"},
        "sharegpt": {"conversations": [{"from": "human", "value": q}], "chosen": {"from": "gpt", "value": "A"},
                     "rejected": {"from": "gpt", "value": "B"}},
        "outputs": {"instruction": q, "output_1": "B", "output_2": "A", "label": 2},
        "preference": {"instruction": q, "output_1": "B", "output_2": "A", "preference": 1.9999},
        "words": {"prompt": q, "response_a": "B", "response_b": "A", "winner": "model_b"},
        "letters": {"prompt": q, "answer_a": "A", "answer_b": "B", "label": "A"},
        "zero and one": {"instruction": q, "output_1": "B", "output_2": "A", "label": 1 if n else 0},
        "rewardbench 2": {"prompt": q, "chosen": ["A"], "rejected": ["B", "C", "D"], "subset": "Focus"},
    }  # fmt: skip
    return found[kind]


KINDS = ("ultrafeedback_binarized", "orca", "instruction", "hh-rlhf", "sharegpt", "outputs", "preference", "words",
         "letters", "rewardbench 2")  # fmt: skip
N = 4


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(kind: str, *more: dict[str, Any]) -> Path:
    path = Path("data.jsonl")
    rows = [*(row(kind, n) for n in range(N)), *more]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def ran(module: str, *argv: str) -> None:
    command = importlib.import_module(module)
    if hasattr(command, "__path__"):
        command = importlib.import_module(f"{module}.__main__")
    command.main(parse(command.Config, list(argv), module))


@pytest.mark.parametrize("kind", KINDS)
def test_every_trainer_learns_the_pairs(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(kind)
    n_pairs = 3 * N if kind == "rewardbench 2" else N
    for module in TRAINERS:
        held_out = ["--held-out-share", "0"] if module == "trainer.reward_model" else []
        ran(module, str(path), "--dry-run", *held_out)
        assert f"on {n_pairs} pairs of data.jsonl" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_learns_the_chosen_answers_only_and_says_so(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran("trainer.sft", str(saved(kind)), "--dry-run")
    out, err = capsys.readouterr()
    assert f"on {N} conversations of data.jsonl" in out
    assert f"{N} rows are pairs, of which only the chosen answers are learnt" in err


@pytest.mark.parametrize("kind", KINDS)
def test_judges_and_the_screen_see_both_sides(kind: str) -> None:
    path = saved(kind)
    n_rejected = 3 if kind == "rewardbench 2" else 1
    assert survey(path, None, strict=True).n == N * (1 + n_rejected)
    contests = read_contests(path, None, load_rubric("pairwise"), strict=True)
    assert len(contests) == N * n_rejected
    assert {frozenset((one.response_a, one.response_b)) for one in contests} >= {frozenset("AB")}
    table = open_files(path, strict=True)
    assert len(table) == N * n_rejected
    items = [table.body(row).item for row in range(len(table))]
    sides = [(one.text_a, one.text_b) if one.winner == 1 else (one.text_b, one.text_a) for one in items]
    assert {better for better, _ in sides} == {"A"}
    assert len({worse for _, worse in sides}) == n_rejected


@pytest.mark.parametrize("kind", KINDS)
def test_calibrate_takes_the_same_side_for_the_better_one(kind: str) -> None:
    columns = Columns(human={"preference": "preference", "words": "winner"}.get(kind))
    found = read_labelled(saved(kind), None, columns, BadRows(strict=True))
    better = {pair.response_a if pair.label == "a" else pair.response_b for pair in found.pairs}
    assert better == {"A"} and len(found.pairs) == (3 * N if kind == "rewardbench 2" else N)
    assert len({pair.id for pair in found.pairs}) == len(found.pairs)


@pytest.mark.parametrize("module", [*TRAINERS, "trainer.sft", "tui.__main__", "judges.calibrate.__main__"])
def test_labels_of_zero_and_one_ask_for_codes(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(saved("zero and one"))
    with pytest.raises(InputError, match="all labels are 0 or 1.*--codes"):
        ran(module, path, "--dry-run")
    ran(module, path, "--dry-run", "--codes", "0=a,1=b")
    assert capsys.readouterr().out


@pytest.mark.parametrize("module", [*TRAINERS, "trainer.sft"])
def test_ties_are_counted_and_what_is_no_label_is_a_bad_row(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    tie = {"instruction": "t", "output_1": "B", "output_2": "A", "label": "tie"}
    path = saved("outputs", tie, tie | {"label": 1.5}, tie | {"label": "neither"}, tie | {"label": None})
    ran(module, str(path), "--dry-run")
    err = capsys.readouterr().err
    assert "2 of 6 rows are ties and left out" in err
    assert "data.jsonl:7: 'label' is 'neither', which is no label" in err and "data.jsonl:8: no label" in err


def test_a_pair_that_is_ambiguous_is_a_bad_row_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    twice = {"prompt": "Q", "chosen": "A", "rejected": "B", "response_a": "A", "response_b": "C", "winner": "a"}
    path = saved("orca", twice)
    ran("trainer.dpo", str(path), "--dry-run")
    ran("trainer.sft", str(path), "--dry-run")
    assert open_files(path).n_bad == 1
    assert len(read_contests(path, None, load_rubric("pairwise"), strict=False)) == N
    assert capsys.readouterr().err.count("data.jsonl:5: several pairs of answers") == 3  # the screen shows it itself


def test_system_turns_reach_the_judge_the_screen_and_the_trainer() -> None:
    path = Path("data.jsonl")
    rows = [{"system": who, "question": "Q", "chosen": "A", "rejected": "B"} for who in ("pirate", "poet", "")]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert survey(path, None, strict=True).n == 6
    table = open_files(path)
    heads = [messages_of(table.body(row).item.prompt)[0] for row in range(len(table))]
    assert [turn["role"] for turn in heads] == ["system", "system", "user"]
    contests = read_contests(path, None, load_rubric("pairwise"), strict=True)
    assert len({contest.prompt_id for contest in contests}) == 3
    assert len({pair.group for pair in read_labelled(path, None, Columns(), BadRows()).pairs}) == 3
