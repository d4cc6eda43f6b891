import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_each_function_that_the_architecture_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py):(\w+)`", ARCHITECTURE.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [place for place in named if place[1] not in defined_in(ROOT / place[0])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_file_and_folder_of_the_code_that_a_page_names_is_there(page: Path) -> None:
    rooms = "console|records|engines|judges|trainer|evals|tui|recipes|benchmarks|experiments|examples|tests"
    paths = re.findall(rf"`((?:{rooms})/[\w/.]*)[`:]", page.read_text(encoding="utf-8"))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_index_names_every_page_and_only_pages() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert linked == {page.name for page in PAGES} - {"index.md"}


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in re.findall("^#+ (.*)$", text, re.M)
    }


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_each_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            lost.append(link)
    assert lost == []
