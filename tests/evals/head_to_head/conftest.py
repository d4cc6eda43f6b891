import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from evals.head_to_head.__main__ import main
from evals.head_to_head.options import Config
from tests.evals.head_to_head.compared import Engines, N, Run, Write


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engines:
    monkeypatch.chdir(tmp_path)
    scripted = Engines()
    for place in ("evals.head_to_head.stages", "evals.comparing.judge"):
        monkeypatch.setattr(f"{place}.open_engine", scripted.open)
    for place in ("sides", "plan"):
        monkeypatch.setattr(f"evals.head_to_head.{place}.check_engine", lambda options: None)
    return scripted


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_rows(name: str, rows: Sequence[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write_rows


@pytest.fixture
def prompts(write: Write) -> Path:
    return write("prompts.jsonl", [{"prompt": f"question {n}"} for n in range(N)])


@pytest.fixture
def compare(engines: Engines, prompts: Path, tmp_path: Path) -> Run:
    def run(*argv: str, out: str = "out") -> Path:
        given = [] if any(word.endswith(".jsonl") for word in argv) else ["--prompts", str(prompts)]
        words = [*argv, *given, "--judge-model", "judge", "--out", str(tmp_path / out)]
        main(parse(Config, words, "evals.head_to_head"))
        return tmp_path / out

    return run
