import sys
from pathlib import Path

import pytest

from examples import minimal_loop
from records import Comparison, Judgment, Pair, Response, read_rows


def test_one_round_makes_rows_of_every_kind_and_a_model(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["x", "--model", str(tiny_model), "--prompts", "3", "--out", str(out)])
    minimal_loop.main()
    counts = [
        len(list(read_rows(out / f"{name}.jsonl", kind)))
        for name, kind in (("responses", Response), ("judgments", Judgment), ("pairs", Pair), ("after", Response))
    ]
    assert counts == [12, 12, 3, 4] and (out / "model" / "model.safetensors").exists()
    models = {(row.model_a, row.model_b) for row in read_rows(out / "comparisons.jsonl", Comparison)}
    printed = capsys.readouterr().out
    assert models == {("parent", "child")} and "3 pairs from 3 prompts" in printed and "win rate" in printed
    made = (out / "model" / "model.safetensors").stat().st_mtime_ns
    minimal_loop.main()
    assert (out / "model" / "model.safetensors").stat().st_mtime_ns == made and len(counts) == 4
