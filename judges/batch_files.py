"""Puts a judge's calls into batch files, and makes rows of what came back.

The files are OpenAI's batch JSONL, which `vllm run-batch -i FILE -o OUTPUT` reads and writes too. What is sent and how
the replies are read is the OpenAI engine's own doing: here only its calls go to a file, and come from one.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from console.errors import InputError, RowError
from console.progress import say
from engines.chat_reply import decode
from engines.openai_engine import Call, OpenAIEngine, _usage
from engines.protocol import Choice, Completion, Request
from judges.judge import Judge
from judges.pairwise import Contest, Orders, compare, comparison_id, orders_of
from records.disk import DiskDict
from records.files import BadRows
from records.rows import Comparison, Judgment, Response
from records.store import DiskErrors, set_aside

MAX_REQUESTS = 50_000
MAX_BYTES = 190_000_000
"""OpenAI takes files of up to 50,000 requests and 200 MB."""
CHUNK = 1000
SHOWN_UNKNOWN = 10
FAILED: dict[str, Any] = {"n_calls": 1, "n_failed": 1}

T = TypeVar("T")
ResultT = TypeVar("ResultT", Completion, Choice)


def export_batch(judge: Judge, responses: Iterable[Response], path: Path, done: Collection[str] = ()) -> int:
    """Write the calls that judge `responses` to `path` and return their number; those in `done` are left out.

    The custom_id of a call is its judgment's id and the call's number. Over 50,000 calls or 190 MB there are several
    files, `<name>-00001.jsonl` and so on. Raises InputError where the judge is not a server's model.
    """
    with _Parts(path) as parts:
        for chunk in _chunks(responses):
            engine = _Exporting(_server(judge), _judgment_calls(judge, chunk), parts)
            for _ in replace(judge, engine=engine).judge(chunk, done):
                pass  # what cannot be asked
    return parts.n


def export_contests(
    judge: Judge, contests: Iterable[Contest], path: Path, done: Collection[str] = (), orders: Orders = "both"
) -> int:
    """Write the calls that compare `contests`, as `export_batch` does; a custom_id also has the order."""
    with _Parts(path) as parts:
        for chunk in _chunks(contests):
            engine = _Exporting(_server(judge), _comparison_calls(judge, chunk, orders), parts)
            for _ in compare(replace(judge, engine=engine), chunk, done, orders):
                pass  # what cannot be asked
    return parts.n


def import_batch(
    judge: Judge,
    responses: Iterable[Response],
    paths: Sequence[Path],
    done: Collection[str] = (),
    *,
    strict: bool = False,
) -> Iterator[Judgment]:
    """Yield the judgments of `responses` that are not in `done`, from output and error files in any order.

    The judge and the responses must be those of the export. A call with an error or without a line has failed. A line
    that is no batch output is named and left out (`strict`: RowError), and so is a custom_id that nothing asks for.
    Raises InputError at the end where no line belongs to these calls.
    """
    with _Answers(paths, BadRows(strict=strict)) as answers:
        for chunk in _chunks(responses):
            engine = _Importing(_server(judge), _judgment_calls(judge, chunk), answers)
            yield from replace(judge, engine=engine).judge(chunk, done)
        answers.report()


def import_contests(
    judge: Judge,
    contests: Iterable[Contest],
    paths: Sequence[Path],
    done: Collection[str] = (),
    orders: Orders = "both",
    *,
    strict: bool = False,
) -> Iterator[Comparison]:
    """Yield the comparisons of `contests` that are not in `done`, as `import_batch` does."""
    with _Answers(paths, BadRows(strict=strict)) as answers:
        for chunk in _chunks(contests):
            engine = _Importing(_server(judge), _comparison_calls(judge, chunk, orders), answers)
            yield from compare(replace(judge, engine=engine), chunk, done, orders)
        answers.report()


class _Exporting(OpenAIEngine):
    """Writes down what the server would be sent, and has no answers."""

    def __init__(self, engine: OpenAIEngine, calls: Sequence[str], parts: "_Parts") -> None:
        vars(self).update(vars(engine))
        self._calls, self._parts = calls, parts

    def _each(
        self,
        requests: Sequence[Request],
        done: Collection[int],
        settings: dict[str, Any],
        read: Callable[[int, Call], ResultT],
    ) -> Iterator[ResultT]:
        named = zip(self._calls, requests, strict=True)
        todo = ((call, request) for index, (call, request) in enumerate(named) if index not in done)
        for _, row in groupby(todo, key=lambda one: one[0].split("-")[0]):
            self._parts.write([_line(call, self._body(request, settings)) for call, request in row])
        return iter(())


class _Importing(OpenAIEngine):
    """Has the answers of files for the server's."""

    def __init__(self, engine: OpenAIEngine, calls: Sequence[str], answers: "_Answers") -> None:
        vars(self).update(vars(engine))
        self._calls, self._answers = calls, answers

    def _each(
        self,
        requests: Sequence[Request],
        done: Collection[int],
        settings: dict[str, Any],
        read: Callable[[int, Call], ResultT],
    ) -> Iterator[ResultT]:
        for index, (call, _) in enumerate(zip(self._calls, requests, strict=True)):
            if index in done:
                self._answers.skip(call)
            else:
                yield read(index, self._answers.take(call))


class _Parts:
    """Files that are there together and complete, once all is written, or not at all."""

    def __init__(self, path: Path) -> None:
        self.n = 0
        self._path = path
        self._written: list[Path] = []
        self._file: IO[bytes] | None = None
        self._n_here = self._bytes_here = 0

    def write(self, lines: list[bytes]) -> None:
        """Write the calls of one row, all into the same file."""
        n_bytes = sum(map(len, lines))
        full = self._n_here + len(lines) > MAX_REQUESTS or self._bytes_here + n_bytes > MAX_BYTES
        with DiskErrors(self._path):
            if self._file is None or full:
                self._file = self._next()
            self._file.writelines(lines)
        self.n += len(lines)
        self._n_here += len(lines)
        self._bytes_here += n_bytes

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with DiskErrors(self._path):
                if self._file:
                    self._file.close()
                if kind is None and self._written:
                    self._publish()
        finally:
            for temporary in self._written:
                temporary.unlink(missing_ok=True)

    def _next(self) -> IO[bytes]:
        if self._file:
            self._file.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.{len(self._written)}.tmp")
        self._written.append(temporary)
        self._n_here = self._bytes_here = 0
        return temporary.open("wb")

    def _publish(self) -> None:
        """Put the files in their places; those of an earlier export are set aside, none is left among the new ones."""
        set_aside(self._path)
        number = 1
        while self._part(number).exists():
            set_aside(self._part(number))
            number += 1
        several = len(self._written) > 1
        for number, temporary in enumerate(self._written, start=1):
            temporary.replace(self._part(number) if several else self._path)
        if several:
            first, last = self._part(1), self._part(len(self._written))
            say(f"{self.n} requests do not fit in one batch: {len(self._written)} files, {first} to {last.name}")

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{number:05d}{self._path.suffix}")


class _Response(msgspec.Struct, frozen=True):
    status_code: int = 200
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Output(msgspec.Struct, frozen=True):
    """One line of an output or error file."""

    custom_id: str
    response: _Response | None
    error: Any = None

    @property
    def is_answer(self) -> bool:
        """Return whether the call succeeded."""
        return not self.error and self.response is not None and self.response.status_code < 300


class _Answers:
    """The lines of output and error files by their custom_id; in memory is only where they are on disk."""

    def __init__(self, paths: Sequence[Path], bad: BadRows) -> None:
        self._where: DiskDict[str] = DiskDict()  # custom_id -> "1:0:123", an answer, in file 0, at byte 123
        self._counts = {"answers": 0, "failed": 0, "missing": 0, "repeated": 0}
        self._decode = msgspec.json.Decoder(_Output).decode
        with ExitStack() as opened:
            self._files = [opened.enter_context(_opened(path)) for path in paths]
            for number, (path, file) in enumerate(zip(paths, self._files, strict=True)):
                self._index(path, number, file, bad)
            if not self._where:
                raise InputError(f"{', '.join(map(str, paths))}: no line is the output of a batch")
            self._opened = opened.pop_all()

    def __enter__(self) -> "_Answers":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def take(self, call: str) -> Call:
        """Return what came of `call`."""
        where = self._where.pop(call, None)
        if where is None:
            self._counts["missing"] += 1
            return Call(None, "call failed: the batch's output has no line for it", FAILED)
        _, number, offset = where.split(":")
        self._files[int(number)].seek(int(offset))
        line = self._decode(self._files[int(number)].readline())
        try:
            if not line.is_answer:
                raise ValueError(_reason(line))
            assert line.response is not None
            reply = decode(line.response.body)
        except (ValueError, msgspec.MsgspecError) as error:
            self._counts["failed"] += 1
            return Call(None, f"call failed: {error}", FAILED)
        self._counts["answers"] += 1
        return Call(reply.choices[0], None, _usage(reply, 0, 0.0))

    def skip(self, call: str) -> None:
        """Leave out what came of `call`: its row is there already."""
        self._where.pop(call, None)

    def report(self) -> None:
        """Say what was found and what nothing asked for."""
        n_unknown = len(self._where)
        for call in islice(self._where, SHOWN_UNKNOWN):
            say(f"unknown custom_id: {call}")
        if n_unknown > SHOWN_UNKNOWN:
            say(f"unknown custom_id: {n_unknown - SHOWN_UNKNOWN} more")
        counts = self._counts | {"unknown": n_unknown}
        say("batch output: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        if n_unknown and not (counts["answers"] or counts["failed"]):
            raise InputError("no answer belongs to these rows: the judge's flags must be those of the export")

    def _index(self, path: Path, number: int, file: IO[bytes], bad: BadRows) -> None:
        offset = 0
        for place, line in enumerate(file, start=1):
            if line.strip():
                try:
                    self._add(self._decode(line), f"{number}:{offset}")
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    bad.add(RowError(f"{path}:{place}: not the output of a batch: {error}"))
            offset += len(line)

    def _add(self, line: _Output, place: str) -> None:
        known = self._where.get(line.custom_id)
        if known is not None:
            self._counts["repeated"] += 1
        if line.is_answer or known is None or known.startswith("0"):  # a failure does not replace an answer
            self._where[line.custom_id] = f"{line.is_answer:d}:{place}"


def _server(judge: Judge) -> OpenAIEngine:
    if not isinstance(judge.engine, OpenAIEngine):
        raise InputError("a batch is for a server's model: give --engine openai")
    return judge.engine


def _judgment_calls(judge: Judge, responses: Sequence[Response]) -> list[str]:
    ids = map(judge.judgment_id, responses)
    return [f"{row_id}-{number}" for row_id in ids for number in range(judge.n_questions)]


def _comparison_calls(judge: Judge, contests: Sequence[Contest], orders: Orders) -> list[str]:
    rows = [(comparison_id(judge, one, orders), orders_of(judge, one, orders)) for one in contests]
    numbers = range(judge.n_questions)
    return [f"{row_id}-{order}-{number}" for row_id, asked in rows for order in asked for number in numbers]


def _line(call: str, body: dict[str, Any]) -> bytes:
    line = {"custom_id": call, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return msgspec.json.encode(line) + b"\n"


def _chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _reason(line: _Output) -> str:
    """Return what a failed line says went wrong: `error`, or the error in the response's body, at any depth."""
    found = line.error
    if not found and line.response is not None:
        found = msgspec.json.decode(line.response.body)
    while isinstance(found, dict) and ("error" in found or "message" in found):
        found = found.get("message") or found["error"]
    status = f"{line.response.status_code}: " if line.response is not None else ""
    return status + " ".join(str(found).split())[:200]
