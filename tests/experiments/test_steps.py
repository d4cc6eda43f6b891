import json
from pathlib import Path

import pytest

from console.errors import TrainingError
from experiments.steps import Step


def test_a_step_keeps_what_its_command_prints_and_is_not_done_twice(tmp_path: Path) -> None:
    made = tmp_path / "a" / "version.json"
    Step(("json.tool", "--help"), made).do()
    assert "usage" in made.read_text()
    cost = Step(("json.tool", "--help"), made).cost
    assert cost["cpu_seconds"] > 0 and 0 < cost["seconds"] < 60 and cost["peak_mib"] > 1
    made.write_text("[]")
    Step(("json.tool", "--help"), made).do()
    assert json.loads(made.read_text()) == []


def test_a_step_that_fails_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="failed: python -m json.tool nowhere"):
        Step(("json.tool", "nowhere"), tmp_path / "x").do()
