import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Answer = Callable[[Body], tuple[int, Body] | tuple[int, Body, dict[str, str]] | bytes]
"""Returns the status, the body and perhaps headers of a reply, or bytes that are sent as they are."""


class Server(ThreadingHTTPServer):
    """A local server that answers with `answer` and remembers what it was asked."""

    answer: Answer

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Handler)
        self.asked: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.most_at_once = self.under_way = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that has left."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.under_way += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.under_way)
            self.server.asked.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.paths.append(self.path)
        found = self.server.answer(body)
        with self.server.lock:
            self.server.under_way -= 1
        if isinstance(found, bytes):
            self.wfile.write(found)
            return
        status, reply, *more = found
        data = json.dumps(reply).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for name, value in (headers | dict(*more)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Server]:
    """Give a server that runs meanwhile."""
    found = Server(("127.0.0.1", 0))
    threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()


def completion(text: str, finish: str = "stop", logprobs: list[Body] | None = None, **message: Any) -> tuple[int, Body]:
    """Return what a server says where all goes well; `message` has the message's further fields."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"content": logprobs}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return 200, whole
