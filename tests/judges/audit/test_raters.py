"""An answer that several people scored is one answer: no pair is of a text and itself, whatever reads the file."""

from pathlib import Path
from typing import Any

import pytest

from judges.audit.report import headline
from judges.audit.result import About, Audit, Settings, audit
from judges.labelled.columns import Columns
from judges.labelled.labels import Grade, LabelledScore, Verdict, pairs_within
from judges.labelled.ranked import RankedAnswers, ordered_pairs
from judges.labelled.ranked_files import read_ranked
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows
from tests.verdict_tables import jsonl

RATED = [
    {"prompt": f"q{q}", "response": f"r{q}{a}", "human_score": score + 3 * a, "rater": rater}
    for q in range(4)
    for a in (0, 1)
    for rater, score in ((1, 1), (2, 2))
]
"""Two raters, of whom one is milder; both like r.1 better."""

TWICE = (("a", 0), ("b", 1), ("a", 3))
"""An answer that is ranked twice, before and after another one."""


def audited(path: Path, rows: list[dict[str, Any]], grade_of: Any) -> Audit:
    found = read_labelled(jsonl(path / "labels.jsonl", rows), None, Columns(), BadRows(strict=True))
    grades = [Grade(grade_of(item)) for item in found.scores]
    return audit(found, [], grades, About("a judge", "text"), Settings(n_resamples=20))


def test_a_perfect_judge_is_right_on_every_pair_of_answers_that_two_people_scored(tmp_path: Path) -> None:
    found = audited(tmp_path, RATED, lambda item: 5.0 if item.response.endswith("1") else 1.0)
    values = {one.name: (one.value, one.n) for one in found.measures}
    assert found.n_pairs == 4
    assert values["pairs of one prompt: accuracy, a tie is wrong"] == (1.0, 4)
    assert values["pairs of one prompt: tie rate"] == (0.0, 4)
    assert "4 pairs and 16 scores of 8 answers" in headline(found)[0]


def test_raters_of_whom_one_is_milder_are_not_set_against_each_other(tmp_path: Path) -> None:
    """The mild rater's score of the worse answer is over the strict one's of the better."""
    scores = {("w", 1): 1, ("b", 1): 2, ("w", 2): 4, ("b", 2): 5}
    rows = [{"prompt": "q", "response": text, "human_score": score} for (text, _), score in scores.items()]
    found = audited(tmp_path, rows, lambda item: 2.0 if item.response == "b" else 1.0)
    assert found.n_pairs == 1
    assert {one.value for one in found.measures if "a tie is wrong" in one.name} == {1.0}


@pytest.mark.parametrize("key", [{"response_id": "x"}, {"id": "x"}])
def test_without_texts_the_key_of_the_answer_tells_that_it_is_the_same(tmp_path: Path, key: dict[str, str]) -> None:
    name = next(iter(key))
    rows = [{"prompt_id": "q", name: f"r{a}", "human_score": a + s, "score": a} for a in (0, 1) for s in (0, 1)]
    assert audited(tmp_path, rows, lambda item: float(item.keys[name][-1])).n_pairs == 1


def test_answers_without_texts_and_keys_are_as_many_as_rows() -> None:
    scores = [LabelledScore(str(place), "", "", place, "q") for place in range(3)]
    assert len(pairs_within(scores)) == 3


def test_a_text_that_is_no_unicode_is_an_answer_like_any_other() -> None:
    scores = [LabelledScore(str(place), "q", text, place, "q") for place, text in enumerate(("\ud83d", "\ud83d", "s"))]
    assert len(pairs_within(scores)) == 1


def test_the_grades_of_one_answer_come_to_their_mean_and_one_without_a_score_says_nothing() -> None:
    scores = [LabelledScore(str(place), "q", text, place, "q") for place, text in enumerate(("r", "r", "s"))]
    [pair] = pairs_within(scores)
    assert pair.verdict([Grade(1.0), Grade(5.0), Grade(3.0)]).winner == "tie"
    one = pair.verdict([Grade(None, "cut off"), Grade(5.0), Grade(3.0)])
    assert one.winner == ("a" if pair.pair.response_a == "r" else "b")
    assert pair.verdict([Grade(None, "cut off"), Grade(None, "no reply"), Grade(3.0)]) == Verdict(None, error="cut off")


@pytest.mark.parametrize(
    ("texts", "ranks", "pairs"),
    [
        (["a", "b", "a"], [0, 1, 3], [(1, 0)]),  # the mean rank of a is 1.5
        (["a", "b", "a"], [0, 1, 2], []),
        (["a", "a"], [0, 1], []),
        (["a", "a", "b"], [0, 1, 2], [(0, 2)]),
        (["a", "b"], [1, 0], [(1, 0)]),
    ],
)
def test_a_text_that_is_ranked_twice_is_one_answer(texts: list[str], ranks: list[int], pairs: list[Any]) -> None:
    assert ordered_pairs(RankedAnswers(id="p", prompt="q", responses=texts, ranks=ranks)) == pairs


def test_a_row_of_ranked_answers_that_is_there_again_counts_once_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"prompt": "q", "responses": ["a", "b"], "ranks": [0, 1]}
    turned = {"prompt": "q", "responses": ["b", "a"], "ranks": [1, 0]}
    other = {"prompt": "q", "responses": ["a", "b"], "ranks": [1, 0]}  # another person
    path = jsonl(tmp_path / "r.jsonl", [row, row | {"id": "again"}, turned, other])
    assert len(read_ranked(path, BadRows(strict=True))) == 2
    assert f"{path}: 2 repeats of another row's answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "responses": ["a", "b", "a"], "ranks": [0, 1, 3]},
        {"prompt": "q", "responses": ["a", "b", "a"], "scores": [5, 4, 1]},
        {
            "instruction": "q",
            "completions": [{"response": text, "overall_score": -rank} for text, rank in TWICE],
        },
        {
            "prompt": {
                "text": "q",
                "message_id": "m",
                "replies": [
                    {"text": text, "message_id": f"m{rank}", "rank": rank} for text, rank in TWICE
                ],
            }
        },
    ],
)  # fmt: skip
def test_no_format_of_ranked_answers_gives_two_pairs_of_opposite_order(tmp_path: Path, row: dict[str, Any]) -> None:
    found = read_labelled(jsonl(tmp_path / "l.jsonl", [row]), None, Columns(), BadRows(strict=True))
    assert [{pair.response_a, pair.response_b} for pair in found.pairs] == [{"a", "b"}]
    [pair] = found.pairs
    assert (pair.response_a if pair.label == "a" else pair.response_b) == "b"
