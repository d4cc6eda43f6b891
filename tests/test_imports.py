"""Imports go one way: console <- records <- engines <- judges <- {trainer, evals}; tui: records; experiments: all."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

MAY_IMPORT = {
    "console": set(),
    "records": {"console"},
    "engines": {"console", "records"},
    "judges": {"console", "records", "engines"},
    "trainer": {"console", "records", "engines", "judges"},
    "evals": {"console", "records", "engines", "judges"},
    "tui": {"console", "records"},
    "experiments": {"console", "records", "engines", "judges", "trainer", "evals"},
}
FILES = [path for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names} & MAY_IMPORT.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


def test_the_guard_sees_an_import(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("def f():\n    from trainer.loop import main\n    import tui.app\n")
    assert imported_rooms(tmp_path / "x.py") == {"trainer", "tui"}
