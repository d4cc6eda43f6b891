import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.openai_server import completion


class BatchServer(ThreadingHTTPServer):
    """A local server with the files and the batches of OpenAI's API. A batch ends at its second poll."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[dict[str, Any]], tuple[int, Any]] = lambda _: completion("Score: 4")
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.ends_as = "completed"
        self.n_answered: int | None = None
        """An expired batch has answers to so many of its calls."""
        self.lost: set[str] = set()
        """Requests, as in "POST /v1/batches", that are accepted and whose reply is lost, once."""
        self.refused: tuple[int, str] | None = None
        self.pages: list[bytes] = []
        """What is sent, one after the other, in place of the next files."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        batch = {
            "id": f"batch_{len(self.batches)}", "object": "batch", "created_at": 2**40, "status": "validating", **body
        }  # fmt: skip
        self.batches.append(batch)
        return batch

    def polled(self, batch: dict[str, Any]) -> dict[str, Any]:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
            return batch
        if batch["status"] != "in_progress":
            return batch
        batch["status"] = self.ends_as
        if self.ends_as == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "x", "message": "no such model", "line": 1}]}
            return batch
        found: dict[str, list[dict[str, Any]]] = {"output": [], "error": []}
        for line in lines[: self.n_answered]:
            status, body = self.answer(line["body"])
            response = {"status_code": status, "request_id": "x", "body": body}
            found["output" if status == 200 else "error"].append(
                {"custom_id": line["custom_id"], "response": response, "error": None}
            )
        for line in lines[len(lines) if self.n_answered is None else self.n_answered :]:
            error = {"code": "batch_expired", "message": "This request could not be executed before it expired."}
            found["error"].append({"custom_id": line["custom_id"], "response": None, "error": error})
        for name, rows in found.items():
            if rows:
                batch[f"{name}_file_id"] = file_id = f"file-{batch['id']}-{name}"
                self.files[file_id] = "".join(json.dumps(row) + "\n" for row in rows).encode()
        batch["request_counts"] = {
            "total": len(lines), "completed": len(found["output"]), "failed": len(found["error"])
        }  # fmt: skip
        return batch


class Handler(BaseHTTPRequestHandler):
    server: BatchServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/v1/batches/(batch_\d+)", path):
            [batch] = [one for one in self.server.batches if one["id"] == match[1]]
            self._send(200, self.server.polled(batch))
        elif path == "/v1/batches":
            newest = list(reversed(self.server.batches))
            self._send(200, {"object": "list", "data": newest, "has_more": False})
        elif match := re.fullmatch(r"/v1/files/(.+)/content", path):
            found = self.server.pages.pop(0) if self.server.pages else self.server.files.get(match[1])
            self._send(*((404, {"error": {"message": "no such file"}}) if found is None else (200, found)))
        else:
            self._send(404, {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refused:
            status, message = self.server.refused
            self._send(status, {"error": {"message": message}})
        elif self.path == "/v1/files":
            file_id = f"file-{len(self.server.files)}"
            # The part's own header ends at the first empty line after its name.
            self.server.files[file_id] = re.split(rb"\r\n--\w+", data.split(b'filename="')[1].split(b"\r\n\r\n", 1)[1])[
                0
            ]
            self._send(200, {"id": file_id, "object": "file", "purpose": "batch", "filename": "x", "bytes": 1})
        elif self.path == "/v1/batches":
            self._send(200, self.server.create(json.loads(data)))
        else:
            self._send(*self.server.answer(json.loads(data)))

    def _send(self, status: int, body: Any) -> None:
        what = f"{self.command} {self.path.partition('?')[0]}"
        self.server.paths.append(what)
        if what in self.server.lost:
            self.server.lost.remove(what)
            self.connection.close()
            return
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running_batches() -> Iterator[BatchServer]:
    """Give a server that runs meanwhile."""
    found = BatchServer()
    threading.Thread(target=found.serve_forever, args=(0.002,), daemon=True).start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()
