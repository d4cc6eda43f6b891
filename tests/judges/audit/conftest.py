from pathlib import Path

import pytest

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from tests.fences import plain


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """Every command asks this engine, which prefers what says GOOD, and works in an empty folder, without pictures."""
    found = ScriptedEngine(reply=preferred, logprobs=lambda request, choices: [-0.1] * len(choices))
    monkeypatch.setattr("judges.calibrate.judge.open_engine", lambda options: found)
    monkeypatch.setattr("judges.calibrate.output.draw", lambda found: b"")
    monkeypatch.chdir(tmp_path)
    return found


def preferred(request: Request) -> str:
    text = plain(request.messages[0]["content"])
    if "<answer_a>" not in text:
        return f"Score: {5 if 'GOOD' in text else 1}"
    return f"Better: {'A' if text.rfind('GOOD') < text.rfind('<answer_b>') else 'B'}"
