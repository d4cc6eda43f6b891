"""Jobs for the tests of shared work. Worker processes import their functions by name."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from engines.shards.work import Fill, Job
from judges.judging.judge import Judge, open_judge
from judges.judging.shards import judge_shard, judging
from judges.options import JudgeOptions
from records import Judgment, Response, Store


def responses(n: int) -> list[Response]:
    return [
        Response(
            id=f"r{i}", prompt_id=f"p{i}", prompt=f"Question {i}", response="word " * (i % 7 + 1), model=f"m{i % 2}"
        )
        for i in range(n)
    ]


def scripted_judge(wait_s: float = 0.0) -> Judge:
    """A judge whose score follows from the length of the prompt."""

    def reply(request: Request) -> str:
        time.sleep(wait_s)
        return f"Score: {len(request.messages[0]['content']) % 6}"

    return open_judge(ScriptedEngine(reply=reply), JudgeOptions(read="text", samples=1), seed=0)


def scripted_job(wait_s: float = 0.0) -> Job[Response, Judgment]:
    return judging(scripted_judge().fingerprint, partial(scripted_judge, wait_s))


def killing_job(once: Path, after: int) -> Job[Response, Judgment]:
    """The same job, whose first worker to judge `after` rows is killed, as by the system when memory is short."""
    job = scripted_job()
    return Job(job.identity, Response, Judgment, job.is_done, partial(_killing, once, after))


def _killing(once: Path, after: int) -> tuple[str, Fill[Judgment, Response]]:
    judge = scripted_judge()

    def fill(store: Store[Judgment], items: Mapping[str, Response]) -> Iterator[None]:
        for n, _ in enumerate(judge_shard(judge, store, items), start=1):
            if n == after and not once.exists():
                if once.parent.exists():
                    once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield

    return judge.fingerprint, fill


def logging_job(log: Path) -> Job[Response, Judgment]:
    """The same job, which leaves a file in `log` for each shard, named by its number of rows and one of them."""
    job = scripted_job()
    return Job(job.identity, Response, Judgment, job.is_done, partial(_logging, log))


def _logging(log: Path) -> tuple[str, Fill[Judgment, Response]]:
    judge = scripted_judge()

    def fill(store: Store[Judgment], items: Mapping[str, Response]) -> Iterator[None]:
        (log / f"{len(items)}-{min(items)}").touch()
        yield from judge_shard(judge, store, items)

    return judge.fingerprint, fill


def failing_judge(down: Path) -> Judge:
    """The scripted judge, every third of whose calls fail as long as the file `down` is there."""

    def reply(request: Request) -> str:
        length = len(request.messages[0]["content"])
        if down.exists() and length % 3 == 0:
            raise RuntimeError("503 of the server")
        return f"Score: {length % 6}"

    return open_judge(ScriptedEngine(reply=reply), JudgeOptions(read="text", samples=1), seed=0)


def other_judge() -> Judge:
    """A judge that the flags give on a machine with other weights."""
    return open_judge(ScriptedEngine(digest="other weights"), JudgeOptions(read="text", samples=1), seed=0)
