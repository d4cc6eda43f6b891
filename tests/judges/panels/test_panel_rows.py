import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError, JudgeError
from engines.options import EngineOptions
from engines.protocol import Completion
from engines.scripted import ScriptedEngine
from judges.compare import __main__ as compare
from judges.score import __main__ as score
from records import Comparison, Judgment, read_rows
from tests.judges.opened import patch_open_engine

Panel = Callable[..., dict[str, ScriptedEngine]]


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Panel:
    """Let each name stand for a judge that always says the same."""
    monkeypatch.chdir(tmp_path)

    def open_all(**replies: str) -> dict[str, ScriptedEngine]:
        engines = {
            name: ScriptedEngine(reply=lambda _, said=said: said, name=name, digest=name)  # type: ignore[misc]
            for name, said in replies.items()
        }

        def open_engine(options: EngineOptions) -> ScriptedEngine:
            return engines[options.model]

        patch_open_engine(monkeypatch, open_engine)
        return engines

    return open_all


def write(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(command: Any, *arguments: str) -> None:
    command.main(parse(command.Config, [*arguments, "--read", "text", "--samples", "1"], "prog"))


def test_a_panel_scores_and_each_judge_keeps_its_own_file(panel: Panel, capsys: pytest.CaptureFixture[str]) -> None:
    panel(one="Score: 1", two="Score: 2", five="Score: 5")
    write("a.jsonl", *({"prompt": f"Q{n}", "response": f"A{n}", "model": "m"} for n in range(3)))
    judges = ("--judge", "one", "--judge", "two", "--judge", "five")
    run(score, "a.jsonl", *judges, "--panel-rule", "median", "--out", "p.jsonl", "--json")
    rows = list(read_rows(Path("p.jsonl"), Judgment))
    assert [(row.score, row.scores, row.read) for row in rows] == [(2, [1, 2, 5], "panel")] * 3
    found = json.loads(capsys.readouterr().out)
    assert found["judge"] == rows[0].judge and [line["judges"] for line in found["agreement"]][-1] == "all"
    own = [list(read_rows(Path(f"p-{member}.jsonl"), Judgment)) for member in rows[0].members or ()]
    assert [[row.score for row in rows] for rows in own] == [[1] * 3, [2] * 3, [5] * 3]


def test_a_panel_that_is_run_again_asks_nothing(panel: Panel) -> None:
    engines = panel(one="Score: 1", two="Score: 2")
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    for _ in range(2):
        run(score, "a.jsonl", "--judge", "one", "--judge", "two", "--out", "p.jsonl")
    assert [len(engine.asked) for engine in engines.values()] == [1, 1]


def test_a_judge_whose_server_goes_down_has_no_vote(panel: Panel, capsys: pytest.CaptureFixture[str]) -> None:
    engines = panel(one="Score: 1", two="Score: 3", down="")

    def unreachable(*_: object) -> Iterator[Completion]:
        raise EngineError("no server answers there")

    engines["down"].generate = unreachable  # type: ignore[method-assign, assignment]
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    judges = ("--judge", "one", "--judge", "two", "--judge", "down", "--out", "p.jsonl")
    run(score, "a.jsonl", *judges)
    [row] = read_rows(Path("p.jsonl"), Judgment)
    assert (row.score, row.scores) == (2, [1, 3, None])
    assert "down has no vote on responses that it has not judged: no server" in capsys.readouterr().err
    with pytest.raises(JudgeError, match="2 of 3 judges have a verdict, and 3 are needed"):
        run(score, "a.jsonl", *judges, "--quorum", "3")


def test_a_panel_compares(panel: Panel) -> None:
    panel(first="Better: A", a_wins="Better: A", tie="Better: tie")
    write("a.jsonl", {"prompt": "Q", "response": "x", "model": "m"})
    write("b.jsonl", {"prompt": "Q", "response": "y", "model": "n"})
    run(compare, "a.jsonl", "b.jsonl", "--judge", "first", "--judge", "tie", "--out", "c.jsonl")
    [row] = read_rows(Path("c.jsonl"), Comparison)
    assert (row.winner, row.votes, row.read, row.flipped) == ("tie", [0.5, 0.5], "panel", True)
    assert row.members is not None and len(row.members) == 2 and row.agreement == 1


def test_a_spent_budget_stops_a_panel_and_counts_all_its_judges(panel: Panel) -> None:
    engines = panel(one="Score: 1", two="Score: 2")
    write("a.jsonl", *({"prompt": f"Q{n}", "response": "A"} for n in range(10)))
    with pytest.raises(JudgeError, match="stopped at the budget: 5 of 10"):
        run(score, "a.jsonl", "--judge", "one", "--judge", "two", "--max-tokens-total", "30", "--out", "p.jsonl")
    assert [len(engine.asked) for engine in engines.values()] == [10, 5]


def test_a_batch_of_a_panel_is_refused(panel: Panel) -> None:
    panel(one="", two="")
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    with pytest.raises(InputError, match="a batch is of one judge"):
        run(score, "a.jsonl", "--judge", "one", "--judge", "two", "--export-batch", "b.jsonl")
