import json
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scipy import stats

from console.command import parse
from console.errors import InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.reward_model.__main__ import main
from evals.reward_model.metrics import (
    BEST,
    EXACT,
    KENDALL,
    SPEARMAN,
    TIE_HALF,
    TIE_WRONG,
    TIES,
    Unscored,
    at_random,
    measures,
    prompts_of,
)
from evals.reward_model.options import Config
from evals.reward_model.report import LONGER, Judged, compared
from judges.labelled.ranked import RankedAnswers
from judges.labelled.ranked_files import read_ranked
from records.files import BadRows
from tests.fences import plain


class KilledError(Exception):
    """Stands for a kill: nothing catches it."""


def ranked(*ranks: int, prompt: str = "p") -> RankedAnswers:
    return RankedAnswers(
        id=prompt, prompt=prompt, responses=[f"{prompt}{n}" for n in range(len(ranks))], ranks=[*ranks]
    )


def found(
    rows: Sequence[RankedAnswers], scores: Sequence[Sequence[float | None]], unscored: Unscored = "wrong"
) -> dict[str, tuple[float | None, int]]:
    values = measures(prompts_of(rows), scores, 5, unscored)
    estimates = [one.estimate(10, 0) for one in values]
    return {one.name: (one.value, one.n) for one in estimates}


# the measures


def test_the_five_measures_by_hand() -> None:
    rows = [ranked(0, 1, 2, prompt="p"), ranked(1, 0, prompt="q"), ranked(0, 0, 1, prompt="r")]
    scores = [[5, 3, 3], [2, 4], [1, 5, 1]]
    # p: 0>1 right, 0>2 right, 1=2 tied; q: right; r: 0 and 1 are tied by people, 0=2 tied, 1>2 right
    assert found(rows, scores) == {
        TIE_WRONG: (pytest.approx(4 / 6), 6),
        TIE_HALF: (pytest.approx(5 / 6), 6),
        TIES: (pytest.approx(2 / 6), 6),
        "5-best": (1.0, 2),  # p's first answer and r's second: both are ranked best
        BEST: (1.0, 3),
        EXACT: (pytest.approx(1 / 3), 3),  # q alone: the others have a tie
        # ranks 0, 1, 2 against mid ranks 3, 1.5, 1.5: -cov / (sd sd) = 1.5 / sqrt(2 * 1.5); r: ranks 1.5, 1.5, 3
        # against 1.5, 3, 1.5: half of 1 / (sqrt 1.5)^2 = 0.75 / 1.5
        SPEARMAN: (pytest.approx((1.5 / math.sqrt(3) + 1 + 0.5) / 3), 3),
        # p: (2 - 0) / sqrt(3 * 2); r: 1 concordant of sqrt(2 * 2)
        KENDALL: (pytest.approx((2 / math.sqrt(6) + 1 + 0.5) / 3), 3),
    }


def test_a_wrong_order_and_several_highest() -> None:
    rows = [ranked(0, 1, prompt="p"), ranked(2, 1, 0, prompt="q")]
    result = found(rows, [[1, 2], [4, 1, 4]])
    assert result[TIE_WRONG] == (pytest.approx(1 / 4), 4) and result[TIE_HALF] == (pytest.approx(1.5 / 4), 4)
    assert result[BEST] == (pytest.approx((0 + 0.5) / 2), 2)
    assert result[EXACT] == (0.0, 2) and result["5-best"] == (None, 0)


def test_correlations_are_scipys_and_0_where_all_scores_are_one() -> None:
    random = Random(0)
    rows, scores = [], []
    for n in range(60):
        size = random.randint(2, 6)
        ranks = [0, 1, *(random.randint(0, 3) for _ in range(size - 2))]
        rows.append(ranked(*ranks, prompt=f"p{n}"))
        scores.append([float(random.randint(0, 3)) for _ in range(size)])
    result = found(rows, scores)
    for name, correlation in ((SPEARMAN, stats.spearmanr), (KENDALL, stats.kendalltau)):
        each = [
            0.0 if len(set(mine)) == 1 else correlation([-rank for rank in row.ranks], mine).statistic
            for row, mine in zip(rows, scores, strict=True)
        ]
        assert 0.0 in each and result[name] == (pytest.approx(sum(each) / 60), 60)


def test_without_a_score_an_answer_is_wrong_or_left_out_and_never_a_tie() -> None:
    rows = [ranked(0, 1, 2, prompt="p"), ranked(0, 1, prompt="q")]
    scores: list[list[float | None]] = [[5, None, 1], [4, 2]]
    wrong, left_out = found(rows, scores, "wrong"), found(rows, scores, "left out")
    assert wrong[TIE_WRONG] == wrong[TIE_HALF] == (pytest.approx(2 / 4), 4)
    assert left_out[TIE_WRONG] == left_out[TIE_HALF] == (1.0, 2)
    assert wrong[TIES] == left_out[TIES] == (0.0, 2)
    for name in (BEST, EXACT, SPEARMAN, KENDALL):
        assert wrong[name] == (pytest.approx(0.5), 2) and left_out[name] == (pytest.approx(1.0), 1), name


def test_nothing_scored_is_no_accuracy_rather_than_0_where_it_is_left_out() -> None:
    rows = [ranked(0, 1)]
    assert found(rows, [[None, None]], "left out")[TIE_HALF] == (None, 0)
    assert found(rows, [[None, None]], "wrong")[TIE_HALF] == (0.0, 1)


def test_the_same_text_twice_is_no_pair() -> None:
    row = RankedAnswers(id="p", prompt="p", responses=["a", "a", "b"], ranks=[0, 1, 2])
    assert found([row], [[3, 3, 1]])[TIE_WRONG] == (1.0, 1)
    assert found([row], [[3, 3, 1]])[EXACT] == (1.0, 1)


def test_chance_is_what_all_orders_give_on_average() -> None:
    rows = [ranked(0, 1, 2, prompt="p"), ranked(0, 0, 1, prompt="q"), ranked(1, 0, prompt="r")]
    expected = {one.name: one.estimate(10, 0).value for one in at_random(prompts_of(rows), 5)}
    totals: Counter[str] = Counter()
    orders = [list(permutations(range(len(row.ranks)))) for row in rows]
    for row, mine in zip(rows, orders, strict=True):
        for order in mine:
            for name, (value, n) in found([row], [order]).items():
                totals[name] += (value or 0.0) / len(mine) * (n if name in (TIE_WRONG, TIE_HALF) else 1)
    for name in (BEST, EXACT, SPEARMAN, KENDALL):
        assert expected[name] == pytest.approx(totals[name] / 3), name
    assert expected[TIE_WRONG] == expected[TIE_HALF] == pytest.approx(totals[TIE_WRONG] / 6) == 0.5
    assert expected["5-best"] == pytest.approx(4 / 8)


def test_the_longer_answer_on_the_real_trees(data: Path) -> None:
    rows = read_ranked(data / "oasst" / "en_100_tree.jsonl.gz", BadRows())
    right = half = n = 0.0
    for row in rows:
        for i, j in combinations(range(len(row.ranks)), 2):
            n += row.ranks[i] != row.ranks[j]
            order = (len(row.responses[i]) - len(row.responses[j])) * (row.ranks[j] - row.ranks[i])
            right, half = right + (order > 0), half + (0.5 if order == 0 else order > 0)
    judge = Judged("j", "f", "additive", "text", 5, [[None] * len(row.ranks) for row in rows], Counter(), "x")
    by_name = {one.name: one for one in compared(rows, prompts_of(rows), [judge], 50, 0).estimates["wrong"][LONGER]}
    assert (by_name[TIE_WRONG].value, by_name[TIE_WRONG].n) == (pytest.approx(right / n), 754) and n == 754
    assert by_name[TIE_HALF].value == pytest.approx(half / n)
    low, high = by_name[TIE_HALF].low, by_name[TIE_HALF].high
    assert low is not None and high is not None and low < half / n < high


def test_differences_are_paired_and_that_of_equal_scores_is_0() -> None:
    rows = [ranked(0, 1, 2, prompt=f"p{n}") for n in range(40)]
    random = Random(1)
    noisy = [[2 - rank + random.gauss(0, 1.5) for rank in row.ranks] for row in rows]
    better = [[score - rank for score, rank in zip(mine, (0, 1, 2), strict=True)] for mine in noisy]
    judges = [Judged(n, n, "r", "text", 5, s, Counter(), n) for n, s in (("a", noisy), ("b", better), ("c", noisy))]
    result = compared(rows, prompts_of(rows), judges, 500, 0)
    own = {name: {one.name: one for one in result.estimates["wrong"][name]}[TIE_HALF] for name in "abc"}
    apart = {what: {one.name: one for one in each}[TIE_HALF] for what, each in result.differences.items()}
    assert list(apart) == ["b less a", "c less a", *(f"{name} less {LONGER}" for name in "abc")]
    assert (apart["c less a"].value, apart["c less a"].low) == (0.0, None)
    difference = apart["b less a"]
    assert difference.value == pytest.approx(own["b"].value - own["a"].value)  # type: ignore[operator]
    widths = [one.high - one.low for one in (difference, own["a"])]  # type: ignore[operator]
    assert difference.low is not None and difference.low > 0 and widths[0] < widths[1]


# the command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    words = ("poor", "good", "fair")
    rows = [
        {"prompt": f"Question {n}", "responses": [f"{word} {n}" for word in words], "ranks": [2, 0, 1]}
        for n in range(6)
    ]
    path = tmp_path / "held_out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path) -> Callable[..., Path]:
    def run(engines: dict[str, ScriptedEngine], *argv: str, out: str | None = "out") -> Path:
        monkeypatch.setattr("evals.reward_model.judging.open_engine", lambda options: engines[options.model])
        folder = tmp_path / (out or "")
        main(parse(Config, [str(file), *(("--out", str(folder)) if out else ()), *argv], "reward_model"))
        return folder

    return run


def scored(name: str, **scores: int | str) -> ScriptedEngine:
    """An engine that gives an answer the score of its first word, or says something else."""

    def reply(request: Request) -> str:
        word = plain(request.messages[-1]["content"]).rpartition("<answer>\n")[2].split()[0]
        return f"So.\nScore: {scores[word]}"

    def likely(request: Request, choices: Sequence[str]) -> list[float]:
        score = reply(request).rpartition(" ")[2]
        return [-0.01 if choice == score else -9.0 for choice in choices]

    return ScriptedEngine(reply, likely, name=name, digest=name)


def report(folder: Path) -> dict[str, Any]:
    [path] = folder.glob("*.json")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def value(result: dict[str, Any], judge: str, name: str, way: str = "unscored wrong") -> float | None:
    one: float | None = {row["name"]: row["value"] for row in result["measures"][way][judge]}[name]
    return one


def test_a_judge_and_the_rules_stand_in_one_table(measure: Callable[..., Path], capsys: Any) -> None:
    folder = measure({"m": scored("m", good=5, fair=2, poor=2)}, "--judge", "m", "--read", "text")
    result = report(folder)
    assert (result["prompts"], result["answers"], result["pairs"]) == (6, 18, 18)
    assert value(result, "m", TIE_WRONG) == pytest.approx(2 / 3)
    assert value(result, "m", TIE_HALF) == pytest.approx(5 / 6)
    assert value(result, "m", "5-best") == value(result, "m", BEST) == 1.0
    assert value(result, "m", EXACT) == 0.0 and value(result, "random", EXACT) == pytest.approx(1 / 6)
    assert value(result, LONGER, TIES) == 1.0  # "poor 1", "good 1" and "fair 1" are of one length
    said = capsys.readouterr().out
    assert "| 5-best " in said and "n 6" in said and f"m less {LONGER}" in said
    [page] = folder.glob("*.md")
    assert "6 prompts, 18 answers, 18 pairs" in page.read_text(encoding="utf-8")


def test_expected_scores_have_a_highest_answer_where_they_have_no_top_score(measure: Callable[..., Path]) -> None:
    result = report(measure({"m": scored("m", good=4, fair=2, poor=1)}, "--judge", "m"))
    assert value(result, "m", "5-best") is None and value(result, "m", BEST) == 1.0
    assert value(result, "m", EXACT) == value(result, "m", SPEARMAN) == pytest.approx(1.0)


def test_several_judges_are_compared_with_the_first(measure: Callable[..., Path]) -> None:
    engines = {"a": scored("a", good=5, fair=2, poor=2), "b": scored("b", good=5, fair=3, poor=1)}
    result = report(measure(engines, "--judge", "a", "--judge", "b", "--read", "text"))
    [difference] = [row for row in result["differences"]["b less a"] if row["name"] == TIE_WRONG]
    assert difference["value"] == pytest.approx(1 / 3)
    assert [judge["name"] for judge in result["judges"]] == ["a", "b"]


def test_one_model_with_two_rubrics_is_two_judges(measure: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('rubric = "multiple_choice"')
    engine = {"m": scored("m", good=5, fair=2, poor=1)}
    argv = ("--model", "m", "--judge", "m", "--judge", str(tmp_path / "other.toml"), "--read", "text")
    names = [judge["name"] for judge in report(measure(engine, *argv))["judges"]]
    assert names[0].startswith("m (additive, text") and names[1].startswith("m (multiple_choice, text")
    with pytest.raises(InputError, match="two of the judges are the same"):
        measure(engine, "--judge", "m", "--judge", "m")


def test_replies_without_a_verdict_are_counted_both_ways(measure: Callable[..., Path], capsys: Any) -> None:
    engine = scored("m", good=5, fair="none", poor=1)
    folder = measure({"m": engine}, "--judge", "m", "--read", "text", "--min-coverage", "0.5")
    result = report(folder)
    assert result["judges"][0]["unscored"] == 6 and sum(result["judges"][0]["reasons"].values()) == 6
    assert value(result, "m", TIE_HALF) == pytest.approx(1 / 3)
    assert value(result, "m", TIE_HALF, "unscored left out") == 1.0
    captured = capsys.readouterr()
    assert "are left out" in captured.out and "m: 6 answers without a score" in captured.err


def test_too_few_scores_fail_and_the_report_is_there(measure: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="only 12 of 18 answers"):
        measure({"m": scored("m", good=5, fair="none", poor=1)}, "--judge", "m", "--read", "text")
    assert report(tmp_path / "out")["judges"][0]["unscored"] == 6


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(measure: Callable[..., Path]) -> None:
    argv = ("--judge", "m", "--read", "text", "--samples", "1")
    whole = measure({"m": scored("m", good=5, fair=2, poor=1)}, *argv, out="whole")
    dying, engine = scored("m", good=5, fair=2, poor=1), scored("m", good=5, fair=2, poor=1)
    reply = dying.reply

    def dies(request: Request) -> str:
        if len(dying.asked) > 7:
            raise KilledError
        return reply(request)

    dying.reply = dies
    with pytest.raises(KilledError):
        measure({"m": dying}, *argv, out="resumed")
    resumed = measure({"m": engine}, *argv, out="resumed")
    assert len(engine.asked) == 18 - 7
    assert report(resumed)["measures"] == report(whole)["measures"]


def test_stored_judgments_measure_as_the_judge_did_and_what_they_lack_is_unscored(
    measure: Callable[..., Path], tmp_path: Path
) -> None:
    folder = measure({"m": scored("m", good=5, fair=2, poor=1)}, "--judge", "m", "--read", "text")
    [stored] = folder.glob("*.jsonl")
    asked = report(folder)["measures"]["unscored wrong"]["m"]
    result = report(measure({}, "--judgments", str(stored), out="again"))
    assert result["measures"]["unscored wrong"][stored.stem] == asked
    (tmp_path / "some.jsonl").write_text("".join(stored.read_text().splitlines(keepends=True)[:-4]), encoding="utf-8")
    argv = ("--judgments", str(tmp_path / "some.jsonl"), "--min-coverage", "0.5")
    assert report(measure({}, *argv, out="some"))["judges"][0]["unscored"] == 4


def test_the_results_of_an_iteration_lie_in_its_run(
    measure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "run.toml").touch()
    measure({"iter3": scored("iter3", good=5, fair=2, poor=1)}, "--judge", "iter3", "--run", "demo", out=None)
    names = {path.suffix for path in (tmp_path / "runs" / "demo" / "evals" / "iter3" / "reward_model").iterdir()}
    assert names == {".jsonl", ".json", ".md"}


def test_dry_run_prints_the_plan_and_asks_nobody(measure: Callable[..., Path], capsys: Any) -> None:
    folder = measure(
        {}, "--dry-run", "--judge", "a@http://b/v1", "--judge", "b@http://b/v1", "--read", "text", "--limit", "2"
    )
    said = capsys.readouterr().out
    assert "2 prompts with 6 answers" in said and "a: 18 calls" in said and not folder.exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--limit", "0"], "--limit must be at least 1"),
        (["--resamples", "0"], "--resamples must be at least 1"),
        (["--judge", "m", "--rubric", "pairwise"], "--rubric pairwise compares two answers"),
        (["--judgments", "nothing.jsonl"], "nothing.jsonl: no such file"),
        (["--judge", "nothing.toml"], "nothing.toml: no such config file"),
    ],
)
def test_bad_flags_are_one_clear_error(measure: Callable[..., Path], argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure({}, *argv)


def test_judges_that_are_iterations_are_of_the_run_that_was_the_newest_at_the_beginning(
    monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    opened: list[Any] = []

    def make_newest(name: str) -> None:
        (Path("runs") / name).mkdir(parents=True)
        (Path("runs") / name / "run.toml").touch()
        for other in Path("runs").glob("*/run.toml"):
            os.utime(other, (1, 1) if other.parent.name != name else None)

    def open_engine(options: Any) -> ScriptedEngine:
        opened.append(options)
        make_newest(f"later{len(opened)}")  # another run is worked on while this command is under way
        return ScriptedEngine(reply=lambda _: "Score: 3", name=options.model, digest=options.model)

    monkeypatch.setattr("evals.reward_model.judging.open_engine", open_engine)
    make_newest("mine")
    main(parse(Config, [str(file), "--judge", "iter0", "--judge", "iter1", "--read", "text", "--samples", "1"], "prog"))
    assert [(one.model, one.run) for one in opened] == [("iter0", "runs/mine"), ("iter1", "runs/mine")]
    assert sorted(path.name for path in Path("runs/mine/evals").iterdir()) == ["iter0", "iter1"]
