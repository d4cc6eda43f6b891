import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.arena_hard.__main__ import main
from evals.arena_hard.options import Config
from tests.fences import plain

BASELINES = {"hard_prompt": "o3-mini-2025-01-31", "creative_writing": "gemini-2.0-flash-001"}


class Arena:
    """A data folder in arena-hard-auto's layout, and scripted engines in the place of the model and the judge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.model = ScriptedEngine(name="mine", digest="mine", reply=lambda request: "a long answer of mine")
        self.judge = ScriptedEngine(name="judge", digest="judge", reply=self.longer)
        self.questions = [
            {"uid": f"{category[0]}{n}", "category": category, "prompt": f"{category} {n}"}
            for category, n_questions in (("hard_prompt", 3), ("creative_writing", 2))
            for n in range(n_questions)
        ]
        self.write("data/question.jsonl", self.questions)
        for category, name in BASELINES.items():
            self.write(f"data/model_answer/{name}.jsonl", self.answers(name, category))

    def answers(self, model: str, category: str | None = None, text: str = "short") -> list[dict[str, Any]]:
        return [
            {
                "uid": question["uid"],
                "ans_id": question["uid"],
                "model": model,
                "messages": [
                    {"role": "user", "content": question["prompt"]},
                    {"role": "assistant", "content": {"answer": text}},
                ],
            }
            for question in self.questions
            if category in (None, question["category"])
        ]

    def write(self, name: str, rows: Sequence[Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def open(self, options: EngineOptions) -> ScriptedEngine:
        return self.judge if options.model == "judge" else self.model

    def run(self, *words: str, data: bool = True, out: str = "out") -> Path:
        source = ["--data", str(self.data)] if data else []
        flags = ["--model", "mine", "--judge-model", "judge", "--out", str(self.folder / out), *source, *words]
        main(parse(Config, flags, "evals.arena_hard"))
        return self.folder / out

    def n_asked(self) -> tuple[int, int]:
        return len(self.model.asked), len(self.judge.asked)

    @staticmethod
    def shown(request: Request) -> tuple[str, str]:
        text = plain(request.messages[-1]["content"])
        a, b = (text.split(f"<answer_{x}>")[1].split(f"</answer_{x}>")[0].strip() for x in "ab")
        return a, b

    @classmethod
    def longer(cls, request: Request) -> str:
        first, second = map(len, cls.shown(request))
        return f"The longer one. Verdict: [[{'A=B' if first == second else 'A>B' if first > second else 'B>>A'}]]"


Rows = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture
def arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arena:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.setattr("evals.arena_hard.scoring.official.ROUNDS", 3)
    scripted = Arena(tmp_path)
    for place in ("evals.arena_hard.evaluation", "evals.arena_hard.plan", "evals.comparing.judge"):
        monkeypatch.setattr(f"{place}.open_engine", scripted.open)
    monkeypatch.setattr("evals.arena_hard.plan.check_engine", lambda options: None)
    return scripted


@pytest.fixture
def rows() -> Rows:
    return lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
