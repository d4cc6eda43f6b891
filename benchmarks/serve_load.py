"""The server of a judge under load: many callers at once, an engine that takes a fixed time for each batch.

python -m benchmarks.serve_load                              2,000 requests, 64 under way
python -m benchmarks.serve_load --requests 200 --in-flight 8

The engine is scripted: it takes `--batch-s` seconds for a batch of any size, as a GPU nearly does, and then gives every
answer the same verdict. Each request is about an answer of its own. The rows are the ways of asking, then the same
scores with batches of one, then a bare aiohttp server that gives the same bytes at once and so shows what HTTP alone
costs. A request is lost if it gets no verdict. What to expect: with batches of 64 a request waits for the batch before
it and for its own, so about twice the batch's time and the processor's time for 64 requests, and with batches of one
64 times the batch's time.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil
import tyro
from aiohttp import web

from console.table import Cell, print_table
from engines.protocol import Choice
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from judges.serve.opening import Opened
from judges.serve.options import Config, Limits
from judges.serve.serving import answer

CHARS = 1000
"""The length of a judged answer."""


@dataclass
class SlowBatches:
    """An engine whose batches take `batch_s` seconds. The last choice is the most likely."""

    batch_s: float
    name: str = "scripted"
    digest: str = "scripted"

    def generate(self, *_: Any) -> Iterator[Any]:
        """Write nothing: the server reads log-probabilities."""
        raise NotImplementedError

    def choose(self, requests: Sequence[Any], choices: Sequence[str], done: Any = ()) -> Iterator[Any]:
        """Yield the same log-probabilities for each request, after the time of a batch."""
        time.sleep(self.batch_s)
        logprobs = tuple(log((place + 1) / len(choices) ** 2) for place in range(len(choices)))
        for index in range(len(requests)):
            if requests[index] and index not in done:  # made, as an engine would
                yield Choice(index, logprobs, n_prompt_tokens=400)


def serve(out: Path, batch: int, batch_s: float) -> None:
    """Serve the scripted engine until SIGTERM."""
    engine = SlowBatches(batch_s)
    scorer = open_judge(engine, JudgeOptions(), 0)
    comparer = open_judge(engine, JudgeOptions(rubric="pairwise"), 0)
    judge = Opened("scripted", scorer, None, comparer, scorer)
    answer(Config(out=out, port=0, json=True, limits=Limits(batch=batch)), [judge])


def serve_bare() -> None:
    """Serve the bytes of a verdict at once, without a judge."""

    async def verdict(request: web.Request) -> web.Response:
        await request.json()
        return web.json_response({"rewards": [4.0], "errors": {}, "filler": "x" * CHARS})

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/reward", verdict)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def server(*flags: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server in a process of its own and give its address."""
    command = [sys.executable, "-m", "benchmarks.serve_load", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = ""
        while not told.rstrip().endswith("}"):
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the server did not start")
            told += line
        try:
            yield json.loads(told)["url"], psutil.Process(process.pid)
        finally:
            process.terminate()


def body_of(path: str, number: int) -> tuple[str, dict[str, Any]]:
    """Return a request about an answer that no other request has."""
    text = f"answer {number} " * (CHARS // 12)
    match path:
        case "/v1/decisions":
            questions = [{"type": "predicate", "instructions": "It is right."}]
            return path, {"model": "scripted", "input": text, "questions": questions}
        case "/group":
            return path, {"prompt": "Q", "responses": [f"{text} {n}" for n in range(4)]}
    return path, {"prompt": "Q", "response": text}


def has_verdict(reply: dict[str, Any]) -> bool:
    """Return whether a server's reply has a reward for each answer, or an answer to each question."""
    rewards, answers = reply.get("rewards", []), reply.get("answers", [])
    if None in rewards or any(answer["type"] == "refusal" for answer in answers):
        return False
    return bool(rewards or answers)


async def ask_all(url: str, path: str, n: int, in_flight: int) -> tuple[list[float], int]:
    """Return the seconds of each request, and how many got no verdict."""
    seconds: list[float] = []
    n_lost = 0
    numbers = iter(range(n))

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal n_lost
        for number in numbers:
            where, body = body_of(path, number)
            started = time.perf_counter()
            async with session.post(url + where, json=body) as reply:
                answered = await reply.json()
                is_lost = reply.status != 200 or not has_verdict(answered)
            seconds.append(time.perf_counter() - started)
            n_lost += is_lost

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        await asyncio.gather(*(caller(session) for _ in range(in_flight)))
    return seconds, n_lost + n - len(seconds)


def measured(name: str, path: str, flags: Sequence[str], n: int, in_flight: int) -> dict[str, Cell]:
    """Return a row of the table."""
    with server(*flags) as (url, process):
        before = process.cpu_times()
        started = time.perf_counter()
        seconds, n_lost = asyncio.run(ask_all(url, path, n, in_flight))
        wall = time.perf_counter() - started
        after = process.cpu_times()
        peak = process.memory_info().rss / 2**20
    percents = quantiles(seconds, n=100)
    used = after.user + after.system - before.user - before.system
    return {
        "asked for": name,
        "lost": n_lost,
        "per s": n / wall,
        "p50, ms": 1000 * percents[49],
        "p99, ms": 1000 * percents[98],
        "CPU-ms": 1000 * used / n,
        "MiB": peak,
    }


def main(
    requests: int = 2000,
    in_flight: int = 64,
    batch_s: float = 0.02,
    serve_out: Path | None = None,
    batch: int = 64,
    bare: bool = False,
    json: bool = False,
) -> None:
    """Print the table, or serve in the process that the benchmark starts."""
    if bare:
        serve_bare()
    elif serve_out is not None:
        serve(serve_out, batch, batch_s)
    else:
        rows = []
        with TemporaryDirectory() as folder:

            def flags(name: str, batch: int = batch) -> list[str]:
                return ["--serve-out", f"{folder}/{name}", "--batch", str(batch), "--batch-s", str(batch_s)]

            how = (requests, in_flight)
            rows.append(measured("a reward", "/reward", flags("reward"), *how))
            rows.append(measured("a decision", "/v1/decisions", flags("decision"), *how))
            rows.append(measured("a group of 4", "/group", flags("group"), *how))
            rows.append(measured("a stored reward", "/reward", flags("reward"), *how))
            rows.append(measured("a reward, batches of 1", "/reward", flags("single", 1), *how))
        rows.append(measured("a bare aiohttp server", "/reward", ["--bare"], *how))
        print_table(rows, as_json=json)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
