"""The numbers that are read are those that the commands wrote."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest

from console.command import parse
from engines.scripted import ScriptedEngine
from evals.alpaca.length import LengthControl, write_length_control
from evals.arena_hard.options import Config as ArenaConfig
from evals.arena_hard.report import write_result as write_arena
from evals.arena_hard.result import Result
from evals.arena_hard.scoring.scores import CategoryScores, ModelScores
from evals.head_to_head.__main__ import main as compare
from evals.head_to_head.options import Config as Comparing
from evals.human.figures import Figures as HumanFigures
from evals.human.report import write_result as write_human
from evals.mt_bench.options import Config as BenchConfig
from evals.mt_bench.report import Result as BenchResult
from evals.mt_bench.report import write_result as write_bench
from evals.mt_bench.scoring.pairs import PairScores
from evals.mt_bench.scoring.scores import ModelScores as ModelMeans
from evals.open_llm.harness import Score, as_json
from evals.report.every_eval import every_eval_ever
from evals.report.hub import eval_results
from evals.results.numbers import Number, numbers_in
from evals.results.official import ALPACA_EVAL_2
from evals.safety.figures import Figures as SafetyFigures
from evals.safety.report import JudgedBy
from evals.safety.report import write_result as write_safety
from judges.intervals.bootstrap import Estimate

SHARE = Estimate("share", 0.25, 0.125, 0.375, 40)
READ = [25.0, 12.5, 37.5, 40]


def test_a_head_to_head_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        rows = ({"prompt": f"Ask {n}", "response": f"{name} {n}", "model": name} for n in range(4))
        Path(f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    judge = ScriptedEngine(name="judge", digest="judge", logprobs=lambda *_: [math.log(0.5), math.log(0.5)])
    monkeypatch.setattr("evals.comparing.judge.open_engine", lambda _: judge)
    words = ("a.jsonl", "b.jsonl", "--judge-model", "judge", "--out", "out/head_to_head")
    compare(parse(Comparing, words, "python -m evals.head_to_head"))
    problems: list[str] = []
    [number] = numbers_in(Path("out"), problems)
    assert (number.model, number.measure, number.value, number.n) == ("a", "win rate over b", 50.0, 4)
    assert number.low is not None and number.low < 50 and problems == []


def test_arena_hard_is_read_by_category(tmp_path: Path) -> None:
    model = ModelScores("m", 40, 40, 0, 0, {}, {}, None, SHARE)
    result = Result("judge", "questions", [CategoryScores("hard_prompt", "base", [model])])
    write_arena(tmp_path / "arena_hard-v2.0", result, ArenaConfig())
    [number] = numbers_in(tmp_path, [])
    assert (number.model, number.benchmark, number.measure) == ("m", "arena_hard-v2.0: hard_prompt", "score")
    assert [number.value, number.low, number.high, number.n] == READ


def test_mt_bench_is_read_in_points_and_its_pairs_in_percent(tmp_path: Path) -> None:
    mean = Estimate("average", 4.5, 4.25, 4.75, 40)
    scores = ModelMeans("m", 40, 40, {}, mean, {1: mean}, {}, {})
    pairs = PairScores("m", 40, 40, 5, 25, 10, 0, {}, SHARE, {1: SHARE})
    for result in (BenchResult("judge", "questions", [scores], []), BenchResult("judge", "questions", [], [pairs])):
        write_bench(tmp_path / "mt_bench", result, BenchConfig())
    points, percent = numbers_in(tmp_path, [])
    assert (points.model, points.benchmark, points.measure, points.unit) == ("m", "mt_bench", "mean score", "of 10")
    assert [points.value, points.low, points.high, points.n] == [4.5, 4.25, 4.75, 40]
    assert (percent.measure, percent.unit) == ("win rate, ties as halves", "%")
    assert [percent.value, percent.low, percent.high, percent.n] == READ


def test_safety_is_read(tmp_path: Path) -> None:
    figures = SafetyFigures("m", SHARE, SHARE, SHARE, SHARE, 80, 0, 0, {}, {})
    write_safety(tmp_path / "safety", figures, JudgedBy("judge", "f", "safety", "text"))
    numbers = numbers_in(tmp_path, [])
    assert [number.measure for number in numbers] == ["harm", "refused", "over-refused"]
    assert all([number.value, number.low, number.high, number.n] == READ for number in numbers)


def test_people_s_win_rates_are_read_once_for_all_judges(tmp_path: Path) -> None:
    one = HumanFigures("iter0", "iter3", "j1", 40, 40, *([SHARE] * 4), [], [], 0)
    two = HumanFigures("iter0", "iter3", "j2", 40, 40, *([SHARE] * 4), [], [], 0)
    write_human(tmp_path / "human", [one, two])
    [number] = numbers_in(tmp_path, [])
    assert (number.model, number.measure) == ("iter3", "win rate over iter0, by people")
    assert [number.value, number.low, number.high, number.n] == READ


def test_tasks_of_lm_eval_are_read(tmp_path: Path) -> None:
    scores = [Score("gsm8k", "exact_match", 0.25, 0.05, 50), Score("mmlu", "acc", reason="no data")]
    (tmp_path / "results.json").write_text(json.dumps({"model": "m", "tasks": [as_json(score) for score in scores]}))
    [number] = numbers_in(tmp_path, [])
    assert asdict(number)["value"] == 25.0 and number.benchmark.endswith(": gsm8k") and number.n == 50


def alpaca(folder: Path, annotator: str, index: int | None) -> list[Number]:
    folder = folder / "iter3" / "alpaca_eval"
    folder.mkdir(parents=True)
    columns = "win_rate,standard_error,n_total,length_controlled_winrate,lc_standard_error"
    (folder / "leaderboard.csv").write_text(f",{columns}\niter3,25.0,1.0,40,30.0,1.0\n")
    row = {"annotator": annotator, "generator_1": "gpt4_1106_preview", "index": index}
    (folder / "annotations.json").write_text(json.dumps([row, row]))
    control = LengthControl("iter3", annotator, "gpt4_1106_preview", 40, 20.0, None, [])
    write_length_control(folder, control)
    return numbers_in(folder.parent.parent, [])


def test_alpaca_eval_is_read_with_the_name_of_a_length_controlled_win_rate_only_for_its_own(tmp_path: Path) -> None:
    own, mine = alpaca(tmp_path / "own", ALPACA_EVAL_2, 0), alpaca(tmp_path / "mine", "my-judge", 0)
    names = ["win rate", "length-controlled win rate", "win rate at equal lengths"]
    assert sorted(number.measure for number in own) == sorted(names)
    assert sorted(number.measure for number in mine) == sorted(names[::2])
    assert {number.benchmark for number in [*own, *mine]} == {"alpaca_eval"}
    assert {number.judge for number in mine} == {"my-judge"}
    [equal] = [number for number in mine if number.measure == "win rate at equal lengths"]
    assert (equal.model, equal.value, equal.n) == ("iter3", 20.0, 40)


def test_prompts_that_are_not_alpaca_evals_are_never_called_that(tmp_path: Path) -> None:
    found = alpaca(tmp_path, "my-judge", None)
    assert {number.benchmark for number in found} == {"alpaca_eval: other prompts"}


def test_only_alpaca_evals_own_judge_goes_to_the_hub_under_its_name(tmp_path: Path) -> None:
    own, mine = alpaca(tmp_path / "own", ALPACA_EVAL_2, 0), alpaca(tmp_path / "mine", "my-judge", 0)
    assert set(eval_results(own, "iter3")) == {"alpaca_eval.yaml"} and eval_results(mine, "iter3") == {}
    record = every_eval_ever(mine, "iter3", "demo", None, 0)
    assert record is not None
    assert all(found["score_details"]["details"] == {"judge": "my-judge"} for found in record["evaluation_results"])
    others = every_eval_ever(alpaca(tmp_path / "others", "my-judge", None), "iter3", "demo", None, 0)
    assert others is not None
    assert {found["source_data"]["source_type"] for found in others["evaluation_results"]} == {"other"}


def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_human(tmp_path / "human", [HumanFigures("iter0", "iter3", "j", 1, 1, *([SHARE] * 4), [], [], None)])
    (tmp_path / "safety").mkdir()
    (tmp_path / "safety" / "safety.json").write_text('{"model": "m", "harm')
    problems: list[str] = []
    assert len(numbers_in(tmp_path, problems)) == 1
    assert len(problems) == 1 and "safety.json: cannot be read" in problems[0]
