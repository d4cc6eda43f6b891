import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.mt_bench.__main__ import main
from evals.mt_bench.options import Config
from tests.fences import plain

QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write a line.", "Now rhyme it."]},
    {"question_id": 101, "category": "math", "turns": ["What is 2 + 2?", "And twice that?"]},
    {"question_id": 131, "category": "extraction", "turns": ["List the names.", "Sort them."]},
]


def answer_row(question_id: int, model: str, *turns: Any) -> dict[str, Any]:
    return {"question_id": question_id, "model_id": model, "choices": [{"index": 0, "turns": list(turns)}]}


class Bench:
    """A data folder in FastChat's layout, and scripted engines in the place of the model and the judge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = ScriptedEngine(name="mine", digest="mine", reply=self.answer)
        self.judge = ScriptedEngine(name="judge", digest="judge", reply=lambda request: "Fine. Rating: [[7]]")
        self.write("data/question.jsonl", QUESTIONS)
        self.write("data/reference_answer/gpt-4.jsonl", [answer_row(101, "gpt-4", "It is 4.", "It is 8.")])
        self.base = [answer_row(int(str(q["question_id"])), "base", "short", "brief") for q in QUESTIONS]
        self.write("base.jsonl", self.base)

    @staticmethod
    def answer(request: Request) -> str:
        return f"answer {len(request.messages) // 2 + 1} to: {request.messages[-1]['content']}"

    def write(self, name: str, rows: Sequence[Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def open(self, options: EngineOptions) -> ScriptedEngine:
        return self.judge if options.model == "judge" else self.model

    def run(self, *words: str, data: bool = True, out: str = "out") -> Path:
        source = ["--data", "data"] if data else []
        main(
            parse(
                Config, ["--model", "mine", "--judge-model", "judge", "--out", out, *source, *words], "evals.mt_bench"
            )
        )
        return self.folder / out

    def n_asked(self) -> tuple[int, int]:
        return len(self.model.asked), len(self.judge.asked)

    def rows(self, pattern: str, out: str = "out") -> list[dict[str, Any]]:
        (path,) = (self.folder / out).glob(pattern)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def result(self, name: str = "mt_bench", out: str = "out") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / out / f"{name}.json").read_text(encoding="utf-8"))
        return found


def part(text: str, tag: str) -> str:
    """Return what stands between two tags of a filled prompt."""
    match = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", plain(text), re.DOTALL)
    assert match is not None, tag
    return match[1]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    scripted = Bench(tmp_path)
    for place in ("mt_bench.evaluation", "mt_bench.judging", "comparing.there"):
        monkeypatch.setattr(f"evals.{place}.open_engine", scripted.open)
    monkeypatch.setattr("evals.mt_bench.evaluation.check_engine", lambda options: None)
    return scripted
