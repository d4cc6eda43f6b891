import tomllib
from pathlib import Path

import pytest

from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import load_rubric

HERE = Path(__file__).parent
CASES = [
    (name, kind, reply, wanted)
    for file in sorted(HERE.glob("reply_*.toml"))
    if file.stem != "reply_shapes" and not file.stem.startswith("reply_blind")
    for name, table in tomllib.loads(file.read_text(encoding="utf-8")).items()
    for kind in ("gives", "null")
    for reply, wanted in table[kind]
]


@pytest.mark.parametrize(("rubric", "reply", "score"), [(n, r, w) for n, kind, r, w in CASES if kind == "gives"])
def test_a_reply_that_settles_on_a_verdict_gives_it(rubric: str, reply: str, score: float) -> None:
    verdict = parse_reply(reply, load_rubric(rubric))
    assert verdict.value == pytest.approx(score) and verdict.error is None


@pytest.mark.parametrize(("rubric", "reply", "reason"), [(n, r, w) for n, kind, r, w in CASES if kind == "null"])
def test_a_reply_that_settles_on_none_gives_none(rubric: str, reply: str, reason: str) -> None:
    verdict = parse_reply(reply, load_rubric(rubric))
    assert verdict.value is None and verdict.error and reason in verdict.error
