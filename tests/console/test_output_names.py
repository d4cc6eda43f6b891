"""An output's name says what is in it: rows under another ending could not be read again."""

from pathlib import Path

import pytest

from console.command import parse
from console.errors import StoreError
from tests.commands import command_named


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


ROWS = {
    "z.jsonl.gz": "give z.jsonl",
    "z.gz": "give z.jsonl",
    "z.csv": "give z.jsonl",
    "z.tsv": "give z.jsonl",
    "z.parquet": "give z.jsonl",
    "z.JSON": "give z.jsonl",
    "z.out": "give z.jsonl",
    "z": "give z.jsonl",
    "qwen2.5-7b": "give qwen2.5-7b.jsonl",
}
COMMANDS = ["score", "compare", "cluster", "rescore", "best_of", "attacks"]


@pytest.mark.parametrize("module", [*(f"judges.{name}" for name in COMMANDS), "trainer.pairs", "trainer.prompts"])
def test_rows_are_not_written_under_a_name_that_says_something_else(module: str) -> None:
    config = command_named(module).Config
    for name, advice in ROWS.items():
        with pytest.raises(StoreError) as caught:
            parse(config, ["--out", name], "prog")
        said = str(caught.value)
        assert said.startswith(f"--out {name}: rows are written") and said.endswith(advice)
    for name in ("z.jsonl", "z.ndjson", "Z.JSONL"):
        assert parse(config, ["--out", name], "prog").out == Path(name)


@pytest.mark.parametrize("module", ["judges.score", "judges.compare"])
def test_a_batch_file_too_ends_as_what_is_in_it(module: str) -> None:
    with pytest.raises(StoreError, match=r"--export-batch b\.json: rows are written.*give b\.jsonl"):
        parse(command_named(module).Config, ["--export-batch", "b.json"], "prog")


@pytest.mark.parametrize("module", ["trainer.frozen_lake.__main__", "experiments.known_truth.__main__"])
def test_a_picture_is_not_written_under_the_name_of_another_kind(module: str) -> None:
    with pytest.raises(StoreError, match=r"--picture lake\.svg: a picture is written.*give lake\.png"):
        parse(command_named(module).Config, ["--picture", "lake.svg"], "prog")


def test_rows_that_are_there_already_under_another_ending_are_to_be_renamed() -> None:
    Path("paid.out").write_text("{}\n")
    with pytest.raises(StoreError, match=r"give paid\.jsonl, after renaming .*: mv paid\.out paid\.jsonl"):
        parse(command_named("judges.score").Config, ["--out", "paid.out"], "prog")
