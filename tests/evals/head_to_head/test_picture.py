"""The picture of a head-to-head: its cells, and labels that fit and can be told apart."""

import math
from itertools import combinations

import pytest
from matplotlib.transforms import Bbox

from evals.head_to_head.labels import drawable, labelled, lines_of
from evals.head_to_head.picture import cells_of, draw, matrix_of
from tests.evals.head_to_head.test_figures import measured

LONG = "snorkelai/Snorkel-Programmatic-Alignment-Mistral-PairRM-DPO"
WIDE = "W" * 60


def test_the_picture_has_each_match_twice_and_mirrored() -> None:
    cells = cells_of(["x", "y", "z"], [measured("x", "y", [0.9, 0.8, 0.6, 0.7], 200)])
    assert cells.keys() == {(0, 1), (1, 0)}
    (share, text), (mirrored, mirrored_text) = cells[0, 1], cells[1, 0]
    assert (share, mirrored) == (pytest.approx(0.75), pytest.approx(0.25))
    ends, mirrored_ends = (
        [int(n) for n in shown.split("[")[1].split("]")[0].split(",")] for shown in (text, mirrored_text)
    )
    assert text.startswith("75\n") and mirrored_text.startswith("25\n") and text.endswith("\n0% flipped")
    assert mirrored_ends == [100 - end for end in reversed(ends)] and ends[0] < 75 < ends[1]


def test_a_match_without_a_verdict_says_so_in_both_of_its_cells() -> None:
    cells = cells_of(["x", "y"], [measured("x", "y", [math.nan, math.nan])])
    assert set(cells.values()) == {(None, "no\nverdict")}


@pytest.mark.parametrize("names", [("iter0", "iter1"), (LONG, f"{LONG}-2", "gpt-4.1", "a/b/c/d"), (WIDE, "x", "y")])
def test_no_text_of_the_picture_covers_another_one(names: tuple[str, ...]) -> None:
    matches = [measured(*pair, [0.0] * 20) for pair in combinations(names, 2)]
    figure = matrix_of(names, matches)
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) == len(names) * (len(names) - 1) + 2 * len(names)
    covered = [pair for pair in combinations(boxes, 2) if Bbox.intersection(*pair) is not None]
    assert covered == []


def test_the_same_figures_give_the_same_picture() -> None:
    one, other = (draw(["x", LONG], [measured("x", LONG, [0.9, 0.1, 0.6])], "judge", 3) for _ in range(2))
    assert one == other


def test_a_long_name_is_whole_in_lines_that_end_where_its_parts_do() -> None:
    lines = lines_of(LONG, 15)
    assert lines == ["snorkelai/", "Snorkel-", "Programmatic-", "Alignment-", "Mistral-PairRM-", "DPO"]
    assert "".join(lines_of(WIDE, 15)) == WIDE and max(map(len, lines_of(WIDE, 15))) == 15


def test_a_name_that_is_too_long_keeps_its_start_and_its_end() -> None:
    (label,) = labelled([LONG], 15, 4)
    assert label.split("\n") == ["snorkelai/…", "Alignment-", "Mistral-PairRM-", "DPO"]


def test_names_that_are_cut_alike_are_numbered() -> None:
    one, other = labelled([f"{'a' * 20}{letter}{'b' * 20}" for letter in "xy"], 10, 3)
    assert one.startswith("1: aaaaa") and other.startswith("2: aaaaa")


def test_a_name_in_letters_that_the_font_lacks_is_a_number_and_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert drawable(["x", "模型", "a$b"]) == ["x", "model 2", "a$b"]
    assert "lacks letters of 模型, which is model 2 there" in capsys.readouterr().err
