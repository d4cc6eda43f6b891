"""Stored judgments and ranked answers measure the same in whatever order their rows stand."""

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from console.command import parse
from evals.reward_model.__main__ import main
from evals.reward_model.metrics import TIE_WRONG
from evals.reward_model.options import Config
from judges.labelled.ranked import RankedAnswers, ordered_pairs, responses_to
from judges.labelled.ranked_files import read_ranked
from records import Judgment, Usage
from records.files import BadRows
from records.store import write_rows

Row = dict[str, Any]


def judgment(one: RankedAnswers, place: int, score: float | None, row_id: str = "") -> Judgment:
    response = responses_to(one)[place]
    return Judgment(
        id=row_id or f"{one.id}-{place}",
        response_id=response.id,
        prompt_id=one.id,
        prompt=one.prompt,
        response=response.response,
        model="m",
        score=score,
        scores=[score],
        replies=["r"],
        error=None if score is not None else "no verdict",
        spread=None,
        rubric="additive",
        judge="0123456789abcdef",
        usage=Usage(),
    )


def measured(tmp_path: Path, file: Path, judgments: list[Judgment], capsys: pytest.CaptureFixture[str]) -> Row:
    write_rows(tmp_path / "j.jsonl", judgments)
    main(
        parse(
            Config,
            [str(file), "--judgments", str(tmp_path / "j.jsonl"), "--out", str(tmp_path / "out"), "--resamples", "10",
             "--json", "--min-coverage", "0.1"],
            "reward_model",
        )
    )  # fmt: skip
    found: Row = json.loads(capsys.readouterr().out)
    return {row["name"]: (row["value"], row["n"]) for row in found["measures"]["unscored wrong"]["j"]}


def words(rows: list[Row], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Q{n}", "responses": [f"a{n}", f"b{n}", f"c{n}"], "ranks": [2, 0, 1]} for n in range(6)]
    return words(rows, tmp_path / "ranked.jsonl")


def test_judgments_in_any_order_measure_the_same(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = read_ranked(file, BadRows(strict=True))
    rows = [judgment(one, place, (n + 2 * place) % 5) for n, one in enumerate(ranked) for place in range(3)]
    expected = measured(tmp_path, file, rows, capsys)
    again = [judgment(ranked[0], 0, None), *rows]  # failed first, asked again
    for some in (rows[::-1], Random(0).sample(rows, len(rows)), again, again[::-1]):
        assert measured(tmp_path, file, some, capsys) == expected


def test_one_text_judged_twice_has_one_score_in_any_order(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = read_ranked(file, BadRows(strict=True))
    rows = [judgment(one, place, 4 - place) for one in ranked for place in range(3)]
    twice = [*rows, judgment(ranked[0], 0, 0, "x"), judgment(ranked[0], 1, None, "0")]
    assert measured(tmp_path, file, twice, capsys) == measured(tmp_path, file, twice[::-1], capsys)


def test_judgments_on_other_answers_are_counted(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranked = read_ranked(file, BadRows(strict=True))
    other = RankedAnswers(id="x", prompt="X", responses=["a", "b"], ranks=[0, 1])
    rows = [*(judgment(one, place, place) for one in ranked for place in range(3)), judgment(other, 0, 3)]
    write_rows(tmp_path / "j.jsonl", rows)
    main(parse(Config, [str(file), "--judgments", str(tmp_path / "j.jsonl"), "--resamples", "10"], "reward_model"))
    assert "1 of 19 judgments are on none of the ranked answers" in capsys.readouterr().err


def ordered(source: Path) -> set[tuple[str, str, str]]:
    return {
        (json.dumps(one.prompt), one.responses[i], one.responses[j])
        for one in read_ranked(source, BadRows(quiet=True))
        for i, j in ordered_pairs(one)
    }


def test_ranked_answers_are_the_same_in_any_order_of_the_rows(data: Path, tmp_path: Path) -> None:
    trees = data / "oasst/en_100_tree.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(trees.read_bytes()).splitlines()]
    assert ordered(words(rows[::-1], tmp_path / "tac.jsonl")) == ordered(trees)
    scored = [
        {"prompt": f"Q{n}", "response": f"answer {n} {k}", "helpfulness": (n * k) % 5}
        for n in range(8)
        for k in range(4)
    ]
    expected = ordered(words(scored, tmp_path / "scored.jsonl"))
    for some in (scored[::-1], Random(1).sample(scored, len(scored))):
        assert ordered(words(some, tmp_path / "some.jsonl")) == expected and expected


def test_fastchats_minus_one_ranks_no_answer_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"question_id": 1, "judge": ["gpt-4", "single-v1"], "prompt": "Q", "response": f"r{s}", "score": s}
        for s in (8, 3, -1)
    ]
    assert ordered(words(rows, tmp_path / "s.jsonl")) == {('"Q"', "r8", "r3")}
    read_ranked(tmp_path / "s.jsonl", BadRows())
    assert "FastChat's mark for a reply without a score" in capsys.readouterr().err


def test_a_stored_score_outside_its_rubric_is_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ranked.jsonl").write_text(json.dumps({"prompt": "Q", "responses": ["a", "b"], "ranks": [0, 1]}))
    [one] = read_ranked(tmp_path / "ranked.jsonl", BadRows())
    figures = measured(tmp_path, tmp_path / "ranked.jsonl", [judgment(one, 0, 5), judgment(one, 1, 7)], capsys)
    assert figures[TIE_WRONG] == (0.0, 1), "7 is above the scale of additive, 0 to 5"
