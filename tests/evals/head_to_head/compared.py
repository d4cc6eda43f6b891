"""Scripted engines in the place of models and a judge, and what a head-to-head of them leaves."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from tests.fences import plain

N = 6
Run = Callable[..., Path]
Write = Callable[..., Path]


def shown(request: Request) -> tuple[str, str]:
    text = plain(request.messages[-1]["content"])
    a, b = (text.split(f"<answer_{x}>")[1].split(f"</answer_{x}>")[0].strip() for x in "ab")
    return a, b


def prefer_long(request: Request, choices: Sequence[str]) -> Sequence[float]:
    first, second = (len(text) for text in shown(request))
    share = second / (first + second)
    return [math.log(1 - share), math.log(share)]


def longer(request: Request) -> str:
    first, second = (len(text) for text in shown(request))
    return "Better: tie" if first == second else f"Better: {'A' if first > second else 'B'}"


class Engines:
    """Scripted engines by the names of their models. A model answers with its name as often as its last digit says."""

    def __init__(self) -> None:
        self.opened: dict[str, ScriptedEngine] = {}
        self.judge: dict[str, Any] = {"logprobs": prefer_long, "reply": longer}
        self.digests: dict[str, str] = {}
        self.replies: dict[str, Callable[[Request], str]] = {}

    def open(self, options: EngineOptions) -> ScriptedEngine:
        name = options.model
        if name not in self.opened:
            digest = self.digests.get(name, name)
            changes = self.judge if name == "judge" else {"reply": self.replies.get(name, self._answer(name))}
            self.opened[name] = ScriptedEngine(name=name, digest=digest, **changes)
        return self.opened[name]

    def n_asked(self) -> dict[str, int]:
        return {name: len(engine.asked) for name, engine in self.opened.items()}

    @staticmethod
    def _answer(name: str) -> Callable[[Request], str]:
        return lambda request: f"{name} says {'word ' * int(name[-1])}of {request.messages[-1]['content']}"


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "head_to_head.json").read_text(encoding="utf-8"))
    return found


def pair(folder: Path, model: str, against: str) -> dict[str, Any]:
    (found,) = [row for row in result(folder)["pairs"] if (row["model"], row["against"]) == (model, against)]
    return found


def answers(model: str, texts: Sequence[str], **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"question {n}", "response": text, "model": model, **more} for n, text in enumerate(texts)]
