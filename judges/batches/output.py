"""Finds the answers of a batch in its output and error files, whatever their order."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import msgspec

from console.errors import InputError, RowError
from console.progress import say
from console.reading import lines_up_to
from engines.served.openai_calls import Call, usage_of_call
from engines.served.replies.body import BrokenReply, parse_body
from engines.served.replies.chat_reply import Tokens, decode
from engines.served.replies.failures import error_text, says_something, shortened
from records.disk import DiskDict
from records.files import BadRows, checked_file, decode_record, is_indexed, read_records

SHOWN_UNKNOWN = 10
FAILED: dict[str, Any] = {"n_calls": 1, "n_failed": 1}


class _Response(msgspec.Struct, frozen=True):
    status_code: Any = 200
    body: msgspec.Raw = msgspec.Raw(b"null")  # decoded only when the answer is taken

    @property
    def status(self) -> int:
        """Return the status, which may be a number or a text. Without one it is 200, and the body decides."""
        code = str(self.status_code)
        return int(code) if code.isdecimal() and len(code) == 3 else 200


class _Output(msgspec.Struct, frozen=True):
    """One line of an output or error file."""

    custom_id: str
    response: _Response | None
    error: Any = None

    @property
    def is_answer(self) -> bool:
        """Return whether the call succeeded."""
        return not says_something(self.error) and self.response is not None and self.response.status < 300

    @property
    def is_whole(self) -> bool:
        """Return whether its body is a reply that can be read."""
        try:
            return self.response is not None and bool(decode(bytes(self.response.body)).choices)
        except BrokenReply:
            return False


DECODER = msgspec.json.Decoder(_Output)


class Answers:
    """The lines of output and error files by their custom_id. Only their places on disk are in memory."""

    def __init__(self, paths: Sequence[Path], bad: BadRows) -> None:
        self._where: DiskDict[str] = DiskDict()  # custom_id -> "1:0:123", an answer, in file 0, at byte 123
        self._counts = {"answers": 0, "failed": 0, "missing": 0, "repeated": 0}
        with ExitStack() as opened:
            self._files = [opened.enter_context(_opened(path, bad)) for path in paths]
            for number, (path, file) in enumerate(zip(paths, self._files, strict=True)):
                self._index(path, number, file, bad)
            if not self._where:
                raise InputError(f"{', '.join(map(str, paths))}: no line is the output of a batch: download it again")
            self._opened = opened.pop_all()  # open until `__exit__`; an error above closes them

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __contains__(self, call: str) -> bool:
        """Return whether there is a line for `call` that was not taken."""
        return call in self._where

    def take(self, call: str) -> Call:
        """Return the result of `call`."""
        where = self._where.pop(call, None)
        if where is None:
            self._counts["missing"] += 1
            return Call(None, "call failed: the batch's output has no line for it", FAILED)
        _, number, offset = where.split(":")
        self._files[int(number)].seek(int(offset))
        line = _output_of(self._files[int(number)].readline())
        try:
            if not line.is_answer:
                raise ValueError(_reason(line))
            assert line.response is not None
            reply = decode(bytes(line.response.body))
        except BrokenReply as broken:
            self._counts["failed"] += 1
            tokens = Tokens(broken.n_prompt_tokens, broken.n_tokens)
            return Call(None, f"call failed: {shortened(broken.reason)}", usage_of_call(tokens, 1, 1))
        except ValueError as error:
            self._counts["failed"] += 1
            return Call(None, f"call failed: {error}", FAILED)
        self._counts["answers"] += 1
        return Call(reply.choices[0], None, usage_of_call(reply.usage, 1, 0))

    def skip(self, call: str) -> None:
        """Drop the result of `call`, because its row is stored already."""
        self._where.pop(call, None)

    def report(self) -> None:
        """Print the counts of results, and the custom_ids that no call has."""
        n_unknown = len(self._where)
        for call in islice(self._where, SHOWN_UNKNOWN):
            say(f"unknown custom_id: {call}")
        if n_unknown > SHOWN_UNKNOWN:
            say(f"unknown custom_id: {n_unknown - SHOWN_UNKNOWN} more")
        counts = self._counts | {"unknown": n_unknown}
        say("batch output: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        if n := counts["repeated"]:
            say(f"{n} lines have a custom_id that was there before: of each the last answer counts")
        if n_unknown and not (counts["answers"] or counts["failed"]):
            raise InputError("no answer belongs to these rows: the judge's flags must be those of the export")

    def _index(self, path: Path, number: int, file: IO[bytes], bad: BadRows) -> None:
        offset = 0
        for place, line in enumerate(lines_up_to(file, path), start=1):
            if line.strip():
                try:
                    self._add(_output_of(line), f"{number}:{offset}")
                except InputError as error:
                    bad.add(RowError(f"{path}:{place}: not the output of a batch: {error}"))
            offset += len(line)

    def _add(self, line: _Output, place: str) -> None:
        known = self._where.get(line.custom_id)
        if known is not None:
            self._counts["repeated"] += 1
        # a failure, by its status or its body, does not replace an answer
        if known is None or known.startswith("0") or (line.is_answer and line.is_whole):
            self._where[line.custom_id] = f"{line.is_answer:d}:{place}"


def begins_and_ends_as_output(path: Path) -> tuple[bool, bool]:
    """Return whether any line of a file is the output of a batch, and whether the last one is: a download may break."""
    begins, last = False, b""
    with path.open("rb") as file:
        for line in lines_up_to(file, path):
            last = line if line.strip() else last
            begins = begins or _is_output(line)
    return begins, begins and _is_output(last)


def _is_output(line: bytes) -> bool:
    try:
        _output_of(line)
    except InputError:
        return False
    return True


def _opened(path: Path, bad: BadRows) -> IO[bytes]:
    """Return the lines of a file to seek in. A packed file, or one of another kind, is copied first."""
    if not path.exists():
        raise InputError(f"{path}: cannot be read: no such file")
    if is_indexed(checked_file(path)):
        return path.open("rb")
    copy = TemporaryFile()  # noqa: SIM115  whoever called closes it
    try:
        for where, record in read_records(path, bad):
            try:
                copy.write(msgspec.json.encode(record) + b"\n")
            except UnicodeEncodeError as error:
                bad.add(RowError(f"{where}: {error.reason}"))
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _output_of(line: bytes) -> _Output:
    """Return one line of an output or error file. Raises InputError if it is none."""
    try:
        return DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:  # it may hold NaN, or a byte order mark
        return DECODER.decode(msgspec.json.encode(decode_record(line)))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise InputError(str(error)) from None


def _reason(line: _Output) -> str:
    """Return the reason in a failed line: its `error`, or the one in the response's body."""
    error = line.error
    if not says_something(error) and line.response is not None:
        error = parse_body(bytes(line.response.body))
    status = f"{line.response.status}: " if line.response is not None else ""
    return shortened(status + error_text(error))
