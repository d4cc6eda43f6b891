"""Counts how easy the code is to navigate: rooms, floors, imports in functions, plain English, names.

python -m benchmarks.house                    one table: each count with its limit

tests/test_house.py holds the code to the limits.
"""

import argparse
import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from console.table import Cell, print_table

ROOT = Path(__file__).parent.parent
ROOMS = ("console", "records", "engines", "judges", "trainer", "evals", "tui", "experiments", "benchmarks")
VAGUE = {"found", "one", "own", "said", "kept", "row", "mine", "asked", "each"}
"""Names that say nothing about what they hold."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Count:
    """One figure of the house."""

    what: str
    value: float
    limit: float
    is_share: bool = False

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limit."""
        return self.value <= self.limit


def trees() -> dict[Path, ast.Module]:
    """Return the syntax tree of each file of the code, tests left out."""
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def counts(code: Mapping[Path, ast.Module]) -> list[Count]:
    """Return every figure with its limit."""
    sentences = [sentence for tree in code.values() for sentence in _sentences(tree)]
    openings = [ast.get_docstring(tree) or "" for tree in code.values()]
    names = [name for tree in code.values() for name in assigned_names(tree)]
    folders: dict[Path, int] = {}
    for path in code:
        folders[path.parent] = folders.get(path.parent, 0) + (path.name != "__init__.py")
    return [
        Count("modules in the fullest folder", max(folders.values()), 14),
        Count("rooms of judges/", _n_rooms("judges"), 20),
        Count("rooms of trainer/", _n_rooms("trainer"), 20),
        Count("imports in functions, but for main's", sum(map(n_late_imports, code.values())), 82),
        Count("sentences with 'where'", _share(sentences, has_where), 0.03, True),
        Count("sentences with a semicolon", _share(sentences, lambda sentence: ";" in sentence), 0.08, True),
        Count("modules that open with What, How, Whether", _share(openings, opens_with_question), 0.02, True),
        Count("assigned names that say nothing", _share(names, VAGUE.__contains__), 0.02, True),
    ]


def has_where(sentence: str) -> bool:
    """Return whether a sentence has the word "where", which mostly stands for "if"."""
    return re.search(r"\bwhere\b", sentence, re.IGNORECASE) is not None


def opens_with_question(docstring: str) -> bool:
    """Return whether a docstring opens with a question word instead of a noun or a verb."""
    return re.match(r"(What|How|Whether)\b", docstring) is not None


def n_late_imports(tree: ast.Module) -> int:
    """Return how many import statements stand inside functions, but for the one that a command's `main` needs."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {node: function.name for function in functions for node in ast.walk(function) if _is_import(node)}
    return len(late) - ("main" in late.values())


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def assigned_names(tree: ast.Module) -> Iterator[str]:
    """Yield each name that is assigned, loops and comprehensions included."""
    yield from (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Yield the sentences of all docstrings, including those of attributes and constants, which are the flags' help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from filter(str.strip, SENTENCE_END.split(node.value.value))


def _share(texts: list[str], is_counted: Callable[[str], bool]) -> float:
    return sum(map(is_counted, texts)) / len(texts)


def _n_rooms(top: str) -> int:
    inside = (ROOT / top).iterdir()
    return sum(
        (path.suffix == ".py" and path.name != "__init__.py") or (path.is_dir() and (path / "__init__.py").exists())
        for path in inside
    )


def _shown(count: Count, value: float) -> str:
    return f"{value:.1%}" if count.is_share else f"{value:g}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    rows: list[dict[str, Cell]] = [
        {
            "what": count.what,
            "is": _shown(count, count.value),
            "at most": _shown(count, count.limit),
            "holds": "yes" if count.holds else "no",
        }
        for count in counts(trees())
    ]
    print_table(rows, as_json=parser.parse_args().json)


if __name__ == "__main__":
    main()
