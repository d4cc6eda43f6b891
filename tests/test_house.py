"""Holds the code to the limits that `python -m benchmarks.house` prints."""

import ast
from collections import Counter

from benchmarks.house import assigned_names, counts, has_where, n_late_imports, opens_with_question, trees
from tests.conftest import ROOT


def test_the_house_is_in_order() -> None:
    assert [count for count in counts(trees()) if not count.holds] == []


def test_each_count_sees_what_it_counts() -> None:
    code = ast.parse("import a\ndef f():\n    import b\n    [x for x in y]\n    with z as found: pass\n")
    assert n_late_imports(code) == 1 and set(assigned_names(code)) == {"x", "found"}
    main = "def main():\n    import b\n"
    assert n_late_imports(ast.parse(main)) == 0 and n_late_imports(ast.parse(f"{main}    import c\n")) == 1
    assert has_where("An error where none is.") and not has_where("Somewhere else.")
    assert opens_with_question("What a run keeps.") and not opens_with_question("Whatever.")


def test_no_two_files_of_tests_have_one_name() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, n in names.items() if n > 1] == [], "pytest collects only one of them"
