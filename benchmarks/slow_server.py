"""A server that answers chat completions after a fixed time, and the openai engine's share of its throughput.

python -m benchmarks.slow_server                                             3,200 calls, 64 in flight, three times
python -m benchmarks.slow_server --serve --delay-s 0.2 --reply "Score: 4"    prints its address, serves until killed

A reply's NUMBER is the number of the call, in eight digits, so that what a client stored can be counted.

With C calls in flight and D seconds per call, N calls take at least N * D / C seconds, which is the ideal. On a busy
machine the server itself takes longer than D. The last column has its mean time.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any
from urllib.request import urlopen

import tyro

from console.table import print_table
from engines.protocol import Request, Sampling

NUMBER, PLACE = "NUMBER", "00000000"


async def answer_forever(reply: str, delay_s: float) -> None:
    message = {"role": "assistant", "content": reply.replace(NUMBER, PLACE)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 500, "completion_tokens": 10, "total_tokens": 510}
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "slow", "choices": [choice], "usage": usage}
    answer = _http(body)
    taken_s: list[float] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client has left
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get /v1/models"):  # as the engine asks first; this server lists none
                    writer.write(_http({}, "404 Not Found"))
                    continue
                if head.startswith(b"get "):
                    writer.write(_http({"mean_s": sum(taken_s) / max(1, len(taken_s)), "calls": len(taken_s)}))
                    continue
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
                started = time.perf_counter()
                await asyncio.sleep(delay_s)
                writer.write(answer.replace(PLACE.encode(), b"%08d" % len(taken_s)))
                taken_s.append(time.perf_counter() - started)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def _http(body: dict[str, Any], status: str = "200 OK") -> bytes:
    text = json.dumps(body)
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()


def mean_delay_s(url: str) -> float:
    """Return the server's mean seconds per call."""
    with urlopen(url) as reply:
        return float(json.load(reply)["mean_s"])


def calls_answered(url: str) -> int:
    """Return how many calls the server has answered."""
    with urlopen(url) as reply:
        return int(json.load(reply)["calls"])


@contextmanager
def slow_server(reply: str, delay_s: float = 0.2) -> Iterator[str]:
    """Run the server in a process of its own and give its base URL."""
    flags = ["-m", "benchmarks.slow_server", "--serve", "--delay-s", str(delay_s), "--reply", reply]
    with subprocess.Popen([sys.executable, *flags], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield str(process.stdout and process.stdout.readline()).strip()
        finally:
            process.terminate()


def measured(calls: int, concurrency: int, delay_s: float, reply: str) -> dict[str, str | int | float | None]:
    """Return a table row. CPU times are those of the client's and the server's whole process."""
    # The server's own process, which is measured, needs none of this.
    from engines.served.openai_engine import open_openai

    text = "What a judge is shown: a rubric, a prompt and an answer. " * 40
    requests = [Request([{"role": "user", "content": f"{n} {text}"}], seed=n) for n in range(calls)]
    server_s, client_s = sum(getrusage(RUSAGE_CHILDREN)[:2]), time.process_time()
    with slow_server(reply, delay_s) as url:
        engine = open_openai("slow", url, "NO_KEY", concurrency)
        started = time.perf_counter()
        n = sum(completion.error is None for completion in engine.generate(requests, Sampling()))
        seconds = time.perf_counter() - started
        server_ms = 1000 * mean_delay_s(url)
    server_s, client_s = sum(getrusage(RUSAGE_CHILDREN)[:2]) - server_s, time.process_time() - client_s
    share = 100 * calls * delay_s / concurrency / seconds
    cpu = {"client CPU, s": client_s, "server CPU, s": server_s, "server, ms": server_ms}
    return {"calls": n, "seconds": seconds, "calls/s": n / seconds, "% of ideal": share, **cpu}


def main(
    calls: int = 3200,
    concurrency: int = 64,
    repeats: int = 3,
    delay_s: float = 0.2,
    reply: str = "The answer does what was asked. Score: 4",
    serve: bool = False,
) -> None:
    if serve:
        asyncio.run(answer_forever(reply, delay_s))
    else:
        print_table([measured(calls, concurrency, delay_s, reply) for _ in range(repeats)])


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.slow_server")
