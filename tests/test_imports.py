"""Imports go one way: console <- records <- engines <- judges <- {trainer, evals}; tui: records; experiments: all.

Inside engines/, judges/, trainer/ and evals/ they go one way too, floor by floor. Imports inside functions count.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
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
FLOORS = {
    "engines": (
        {"files"},
        {"adapters"},
        {"advice", "models", "protocol"},
        {"chat", "choice_tokens", "merging", "shards"},
        {"classifier", "encoder", "local", "scripted", "served"},
        {"answers", "likelihood", "options", "reward_model"},
        {"candidates", "trained"},
    ),
    "evals": (
        {"comparing", "folders", "results"},
        {
            "alpaca",
            "arena_hard",
            "factuality",
            "mt_bench",
            "head_to_head",
            "human",
            "open_llm",
            "report",
            "reward_model",
            "safety",
            "suite",
        },
    ),
    "judges": (
        {"intervals", "labelled", "options"},
        {"rubrics"},
        {"parsing"},
        {"judging"},
        {"tools"},
        {"attacks", "audit", "batches", "cluster", "library", "panels"},
        {"best_of", "calibrate", "compare", "rescore", "score", "serve", "trl"},
    ),
    "trainer": (
        {"eft", "monitors", "pairs", "training"},
        {"early_stop", "ift", "ppo", "preference", "runs", "sft"},
        {"dpo", "frozen_lake", "grpo", "kto", "orpo", "prompts", "reward_model", "simpo"},
        {"loop", "rlp"},
    ),
}
"""The rooms of a room, lowest floor first: a room imports from itself and from the floors below."""
MOST_MODULES = 15
"""Modules in one folder, without `__init__.py`."""
FILES = [path for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


@cache
def imported_modules(path: Path) -> set[str]:
    """Return the modules of this project that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (full & MODULES.keys()) or {node.module}
    return names & MODULES.keys()


def room_in(module: str) -> str:
    """Return the room of a module inside its top room: `judging` for `judges.judging.cost`."""
    return module.split(".")[1]


def circles(imports: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield two modules of each circle: the second can be reached from the first, and the first from the second."""
    reached: dict[str, set[str]] = {}
    for start in imports:
        seen, new = set(), set(imports[start])
        while new:
            seen |= new
            new = {name for module in new for name in imports[module]} - seen
        reached[start] = seen
    for first, seen in reached.items():
        yield from ((first, second) for second in seen if first < second and first in reached[second])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert {name.split(".")[0] for name in imported_modules(path)} <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("room", FLOORS)
def test_inside_a_room_imports_go_down_a_floor_or_stay(room: str) -> None:
    floor_of = {name: number for number, floor in enumerate(FLOORS[room]) for name in floor}
    inside = {module: path for module, path in MODULES.items() if module.startswith(f"{room}.")}
    assert {room_in(module) for module in inside} == set(floor_of)
    wrong = [
        f"{module} imports {name}"
        for module, path in inside.items()
        for name in imported_modules(path) & inside.keys()
        if room_in(name) != room_in(module) and floor_of[room_in(name)] >= floor_of[room_in(module)]
    ]
    assert wrong == []


def test_no_two_modules_import_each_other() -> None:
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    imports = {
        module: imported_modules(path) - packages - {module}
        for module, path in MODULES.items()
        if module not in packages
    }
    assert list(circles(imports)) == []


@pytest.mark.parametrize("room", [*MAY_IMPORT, "benchmarks"])
def test_a_folder_holds_no_more_modules_than_one_sees_at_once(room: str) -> None:
    for folder in {path.parent for path in (ROOT / room).rglob("*.py")}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= MOST_MODULES, folder


def test_the_guards_see_an_import_and_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from trainer.loop import __main__\n    import tui.options\n")
    assert imported_modules(path) == {"trainer.loop.__main__", "tui.options"}
    assert set(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {("a", "b"), ("a", "c"), ("b", "c")}
