import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Raw:
    """A reply whose body is sent as it stands, and how; see `raw`, `hang`, `trickle`, `cut` and `moved`."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    first_wait_s: float = 0.0
    """How long nothing is sent, not even the status."""
    piece: int = 0
    """Send so many bytes at a time; 0 sends all at once."""
    piece_wait_s: float = 0.0
    told_length: int | None = None
    """What Content-Length says; None is the truth."""
    chunked: bool = False
    """Send without a Content-Length; the connection's end is the body's."""


Answer = Callable[[Body], tuple[int, Any] | tuple[int, Any, dict[str, str]] | bytes | Raw]
"""Returns the status, the body and perhaps headers of a reply; or a Raw; or bytes sent as they are."""


class Server(ThreadingHTTPServer):
    """A local server that answers with `answer`, "ok" if nothing else is set, and remembers what it was asked."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Handler)
        self.answer: Answer = lambda _: completion("ok")
        self.answer_at: Callable[[str, Body], Any] | None = None
        """In place of `answer`, for a server with several paths."""
        self.asked: list[Body] = []
        self.headers: list[Message] = []  # a name's case is the client's
        self.paths: list[str] = []
        self.gets: list[str] = []
        """The paths of GET requests; `get` answers them."""
        self.get: Callable[[str], tuple[int, Any]] = lambda _: (404, {"error": {"message": "not found"}})
        self.most_at_once = self.under_way = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that has left."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.gets.append(self.path)
        status, reply = self.server.get(self.path)
        self._send(Raw(json.dumps(reply).encode(), status))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.under_way += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.under_way)
            self.server.asked.append(body)
            self.server.headers.append(self.headers)
            self.server.paths.append(self.path)
        at = self.server.answer_at
        found = self.server.answer(body) if at is None else at(self.path, body)
        with self.server.lock:
            self.server.under_way -= 1
        if isinstance(found, bytes):
            self.wfile.write(found)
            return
        if isinstance(found, tuple):
            status, reply, *more = found
            found = Raw(json.dumps(reply).encode(), status, dict(*more))
        self._send(found)

    def _send(self, reply: Raw) -> None:
        if reply.first_wait_s and self.server.stopping.wait(reply.first_wait_s):
            return
        self.send_response(reply.status)
        length = len(reply.body) if reply.told_length is None else reply.told_length
        headers = {"Content-Type": "application/json"} | ({} if reply.chunked else {"Content-Length": str(length)})
        for name, value in (headers | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        step = reply.piece or len(reply.body) or 1
        for start in range(0, len(reply.body), step):
            self.wfile.write(reply.body[start : start + step])
            if reply.piece_wait_s and self.server.stopping.wait(reply.piece_wait_s):
                return

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Server]:
    """Give a server that runs meanwhile."""
    found = Server(("127.0.0.1", 0))
    threading.Thread(target=found.serve_forever, args=(0.002,), daemon=True).start()
    try:
        yield found
    finally:
        found.stopping.set()
        found.shutdown()
        found.server_close()


def completion(
    text: Any, finish: Any = "stop", logprobs: Any = None, usage: Any = ..., **message: Any
) -> tuple[int, Body]:
    """Return what a server says where all goes well, or nearly: any text, finish reason, tokens and usage.

    `message` has the message's further fields; a list of tokens stands under `logprobs.content`.
    """
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"content": logprobs} if isinstance(logprobs, list) else logprobs
    if usage is ...:
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return 200, whole


def token(text: str, tops: dict[str, float]) -> Body:
    """Return a token of a reply; `tops` has the log-probability of each that is listed for its place, itself too."""
    listed = [{"token": name, "logprob": logprob, "bytes": None} for name, logprob in tops.items()]
    return {"token": text, "logprob": tops.get(text, -1.0), "bytes": None, "top_logprobs": listed}


def raw(body: bytes | str, status: int = 200, **headers: str) -> Raw:
    """Return a reply with any body; `content_type="text/html"` is a header."""
    data = body.encode() if isinstance(body, str) else body
    return Raw(data, status, {name.replace("_", "-"): value for name, value in headers.items()})


def hang(seconds: float = 3600.0) -> Raw:
    """Return a reply that keeps the caller waiting; the server's end ends it."""
    return Raw(b"", first_wait_s=seconds)


def trickle(reply: tuple[int, Any] | bytes, wait_s: float = 1.0, piece: int = 1) -> Raw:
    """Return `reply` sent `piece` bytes at a time, `wait_s` apart."""
    data = reply if isinstance(reply, bytes) else json.dumps(reply[1]).encode()
    return Raw(data, 200 if isinstance(reply, bytes) else reply[0], piece=piece, piece_wait_s=wait_s)


def cut(reply: tuple[int, Any], n_bytes: int, *, told: bool = True) -> Raw:
    """Return the first `n_bytes` of `reply`; `told` says its whole length, else the cut body passes for a whole one."""
    data = json.dumps(reply[1]).encode()
    return Raw(data[:n_bytes], reply[0], told_length=len(data) if told else None)


def moved(status: int, location: str) -> tuple[int, Body, dict[str, str]]:
    """Return a redirect."""
    return status, {}, {"Location": location}
