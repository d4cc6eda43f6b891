from collections.abc import Iterator

import pytest

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from records import Response
from trainer.eft.examples import attempts_of


@pytest.mark.parametrize("failed", [0, 1, 2])
def test_a_sample_that_failed_keeps_its_place_among_the_attempts(failed: int) -> None:
    numbers: Iterator[int] = iter(range(3))

    def reply(_: Request) -> str:
        if (number := next(numbers)) == failed:
            raise RuntimeError("call failed: 500")
        return f"Some reasons. Score: {number}"

    judge = open_judge(ScriptedEngine(reply=reply), JudgeOptions(read="text", samples=3), 0)
    [row] = judge.judge([Response(id="r", prompt_id="p", prompt="Q", response="A", model="m")])
    expected = [None if number == failed else float(number) for number in range(3)]
    assert [attempt and attempt.score for attempt in attempts_of(row, judge)] == expected
