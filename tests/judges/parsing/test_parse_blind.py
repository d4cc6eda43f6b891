import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import Rubric, load_rubric

HERE = Path(__file__).parent
SETS: list[dict[str, Any]] = [
    one
    for file in sorted(HERE.glob("reply_blind*.toml"))
    for one in tomllib.loads(file.read_text(encoding="utf-8"))["set"]
]
CASES = [(one, case) for one in SETS for case in one["cases"]]


def rubric_of(one: dict[str, Any]) -> Rubric:
    return msgspec.structs.replace(load_rubric(one["rubric"]), other_labels=one.get("labels", []))


@pytest.mark.parametrize(("one", "case"), [(one, case) for one, case in CASES if case[0] == "none"])
def test_a_reply_that_nobody_reads_a_verdict_from_gives_none(one: dict[str, Any], case: list[Any]) -> None:
    verdict = parse_reply(case[1], rubric_of(one), structured=one.get("structured", False))
    assert verdict.value is None and verdict.error


@pytest.mark.parametrize(("one", "case"), [(one, case) for one, case in CASES if case[0] != "none" and len(case) == 2])
def test_a_reply_that_a_person_reads_at_once_is_read(one: dict[str, Any], case: list[Any]) -> None:
    verdict = parse_reply(case[1], rubric_of(one), structured=one.get("structured", False))
    assert verdict.value == pytest.approx(case[0]) and verdict.error is None


@pytest.mark.parametrize(("one", "case"), [(one, case) for one, case in CASES if len(case) == 3])
def test_a_reply_that_is_hard_to_read_gives_its_verdict_or_none(one: dict[str, Any], case: list[Any]) -> None:
    verdict = parse_reply(case[1], rubric_of(one), structured=one.get("structured", False))
    assert verdict.value in (None, case[0]) and (verdict.value is None) == bool(verdict.error)
