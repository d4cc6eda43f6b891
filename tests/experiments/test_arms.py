import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.errors import InputError, JudgeError, JudgeloopError, TrainingError
from experiments.arms import print_plan, run_missing, wanted
from records.rows import Row


class Result(Row, frozen=True, kw_only=True):
    id: str
    arm: str


@dataclass(frozen=True)
class Flags:
    out: Path
    arms: str = "one,two"
    seed: int = 3
    seeds: int = 2
    fresh: bool = False
    json: bool = True
    about: str = "an arm"


def test_all_arms_of_a_seed_come_together_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    assert wanted(Flags(tmp_path), {"one": 1, "two": 2}) == [("one", 3), ("two", 3), ("one", 4), ("two", 4)]
    with pytest.raises(InputError, match="no arm 'two'; there are one"):
        wanted(Flags(tmp_path), {"one": 1})


@pytest.mark.parametrize("kind", [TrainingError, JudgeError])
def test_an_arm_with_nothing_to_learn_from_is_named_and_the_others_go_on(
    kind: type[JudgeloopError], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {("one", 3): "a", ("two", 3): "b", ("one", 4): "c"}
    ran = []

    def run_one(name: str, seed: int, row_id: str) -> Result:
        ran.append(row_id)
        if row_id == "b":
            raise kind("no answer is perfect")
        return Result(id=row_id, arm=name)

    assert [row.id for row in run_missing(Flags(tmp_path), ids, Result, run_one)] == ["a", "c"]
    assert "seed 3: two has no result: no answer is perfect" in capsys.readouterr().err
    run_missing(Flags(tmp_path), ids, Result, run_one)
    assert ran == ["a", "b", "c", "b"]  # what has a result is not run again


def test_a_plan_has_the_seeds_without_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = {("one", 3): "a", ("two", 3): "b", ("one", 4): "c", ("two", 4): "d"}
    known = {"one": Flags(tmp_path), "two": Flags(tmp_path)}
    run_missing(Flags(tmp_path), {("one", 3): "a"}, Result, lambda name, seed, row_id: Result(id=row_id, arm=name))
    for flags, seeds in ((Flags(tmp_path), ["4", "3 4"]), (Flags(tmp_path, fresh=True), ["3 4", "3 4"])):
        capsys.readouterr()
        print_plan(flags, ids, Result, known)
        shown = capsys.readouterr()
        assert [row["seeds"] for row in json.loads(shown.out)] == seeds
        assert f"would run {sum(len(one.split()) for one in seeds)} of 4, an arm with a seed each" in shown.err


def test_no_result_at_all_is_an_error(tmp_path: Path) -> None:
    def run_one(name: str, seed: int, row_id: str) -> Result:
        raise TrainingError("nothing")

    with pytest.raises(TrainingError, match="no arm has a result"):
        run_missing(Flags(tmp_path), {("one", 0): "a"}, Result, run_one)
