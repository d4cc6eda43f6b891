"""A judge's server in this process, in a thread of its own."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from judges.serve.app import Server
from judges.serve.metrics import Metrics
from judges.serve.opening import bench_of, opened
from judges.serve.options import Config


@dataclass(frozen=True)
class Running:
    """A server that runs, and how to ask it."""

    port: int
    server: Server
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Return the status and the reply to a JSON body, or to bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, {"Content-Type": "application/json", **headers})

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.ask("GET", path, None, headers)

    def ask(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, data, headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, json.loads(text) if reply.headers.get_content_type() == "application/json" else text


@contextmanager
def running(config: Config, key: str | None = None) -> Iterator[Running]:
    """Serve the judge of `config` on a free port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    with ExitStack() as stack:
        stack.callback(loop.close)
        stack.callback(thread.join)
        stack.callback(loop.call_soon_threadsafe, loop.stop)
        server = Server(bench_of(config, opened(config), Metrics(), stack), config.limits, key)
        runner = do(_started(server))
        stack.callback(lambda: do(runner.cleanup()))
        yield Running(runner.addresses[0][1], server, loop)


async def _started(server: Server) -> web.AppRunner:
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner
