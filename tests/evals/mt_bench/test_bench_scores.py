"""Stored judgments beside what FastChat's own code prints for them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from evals.mt_bench.files.judgments import Compared, Scored, read_judgments
from evals.mt_bench.files.questions import read_answers, read_questions
from evals.mt_bench.scoring.pairs import pair_scores_of
from evals.mt_bench.scoring.scores import Drawing, scores_of
from records.files import BadRows
from tests.evals.mt_bench.bench_fixture import IDS, category_of, pair_rows, scored_rows
from tests.evals.mt_bench.conftest import Bench

STRICT, QUIET = BadRows(strict=True), BadRows(quiet=True)
DRAWING = Drawing(resamples=50)

# display_result_single and display_result_pairwise of FastChat's llm_judge/show_result.py (commit 0e6d3e4b, pandas
# 3.1.1), on the rows of `scored_rows` and `pair_rows`, printed with 15 digits.
SINGLE = {
    "alpha": (5.272727272727272, 7.636363636363637, 6.454545454545454),
    "beta": (6.409090909090909, 5.818181818181818, 6.113636363636363),
}
PAIR_ALL = {
    "alpha": (16, 9, 19, 0.579545454545455),
    "beta": (14, 9, 19, 0.559523809523810),
    "gamma": (6, 18, 22, 0.369565217391304),
}
PAIR_BASELINE_GAMMA = {"beta": (9, 2, 11, 0.659090909090909), "alpha": (9, 4, 11, 0.604166666666667)}


def test_scores_by_turn_and_their_average_are_those_of_fastchat(bench: Bench) -> None:
    judged = read_judgments([bench.write("gpt-4_single.jsonl", scored_rows())], STRICT)
    for scores in scores_of([v for v in judged if isinstance(v, Scored)], {}, DRAWING):
        values = (scores.by_turn[1].value, scores.by_turn[2].value, scores.average.value)
        assert values == pytest.approx(SINGLE[scores.model], abs=1e-12)
        assert (scores.n, scores.n_scored) == (24, 22), "-1 is no score and is counted"


def compared(bench: Bench, model: str | None = None) -> list[Compared]:
    rows = [row for row in pair_rows() if model is None or model in (row["model_1"], row["model_2"])]
    judged = read_judgments([bench.write("gpt-4_pair.jsonl", rows)], STRICT)
    return [verdict for verdict in judged if isinstance(verdict, Compared)]


def test_wins_losses_and_ties_are_those_of_fastchat(bench: Bench) -> None:
    found = {s.model: (s.wins, s.losses, s.ties, s.win_rate.value) for s in pair_scores_of(compared(bench), DRAWING)}
    assert found == {name: pytest.approx(figures, abs=1e-12) for name, figures in PAIR_ALL.items()}


def test_against_one_baseline_too(bench: Bench) -> None:
    every = pair_scores_of(compared(bench, "gamma"), DRAWING)
    found = {s.model: (s.wins, s.losses, s.ties, s.win_rate.value) for s in every if s.model != "gamma"}
    assert found == {name: pytest.approx(figures, abs=1e-12) for name, figures in PAIR_BASELINE_GAMMA.items()}
    assert sum(s.wins for s in every) == sum(s.losses for s in every)


def test_a_game_with_an_error_leaves_no_verdict_and_is_no_tie(bench: Bench) -> None:
    rows = [
        pair_rows()[0] | {"g1_winner": winner, "g2_winner": "model_1"} for winner in ("error", "model_2", "model_1")
    ]
    paths = [bench.write(f"{n}.jsonl", [row | {"question_id": n}]) for n, row in enumerate(rows)]
    [alpha, *_] = pair_scores_of([v for v in read_judgments(paths, STRICT) if isinstance(v, Compared)], DRAWING)
    assert (alpha.n, alpha.n_scored, alpha.wins, alpha.ties, alpha.n_flipped) == (3, 2, 1, 1, 1)


def test_categories_come_from_the_questions(bench: Bench) -> None:
    judged = read_judgments([bench.write("gpt-4_single.jsonl", scored_rows())], STRICT)
    categories = {str(question_id): category_of(question_id) for question_id in IDS}
    [alpha, _] = scores_of([v for v in judged if isinstance(v, Scored)], categories, DRAWING)
    rows = [row for row in scored_rows() if row["model"] == "alpha" and row["score"] != -1]
    for name, estimate in alpha.by_category.items():
        scores = [row["score"] for row in rows if category_of(row["question_id"]) == name]
        assert estimate.value == pytest.approx(sum(scores) / len(scores))
    assert set(alpha.by_category) == {"writing", "math", "stem"}
    assert alpha.by_category_and_turn["math"][1].n == 4


def test_a_row_that_was_asked_again_replaces_its_error_and_contradictions_have_none(bench: Bench) -> None:
    row = scored_rows()[0]
    again = bench.write("a.jsonl", [row | {"score": -1}, row | {"score": 6}, row | {"score": 6}])
    other = bench.write("b.jsonl", [row | {"score": 5}, row | {"score": 6}])
    [found] = read_judgments([again], STRICT)
    assert isinstance(found, Scored) and found.score == 6
    [contradicting] = read_judgments([other], STRICT)
    assert isinstance(contradicting, Scored) and contradicting.score is None
    assert contradicting.reason == "several rows with different verdicts"


def test_judgments_that_are_no_one_measurement_are_refused(bench: Bench) -> None:
    row = scored_rows()[0]
    bad = [
        ([row, row | {"judge": ["other", "single-v1"], "turn": 2}], "judgments by 2 judges: gpt-4"),
        ([row, pair_rows()[0]], "1 scores and 1 pairs"),
        ([row | {"score": 11}], "no usable row"),
        ([row | {"turn": 3}], "no usable row"),
        ([row | {"judge": None}], "no usable row"),
        ([pair_rows()[0] | {"g1_winner": "A"}], "no usable row"),
        ([{"question_id": 1, "judge": "j"}], "no usable row"),
    ]
    for number, (rows, message) in enumerate(bad):
        with pytest.raises(InputError, match=message):
            bench.run("--judgments", str(bench.write(f"{number}.jsonl", rows)), data=False)
    assert not Path("out").exists()


ODD = [
    "1e400",
    "NaN",
    '"a\\u0000b"',
    '"\\ud800"',
    '""',
    "null",
    "[]",
    "{}",
    "true",
    "[null]",
    "[{}]",
    "-2",
    '"\\u001b[2J"',
]
ROWS: list[tuple[Callable[[Path], object], dict[str, Any]]] = [
    (lambda path: read_questions(path, "mt_bench", QUIET), {"question_id": 1, "category": "math", "turns": ["A", "B"]}),
    (lambda path: read_answers(path, QUIET), {"question_id": 1, "model_id": "m", "choices": [{"turns": ["A", "B"]}]}),
    (lambda path: read_judgments([path], QUIET), scored_rows()[0]),
    (lambda path: read_judgments([path], QUIET), pair_rows()[0]),
]


@pytest.mark.parametrize(("read", "row"), ROWS, ids=range(len(ROWS)))
def test_a_field_with_anything_in_it_is_read_or_one_line_of_error(
    bench: Bench, read: Callable[[Path], object], row: dict[str, Any]
) -> None:
    texts = [json.dumps(row | {name: "ODD"}).replace('"ODD"', odd) for name in row for odd in ODD]
    nested = json.dumps(row).replace('"A"', '"ODD"').replace('"gpt-4"', '"ODD"')
    for text in [*texts, *(nested.replace('"ODD"', odd) for odd in ODD)]:
        path = bench.folder / "rows.jsonl"
        path.write_text(f"{json.dumps(row | {'question_id': 'other'})}\n{text}\n", encoding="utf-8")
        try:
            assert read(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_stored_judgments_ask_nothing_and_print_the_tables(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.write("gpt-4_single.jsonl", scored_rows())
    questions = [{"question_id": n, "category": category_of(n), "turns": ["A?", "B?"]} for n in IDS]
    bench.run("--judgments", str(path), "--questions", str(bench.write("q.jsonl", questions)), data=False)
    shown = capsys.readouterr()
    assert "judged by gpt-4" in shown.out and "6.45 [" in shown.out and "category" in shown.out
    assert "alpha: no verdict on 2 of 24 answers, which count nowhere" in shown.err
    assert bench.n_asked() == (0, 0)


def test_judgments_of_other_questions_than_those_given_are_told(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bench.write("gpt-4_single.jsonl", scored_rows())
    questions = [{"question_id": n, "category": category_of(n), "turns": ["A?", "B?"]} for n in IDS if n > 82]
    bench.run("--judgments", str(path), "--questions", str(bench.write("q.jsonl", questions)), data=False)
    assert (
        "2 of the judged questions are not in" in (told := capsys.readouterr().err) and "(81, 82): they count" in told
    )
