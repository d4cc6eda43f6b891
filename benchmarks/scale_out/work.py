"""The work of every side: a judge whose engine takes a fixed time for each call and writes each call to a log."""

import os
import time
from functools import partial
from pathlib import Path

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from engines.shards.plan import Item
from engines.shards.work import Job
from judges.judging.judge import Judge, open_judge
from judges.judging.shards import judging
from judges.options import JudgeOptions
from records import Judgment, Response

CALLS = "calls.log"
"""One line a call: when it began and the process that made it."""


def responses(n: int) -> list[Response]:
    """Return answers to judge."""
    return [
        Response(id=f"r{i}", prompt_id=f"p{i}", prompt=f"Question {i}", response="An answer. " * 20, model="m")
        for i in range(n)
    ]


def slow_judge(folder: str, call_s: float) -> Judge:
    """Return the judge, which logs to a file in `folder`."""

    def reply(request: Request) -> str:
        with (Path(folder) / CALLS).open("a") as log:
            log.write(f"{time.time()} {os.getpid()}\n")  # one write, so that lines of several processes do not mix
        time.sleep(call_s)
        return f"Score: {len(request.messages[0]['content']) % 6}"

    return open_judge(ScriptedEngine(reply=reply), JudgeOptions(read="text", samples=1), seed=0)


def slow_job(folder: str, call_s: float) -> Job[Response, Judgment]:
    """Return that work for workers."""
    return judging(slow_judge(folder, call_s).fingerprint, partial(slow_judge, folder, call_s))


def items(judge: Judge, n: int) -> list[Item[Response]]:
    """Return the answers with the ids of their judgments."""
    return [Item(judge.judgment_id(response), response) for response in responses(n)]


def calls(folder: Path) -> list[tuple[float, int]]:
    """Return when each call began, and the process that made it."""
    path = folder / CALLS
    lines = path.read_text().splitlines() if path.exists() else []
    return [(float(at), int(process)) for at, process in (line.split() for line in lines)]
