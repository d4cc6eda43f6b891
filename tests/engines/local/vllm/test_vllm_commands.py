"""The commands that take --engine, on vLLM: run by `make test-vllm`."""

import importlib
import json
from pathlib import Path

import pytest

from console.command import parse
from tests.tiny import save_tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("commands") / "tiny", head_dim=32)


@pytest.mark.parametrize(
    ("module", "argv", "out"),
    [
        ("judges.score", ["a.jsonl", "--out", "out.jsonl"], "out.jsonl"),
        ("judges.score", ["a.jsonl", "--read", "structured", "--min-coverage", "0", "--out", "out.jsonl"], "out.jsonl"),
        ("judges.compare", ["a.jsonl", "b.jsonl", "--out", "out.jsonl"], "out.jsonl"),
        ("judges.best_of", ["c.jsonl", "--out", "out.jsonl"], "out.judgments.jsonl"),
        ("evals.alpaca", ["--prompts", "a.jsonl", "--reference", "b.jsonl", "--max-new-tokens", "8"], None),
    ],
)
def test_a_command_asks_vllm(
    module: str, argv: list[str], out: str | None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    rows = [{"prompt": f"Question {n}", "response": f"Answer {n}"} for n in range(4)]
    Path("a.jsonl").write_text("".join(json.dumps(row | {"model": "a"}) + "\n" for row in rows))
    others = [row | {"response": row["response"] + " and more", "model": "b"} for row in rows]
    Path("b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in others))
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows + others))
    command = importlib.import_module(module)
    command = importlib.import_module(f"{module}.__main__") if hasattr(command, "__path__") else command
    command.main(parse(command.Config, [*argv, "--model", str(folder), "--engine", "vllm"], module))
    if out is not None:
        assert len(Path(out).read_text().splitlines()) in (4, 8)
