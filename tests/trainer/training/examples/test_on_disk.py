"""Examples lie in a mapped file, and the rows of a file are read anew, so that a set need not fit into memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from records.files import BadRows
from records.shapes import read_chats
from tests.trainer.training.examples.test_turns import CHAT, REWRITING, SMOLLM2
from tests.trainer.training.test_resume import CHATS, SHARED, killed_after, sft
from trainer.sft.__main__ import Config, main
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.examples.file_rows import FileRows
from trainer.training.examples.on_disk import on_disk
from trainer.training.examples.turns import example_of
from trainer.training.outcome import examples_path


def written(path: Path, chats: Any) -> Path:
    path.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return path


def test_a_set_of_examples_is_mapped_from_its_file_and_not_held(tmp_path: Path) -> None:
    rows = [{"input_ids": list(range(n)), "labels": [-100] * n, "weight": float(n)} for n in range(1, 600)]
    data = on_disk(tmp_path / "model", iter(rows))
    assert list(data) == rows and str(data.features["input_ids"].feature.dtype) == "int32"
    [file] = [Path(file["filename"]) for file in data.cache_files]
    assert file.parent.parent == examples_path(tmp_path / "model")


def test_the_rows_of_a_file_are_read_each_time_and_counted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "x.jsonl", CHATS)
    with path.open("a") as file:
        file.write("{\n")
    bad = BadRows()
    rows = FileRows(lambda bad: read_chats(path, bad), bad)
    assert len(rows) == 10 and list(rows) == list(rows) == CHATS
    assert bad.n_bad == 1 and capsys.readouterr().err.count("skipped") == 1, "it is named once"
    with path.open("a") as file:
        file.write(json.dumps({"messages": CHATS[0]}) + "\n")
    with pytest.raises(InputError, match="the file had 10 rows and has 11 now"):
        list(rows)


def test_a_command_makes_the_model_that_the_same_conversations_in_memory_make(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "x.jsonl", CHATS)
    words = ["--learning-rate", "3e-3", "--batch-size", "4", "--epochs", "2", "--save-minutes", "0"]
    main(parse(Config, [str(path), "--model", str(tiny_model), "--out", str(tmp_path / "a"), *words], "trainer.sft"))
    train_sft(tiny_model, tmp_path / "b", CHATS, SFTOptions(**SHARED | {"save_minutes": 0.0}), 0)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]
    assert not examples_path(tmp_path / "a").exists()


def test_a_killed_training_leaves_its_examples_and_the_next_makes_them_anew(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(3, sft, tiny_model, tmp_path / "out", monkeypatch)
    [file] = examples_path(tmp_path / "out").rglob("examples.arrow")
    file.write_bytes(file.read_bytes()[:-50])  # torn, as by a kill while it was written
    (file.parent / "cache-old.arrow").write_bytes(b"x")
    sft(tiny_model, tmp_path / "whole")
    sft(tiny_model, tmp_path / "out")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "out")]
    assert weights[0] == weights[1] and not examples_path(tmp_path / "out").exists()


@pytest.mark.parametrize("template", [SMOLLM2, *REWRITING.values()])
def test_the_last_turn_is_labelled_as_trl_labels_it(tiny_model: Path, tmp_path: Path, template: str) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from trainer.training.fit import load_policy, trainer_settings

    model, tokenizer = load_policy(tiny_model)
    tokenizer.chat_template = template
    rows = [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in (CHAT, CHAT[:2])]
    args = SFTConfig(**trainer_settings(SFTOptions(), tmp_path, 0), completion_only_loss=True)
    theirs = SFTTrainer(model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    for place, chat in enumerate((CHAT, CHAT[:2])):
        row = example_of(chat, tokenizer, "last")
        for name in ("input_ids", "labels"):
            assert theirs.train_dataset[place][name] == row[name]
