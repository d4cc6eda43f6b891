"""The page: it shows every text, obeys none, and loads nothing."""

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from evals.report.content import content_of
from evals.report.drawing.panels import Point, curve, histogram
from evals.report.facts.judged import JudgedFacts
from evals.report.facts.run import read_run
from evals.report.page import page_of
from records.runs import Run
from tests.evals.report.conftest import HOSTILE

Make = Callable[..., Run]
CHROMIUMS_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
"""Hosts that Chromium itself asks with any page."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Elements(HTMLParser):
    """Collects the elements, their attributes and the visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(make_run: Make) -> str:
    return page_of(content_of([read_run(make_run())], 0))


def test_a_page_runs_nothing_and_loads_nothing(page: str) -> None:
    found = Elements()
    found.feed(page)
    assert not found.tags & {"script", "img", "link", "iframe", "object", "embed", "form", "image", "base"}
    names = {name for name, _ in found.attributes}
    assert "style" not in names and not any(name.startswith("on") for name in names)
    links = [value for name, value in found.attributes if name in ("href", "src", "xlink:href", "action", "srcset")]
    assert links and all((value or "").startswith("#") for value in links)
    assert "url(http" not in page and "@import" not in page


def test_the_policy_allows_the_one_style_sheet_by_its_hash(page: str) -> None:
    style = page.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}'") and "unsafe" not in policy[1]


def test_a_hostile_answer_is_shown_and_not_obeyed(page: str) -> None:
    found = Elements()
    found.feed(page)
    assert '<script>alert(1)</script>&amp; "quoted"' in found.text and "<img src=http://evil.test/x>" in found.text
    assert "\x1b" not in page and "\u202e" not in page
    assert HOSTILE not in page


def test_an_answer_of_a_megabyte_is_cut_and_the_page_says_so(make_run: Make) -> None:
    run = make_run()
    path = run.iteration(2) / "pairs.jsonl"
    path.write_text(path.read_text().replace("answer 0", "x" * 1_000_000))
    page = page_of(content_of([read_run(run)], 0))
    assert len(page) < 500_000 and "980,000 more characters are in the file" in page


def test_a_curve_takes_its_colours_from_the_page_and_names_its_values() -> None:
    points = [Point(0, 10.0, 5.0, 15.0), Point(1, 40.0, 30.0, 50.0)]
    two = curve("Share, %", [("one", points), ("two", points)], (50.0, "chance"))
    assert "var(--first)" in two.svg and "var(--second)" in two.svg and "style=" not in two.svg
    assert not re.search(r"#0[1-5]0[1-5]0[1-5]", two.svg), "no colour of the drawing is left"
    assert 'aria-label="Share, %. one: 10, 40; two: 10, 40"' in two.svg
    assert two == curve("Share, %", [("one", points), ("two", points)], (50.0, "chance"))


def test_a_histogram_of_few_scores_counts_in_whole_numbers() -> None:
    drawn = histogram("Scores", JudgedFacts(scores=np.array([0.0, 1.0, 2.2, 2.3]), chars=np.ones(4))).svg
    labels = re.findall(r"<text[^>]*>([^<]+)</text>", drawn)
    assert "0.5" in labels, "the scores themselves are no counts"
    assert [label for label in labels if label in ("1", "1.00", "0.25", "0.75")] == ["1"]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_chromium_opens_the_page_without_a_request_or_an_error(page: str, tmp_path: Path) -> None:
    path, log = tmp_path / "report.html", tmp_path / "net.json"
    path.write_text(page, encoding="utf-8")
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--enable-logging=stderr", "--v=0", f"--log-net-log={log}", "--dump-dom", path.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "drawn by chance" in done.stdout
    assert "CONSOLE" not in done.stderr, "a policy violation or an error is a line of the console"
    hosts = set(re.findall(r'"url":"\w+://([^/"]+)', log.read_text(errors="replace")))
    assert [host for host in hosts if not host.endswith(CHROMIUMS_OWN)] == []
